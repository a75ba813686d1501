package znode

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/quorate/quorate/wire"
)

// Apply applies one committed transaction: h and body, which is its record and
// perhaps a digest. It fills in res with what the client that asked is to
// know, and appends the changes that watches may wait for to events. A
// transaction that is applied already changes nothing (DataTree.processTxn).
//
// The caller holds Lock and is the one goroutine that applies. When a znode
// that the transaction touches is not in memory, Apply changes nothing and
// returns a [NotResidentError]; the caller unlocks, calls LoadMissing, and
// tries again. Any other error means that the database can go no further.
func (t *Tree) Apply(h *TxnHeader, body []byte, res *Result, events []Event) ([]Event, error) {
	*res = Result{Type: h.Type, Sub: res.Sub[:0]}
	if h.Zxid <= t.zxid {
		return events, nil
	}
	rest, err := DecodeTxn(body, h.Type, &t.txn)
	if err != nil {
		return events, err
	}
	m := missing{t: t}
	m.transaction(h, &t.txn)
	if err := m.err(); err != nil {
		return events, err
	}
	a := application{t: t, h: h, events: events}
	if h.Type != wire.OpMulti && h.Type != wire.OpCloseSession {
		a.at = m.at // nothing changes it before it is asked for
	}
	gone := t.freeze.tombs.len()
	if err := a.run(&t.txn, res); err != nil {
		return a.events, fmt.Errorf("znode: %v 0x%x: %w", h.Type, h.Zxid, err)
	}
	t.zxid = h.Zxid
	if d, ok := DecodeTxnDigest(rest); ok && t.opt.Digest && d.Version == DigestVersion && d.Digest != t.digest && t.Whole() {
		t.mismatches++
	}
	t.reapTombs(4 + 2*(t.freeze.tombs.len()-gone))
	t.reapShadows(4)
	return a.events, nil
}

// missingMax is how many znodes are asked for at a time: enough that even a
// transaction about very many is looked through a few times only.
const missingMax = 1024

// missing gathers the paths of znodes that have to be loaded first.
type missing struct {
	t     *Tree
	paths [][]byte
	at    place // of the last znode that was looked for
}

func (m *missing) full() bool { return len(m.paths) >= missingMax }

// want adds a path if it is not in memory.
func (m *missing) want(path []byte, res Residency) {
	if res == NotResident && !m.full() {
		m.paths = append(m.paths, path)
	}
}

// err names what has to be loaded first; nil if nothing has.
func (m *missing) err() error {
	if len(m.paths) == 0 {
		return nil
	}
	return &NotResidentError{Path: m.paths[0], More: m.paths[1:]}
}

func (m *missing) transaction(h *TxnHeader, x *Txn) {
	switch x.Type { //nolint:exhaustive // the others touch no znode
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		m.znode(x.Create.Path)
	case wire.OpDelete, wire.OpDeleteContainer:
		m.znode(x.Delete.Path)
	case wire.OpSetData, wire.OpReconfig:
		m.itself(x.SetData.Path)
	case wire.OpSetACL:
		m.itself(x.SetACL.Path)
	case wire.OpCloseSession:
		m.session(h.ClientID, &x.CloseSession)
	case wire.OpMulti:
		m.multi(h, x.Multi)
	}
}

// znode adds what the creation or deletion of a znode touches: itself, its
// parent, and the znodes that tell the usage of quotas.
func (m *missing) znode(path []byte) {
	m.at = m.t.locate(path)
	if m.want(path, m.at.res); m.at.res != NotResident { // its ancestors come along with it else
		m.want(m.at.parent, m.at.parentRes)
	}
	m.usage(path)
}

// itself adds what a change of a znode touches that concerns no other.
func (m *missing) itself(path []byte) {
	m.at = m.t.locateAlone(path)
	m.want(path, m.at.res)
	m.usage(path)
}

