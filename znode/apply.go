package znode

import (
	"fmt"

	"github.com/quorate/quorate/wire"
)

// Apply applies one committed transaction: h and body, which is its record and
// perhaps a digest. It fills in res with what the client that asked is to
// know, and appends the changes that watches may wait for to events. A
// transaction that is applied already changes nothing (DataTree.processTxn).
//
// The caller holds Lock and is the one goroutine that applies. When a znode
// that the transaction touches is not in memory, Apply changes nothing and
// returns a [NotResidentError]; the caller unlocks, calls Load, and tries
// again. Any other error means that the database can go no further.
func (t *Tree) Apply(h *TxnHeader, body []byte, res *Result, events []Event) ([]Event, error) {
	*res = Result{Type: h.Type, Sub: res.Sub[:0]}
	if h.Zxid <= t.zxid {
		return events, nil
	}
	rest, err := DecodeTxn(body, h.Type, &t.txn)
	if err != nil {
		return events, err
	}
	if path := t.missing(h, &t.txn); path != nil {
		return events, &NotResidentError{Path: path}
	}
	a := application{t: t, h: h, events: events}
	gone := len(t.freeze.tombs)
	if err := a.run(&t.txn, res); err != nil {
		return a.events, fmt.Errorf("znode: %v 0x%x: %w", h.Type, h.Zxid, err)
	}
	t.zxid = h.Zxid
	if d, ok := DecodeTxnDigest(rest); ok && t.opt.Digest && d.Version == DigestVersion && d.Digest != t.digest {
		t.mismatches++
	}
	t.reapTombs(4 + 2*(len(t.freeze.tombs)-gone))
	return a.events, nil
}

// missing returns the path of a znode that has to be loaded first, or nil.
func (t *Tree) missing(h *TxnHeader, x *Txn) []byte {
	switch x.Type {
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		return t.missingWithParent(x.Create.Path)
	case wire.OpDelete, wire.OpDeleteContainer:
		return t.missingWithParent(x.Delete.Path)
	case wire.OpSetData, wire.OpReconfig:
		return t.missingWithParent(x.SetData.Path)
	case wire.OpSetACL:
		return t.missingWithParent(x.SetACL.Path)
	case wire.OpCloseSession:
		return t.missingOfSession(h.ClientID, x)
	case wire.OpMulti:
		return t.missingOfMulti(h, x)
	default:
		return nil
	}
}

func (t *Tree) missingWithParent(path []byte) []byte {
	for p, parent := path, false; p != nil; parent = true {
		if _, res := t.live(p); res == NotResident {
			return p
		}
		if parent {
			break
		}
		p, _ = SplitPath(p)
	}
	if target, q := t.quotaOf(path); q != nil && q.hasStats {
		if stats := statsPath(target); t.lookup(stats) == 0 {
			if _, res := t.live(stats); res == NotResident {
				return stats
			}
		}
	}
	if target, limits, ok := QuotaTarget(path); ok && limits {
		if _, res := t.live(statsPath(target)); res == NotResident {
			return statsPath(target)
		}
	}
	return nil
}

func (t *Tree) missingOfSession(session int64, x *Txn) (need []byte) {
	x.CloseSession.Paths(func(path []byte) {
		if need == nil {
			need = t.missingWithParent(path)
		}
	})
	for path := range t.owned.ephemerals[session] {
		if need == nil {
			need = t.missingWithParent([]byte(path))
		}
	}
	return need
}

func (t *Tree) missingOfMulti(h *TxnHeader, x *Txn) (need []byte) {
	if x.Multi.Failed {
		return nil
	}
	m := x.Multi
	m.Each(&t.sub, func(int) bool {
		need = t.missing(h, &t.sub)
		return need == nil
	})
	return need
}