// usage adds the znodes that tell the usage of quotas.
func (m *missing) usage(path []byte) {
	if target, q := m.t.quotaOf(path); q != nil && q.hasStats {
		m.stats(target)
	}
	if target, limits, ok := QuotaTarget(path); ok && limits {
		m.stats(target)
	}
}

func (m *missing) stats(target []byte) {
	path := statsPath(target)
	_, res := m.t.live(path)
	m.want(path, res)
}

func (m *missing) session(id int64, c *CloseSessionTxn) {
	c.Paths(func(path []byte) {
		if !m.full() {
			m.znode(path)
		}
	})
	listed := len(m.paths)
	for path := range m.t.owned.ephemerals[id] {
		if m.full() {
			break
		}
		m.znode([]byte(path))
	}
	slices.SortFunc(m.paths[listed:], bytes.Compare)
}

func (m *missing) multi(h *TxnHeader, x MultiTxn) {
	if x.Failed {
		return
	}
	x.Each(&m.t.sub, func(int) bool {
		m.transaction(h, &m.t.sub)
		return !m.full()
	})
}

// application is one transaction being applied.
type application struct {
	t      *Tree
	h      *TxnHeader
	events []Event
	at     place // of the znode that the transaction is about, unless it is about several
}

// place returns where a znode is, or would be.
func (a *application) place(path []byte) place {
	if at := a.at; at.path != nil {
		a.at = place{}
		return at
	}
	return a.t.locate(path)
}

// run applies one record: the transaction's, or one of a multi's.
func (a *application) run(x *Txn, res *Result) error {
	switch x.Type {
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		return a.create(&x.Create, x.Type, res)
	case wire.OpDelete, wire.OpDeleteContainer:
		return a.delete(x.Delete.Path, res)
	case wire.OpSetData, wire.OpReconfig:
		return a.setData(&x.SetData, res)
	case wire.OpSetACL:
		return a.setACL(&x.SetACL, res)
	case wire.OpCreateSession:
		a.t.sessions[a.h.ClientID] = x.CreateSession.TimeOut
	case wire.OpCloseSession:
		return a.closeSession(&x.CloseSession)
	case wire.OpError:
		res.Code = x.Error.Code
	case wire.OpMulti:
		return a.multi(&x.Multi, res)
	case wire.OpCheck:
		// Inside a multi it has been checked; on its own it is a bug of old
		// servers, and changes nothing (ZOOKEEPER-4859 and its kin).
	default:
		return fmt.Errorf("a transaction of type %d", x.Type)
	}
	return nil
}

// change runs f on a live node, with the digest kept in step.
func (a *application) change(id uint32, f func(n *node)) *node {
	t := a.t
	n := t.nodes.node(id)
	t.freeze.touch(&t.nodes, id, false)
	path := t.nodes.path(id)
	t.digest -= NodeDigest(n.prefix, &n.stat, path)
	f(n)
	t.digest += NodeDigest(n.prefix, &n.stat, path)
	return n
}

func (a *application) create(c *CreateTxn, typ wire.Op, res *Result) error {
	t := a.t
	res.Path = c.Path
	at := a.place(c.Path)
	if at.parentRes != Found {
		res.Type, res.Code = wire.OpError, wire.ErrNoNode
		return nil
	}
	acl, err := t.acls.InternVector(c.ACL) // takes a reference
	if err != nil {
		return err
	}
	if at.res == Found {
		a.createAgain(at.id, at.parentID, c, typ, acl)
		res.Type, res.Code = wire.OpError, wire.ErrNodeExists
		return nil
	}
	a.change(at.parentID, func(p *node) {
		p.numChildren++
		a.raise(p, c.ParentCversion)
	})
	z, now := a.h.Zxid, a.h.Time
	owner := c.Owner(typ, a.h.ClientID)
	stat := Stat{Czxid: z, Mzxid: z, Pzxid: z, Ctime: now, Mtime: now, EphemeralOwner: owner}
	n := t.nodes.node(t.add(&at, c.Data, &stat, acl))
	t.digest += NodeDigest(n.prefix, &n.stat, c.Path)
	t.owned.add(t.opt.Kinds.Of(owner), owner, c.Path)
	a.tellStat(n, res)
	a.events = append(a.events,
		Event{Type: wire.EventNodeCreated, Path: c.Path, ACL: acl, DataBytes: len(c.Data)},
		Event{Type: wire.EventNodeChildrenChanged, Path: at.parent, ACL: t.nodes.node(at.parentID).acl})
	return a.created(c.Path, c.Data)
}

// created keeps quotas in step with a new node.
func (a *application) created(path, data []byte) error {
	t := a.t
	t.account(path, 1, int64(len(data)))
	if err := t.followQuota(path, data, true); err != nil {
		return err
	}
	if target, limits, ok := QuotaTarget(path); ok && !limits {
		return t.measure(target)
	}
	return nil
}

// raise makes the parent's count of creations what the transaction says; its
// pzxid follows only when that is more than it was. -1 says one more.
func (a *application) raise(p *node, cversion int32) {
	if cversion == -1 {
		cversion = p.stat.Cversion + 1
	}
	if cversion > p.stat.Cversion {
		p.stat.Cversion, p.stat.Pzxid = cversion, a.h.Zxid
	}
}

// createAgain is a creation found in the log of a node that a fuzzy snapshot
// already has: its list may be older (ZOOKEEPER-4846), and its parent's count.
func (a *application) createAgain(id, pid uint32, c *CreateTxn, typ wire.Op, acl ACLID) {
	a.replaceACL(a.t.nodes.node(id), id, acl)
	if typ == wire.OpCreate && c.ParentCversion > a.t.nodes.node(pid).stat.Cversion {
		a.change(pid, func(p *node) { a.raise(p, c.ParentCversion) })
	}
}

// replaceACL gives a node another list, of which the caller has a reference.
func (a *application) replaceACL(n *node, id uint32, acl ACLID) {
	a.t.freeze.touch(&a.t.nodes, id, false)
	a.t.acls.Unref(n.acl)
	n.acl = acl
}

func (a *application) tellStat(n *node, res *Result) {
	var i Info
	n.info(&i)
	i.WireStat(&res.Stat, a.t.opt.Kinds)
}

func (a *application) delete(path []byte, res *Result) error {
	t := a.t
	at := a.place(path)
	if at.res != Found {
		if at.parentRes == Found && a.h.Zxid > t.nodes.node(at.parentID).stat.Pzxid {
			a.change(at.parentID, func(p *node) { p.stat.Pzxid = a.h.Zxid })
		}
		if res != nil {
			res.Type, res.Code = wire.OpError, wire.ErrNoNode
		}
		return nil
	}
	if at.parentRes != Found {
		return fmt.Errorf("deleting %q, which has no parent", path)
	}
	if err := a.deleteBelow(at.id, path); err != nil {
		return err
	}
	acl, size := a.drop(at.id, path)
	p := a.change(at.parentID, func(p *node) {
		p.numChildren--
		p.stat.Pzxid = max(p.stat.Pzxid, a.h.Zxid)
	})
	a.events = append(a.events,
		Event{Type: wire.EventNodeDeleted, Path: path, ACL: acl},
		Event{Type: wire.EventNodeChildrenChanged, Path: at.parent, ACL: p.acl})
	t.account(path, -1, -size)
	return t.followQuota(path, nil, false)
}

// drop takes a node without children out of the tree.
func (a *application) drop(id uint32, path []byte) (acl ACLID, size int64) {
	t := a.t
	n := t.nodes.node(id)
	acl, size = n.acl, int64(max(n.dataLen, 0))
	owner := n.stat.EphemeralOwner
	t.digest -= NodeDigest(n.prefix, &n.stat, path)
	t.owned.remove(t.opt.Kinds.Of(owner), owner, path)
	t.acls.Unref(acl)
	t.remove(id)
	return acl, size
}