// application is one transaction being applied.
type application struct {
	t      *Tree
	h      *TxnHeader
	events []Event
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
	t.freeze.touch(&t.nodes, id)
	path := t.nodes.path(id)
	t.digest -= NodeDigest(n.prefix, &n.stat, path)
	f(n)
	t.digest += NodeDigest(n.prefix, &n.stat, path)
	return n
}

func (a *application) create(c *CreateTxn, typ wire.Op, res *Result) error {
	t := a.t
	res.Path = c.Path
	parent, _ := SplitPath(c.Path)
	pid, found := t.live(parent)
	if parent == nil || found != Found {
		res.Type, res.Code = wire.OpError, wire.ErrNoNode
		return nil
	}
	acl, err := t.acls.InternVector(c.ACL) // takes a reference
	if err != nil {
		return err
	}
	if id, found := t.live(c.Path); found == Found {
		a.createAgain(id, pid, c, typ, acl)
		res.Type, res.Code = wire.OpError, wire.ErrNodeExists
		return nil
	}
	a.change(pid, func(p *node) {
		p.numChildren++
		a.raise(p, c.ParentCversion)
	})
	z, now := a.h.Zxid, a.h.Time
	owner := c.Owner(typ, a.h.ClientID)
	stat := Stat{Czxid: z, Mzxid: z, Pzxid: z, Ctime: now, Mtime: now, EphemeralOwner: owner}
	id := t.add(c.Path, c.Data, &stat, acl)
	n := t.nodes.node(id)
	t.digest += NodeDigest(n.prefix, &n.stat, c.Path)
	t.owned.add(t.opt.Kinds.Of(owner), owner, c.Path)
	a.tellStat(n, res)
	a.events = append(a.events,
		Event{Type: wire.EventNodeCreated, Path: c.Path, ACL: acl},
		Event{Type: wire.EventNodeChildrenChanged, Path: parent, ACL: t.nodes.node(pid).acl})
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
	a.t.freeze.touch(&a.t.nodes, id)
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
	id, found := t.live(path)
	parent, _ := SplitPath(path)
	pid, hasParent := t.live(parent)
	if found != Found {
		if hasParent == Found && a.h.Zxid > t.nodes.node(pid).stat.Pzxid {
			a.change(pid, func(p *node) { p.stat.Pzxid = a.h.Zxid })
		}
		if res != nil {
			res.Type, res.Code = wire.OpError, wire.ErrNoNode
		}
		return nil
	}
	if parent == nil || hasParent != Found {
		return fmt.Errorf("deleting %q, which has no parent", path)
	}
	if err := a.deleteBelow(id, path); err != nil {
		return err
	}
	acl, size := a.drop(id, path)
	p := a.change(pid, func(p *node) {
		p.numChildren--
		p.stat.Pzxid = max(p.stat.Pzxid, a.h.Zxid)
	})
	a.events = append(a.events,
		Event{Type: wire.EventNodeDeleted, Path: path, ACL: acl},
		Event{Type: wire.EventNodeChildrenChanged, Path: parent, ACL: p.acl})
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
	id, found := t.live(s.Path)
	if found != Found {
		res.Type, res.Code = wire.OpError, wire.ErrNoNode
		return nil
	}
	var grown int64
	n := a.change(id, func(n *node) {
		grown = int64(len(s.Data)) - int64(max(n.dataLen, 0))
		t.setData(n, s.Path, s.Data)
		n.stat.Version, n.stat.Mzxid, n.stat.Mtime = s.Version, a.h.Zxid, a.h.Time
	})
	t.dataBytes += grown
	a.tellStat(n, res)
	a.events = append(a.events, Event{Type: wire.EventNodeDataChanged, Path: s.Path, ACL: n.acl})
	t.account(s.Path, 0, grown)
	return t.followQuota(s.Path, s.Data, true)
}

func (a *application) setACL(s *SetACLTxn, res *Result) error {
	t := a.t
	id, found := t.live(s.Path)
	if found != Found {
		res.Type, res.Code = wire.OpError, wire.ErrNoNode
		return nil
	}
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