// deleteBelow deletes the children of a node that is about to be deleted. A
// leader never proposes that; it happens when the log is replayed over a fuzzy
// snapshot in which the node had been deleted, created anew and given
// children. What is not in memory is read while the tree is locked.
func (a *application) deleteBelow(id uint32, path []byte) error {
	t := a.t
	if t.nodes.node(id).numChildren == 0 {
		return nil
	}
	children, err := t.listLocked(path)
	if err != nil {
		return err
	}
	for _, c := range children {
		if err := t.loadLocked(c); err != nil {
			return err
		}
		cid, found := t.live(c)
		if found != Found {
			return fmt.Errorf("%q is listed and not there", c)
		}
		if err := a.deleteBelow(cid, c); err != nil {
			return err
		}
		_, size := a.drop(cid, c)
		t.account(c, -1, -size)
		if err := t.followQuota(c, nil, false); err != nil {
			return err
		}
	}
	return nil
}

// loadLocked is Load while the tree is locked.
func (t *Tree) loadLocked(path []byte) error {
	if _, res := t.live(path); res != NotResident {
		return nil
	}
	var rec Record
	found, _, err := t.backend.Get(path, nil, &rec)
	if err == nil {
		t.enterRecord(path, found, &rec)
	}
	return err
}

func (a *application) setData(s *SetDataTxn, res *Result) error {
	t := a.t
	at := a.place(s.Path)
	if at.res != Found {
		res.Type, res.Code = wire.OpError, wire.ErrNoNode
		return nil
	}
	id := at.id
	grown := int64(len(s.Data)) - int64(max(t.nodes.node(id).dataLen, 0))
	t.freeze.touch(&t.nodes, id, true)
	n := a.change(id, func(n *node) {
		t.setData(n, s.Path, s.Data)
		n.stat.Version, n.stat.Mzxid, n.stat.Mtime = s.Version, a.h.Zxid, a.h.Time
	})
	t.dataBytes += grown
	a.tellStat(n, res)
	a.events = append(a.events, Event{Type: wire.EventNodeDataChanged, Path: s.Path, ACL: n.acl, DataBytes: len(s.Data)})
	t.account(s.Path, 0, grown)
	return t.followQuota(s.Path, s.Data, true)
}

func (a *application) setACL(s *SetACLTxn, res *Result) error {
	t := a.t
	at := a.place(s.Path)
	if at.res != Found {
		res.Type, res.Code = wire.OpError, wire.ErrNoNode
		return nil
	}
	id := at.id
	acl, err := t.acls.InternVector(s.ACL)
	if err != nil {
		return err
	}
	n := a.change(id, func(n *node) {
		a.replaceACL(n, id, acl)
		n.stat.Aversion = s.Version
	})
	a.tellStat(n, res)
	return nil
}

// closeSession deletes what the leader listed, then what else the session has
// here, and forgets the session.
func (a *application) closeSession(c *CloseSessionTxn) (err error) {
	t, session := a.t, a.h.ClientID
	c.Paths(func(path []byte) {
		if err == nil {
			err = a.delete(path, nil)
		}
	})
	for _, path := range t.Ephemerals(session) {
		if err == nil {
			err = a.delete([]byte(path), nil)
		}
	}
	delete(t.sessions, session)
	return err
}

// multi applies all operations, or none: then each result is an error, OK for
// those before the one that failed.
func (a *application) multi(m *MultiTxn, res *Result) (err error) {
	m.Each(&a.t.sub, func(int) bool {
		x := &a.t.sub
		r := Result{Type: x.Type}
		switch {
		case !m.Failed:
			err = a.run(x, &r)
		case x.Type == wire.OpError:
			r.Code = x.Error.Code
		default:
			r.Type = wire.OpError
		}
		res.Sub = append(res.Sub, r)
		return err == nil
	})
	return err
}
