package sim

import (
	"slices"
	"strings"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/znode"
)

// This file applies committed transactions to the oracle's model, and complains of
// those that no leader may propose: a transaction must say what follows from the
// state before it.

// apply takes the next committed transaction.
func (o *oracle) apply(e *zab.Entry) {
	c := commit{Entry: *e, at: o.s.now}
	rd := wire.NewReader(e.Data)
	c.header.Decode(&rd)
	body := rd.Remaining()
	if rd.Err() != nil || c.header.Zxid != e.Zxid {
		o.s.fault("%s: the transaction's header says %s: %v", short(e.Zxid), short(c.header.Zxid), rd.Err())
		return
	}
	if _, err := znode.DecodeTxn(body, c.header.Type, &o.txn); err != nil {
		o.s.fault("%s: %v", short(e.Zxid), err)
		return
	}
	if err := applyOne(o.tree, e.Data, &o.res); err != nil {
		o.s.fault("%s cannot be applied: %v", short(e.Zxid), err)
		return
	}
	if n := o.tree.DigestMismatches(); n != 0 {
		o.s.fault("%s: the leader foresaw another tree than it leads to", short(e.Zxid))
	}
	o.z = e.Zxid
	if c.header.Type == wire.OpError {
		c.code = o.txn.Error.Code
	}
	c.digest = o.tree.Digest()
	o.commits = append(o.commits, c)
	o.request(&c)
	o.carryOut(&c.header, &o.txn)
	if o.s.telling() {
		o.s.say("committed %s %s", short(e.Zxid), transaction(e.Data))
	}
}

// request: a session's requests are carried out in their order, each once, and none
// after its end.
func (o *oracle) request(c *commit) {
	h := &c.header
	if h.Type == wire.OpCreateSession || h.ClientID == 0 {
		return
	}
	m := o.requests(h.ClientID)
	if h.Cxid == 0 && c.code == wire.ErrSessionMoved {
		if m != nil {
			m.movedAt = h.Zxid
		}
		return
	}
	if h.Cxid == 0 && h.Type == wire.OpCloseSession {
		return // an expiry
	}
	if m == nil {
		if h.Type != wire.OpError {
			o.s.fault("%s: %s of session %x, which was never opened", short(h.Zxid), h.Type, h.ClientID)
		}
		return
	}
	if z, ok := m.cxids[h.Cxid]; ok {
		o.s.fault("duplicate: request %d of session %x is %s and %s", h.Cxid, h.ClientID, short(z), short(h.Zxid))
	}
	m.cxids[h.Cxid] = h.Zxid
	m.moved = c.code == wire.ErrSessionMoved || slices.ContainsFunc(o.res.Sub, func(r znode.Result) bool {
		return r.Code == wire.ErrSessionMoved
	})
	if h.Type == wire.OpError || h.Type == wire.OpMulti && o.txn.Multi.Failed {
		return
	}
	if m.closed != 0 && h.Type != wire.OpCloseSession {
		o.s.fault("%s: %s of session %x, which was closed at %s", short(h.Zxid), h.Type, h.ClientID, short(m.closed))
	}
	if h.Cxid < m.last {
		o.s.fault("session order: request %d of session %x is carried out at %s after request %d", h.Cxid, h.ClientID, short(h.Zxid), m.last)
	}
	m.last = h.Cxid
}

// carryOut changes the model.
func (o *oracle) carryOut(h *znode.TxnHeader, x *znode.Txn) {
	switch x.Type { //nolint:exhaustive // the others change nothing
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		o.create(h, &x.Create, x.Type)
	case wire.OpDelete:
		o.delete(string(x.Delete.Path), false)
	case wire.OpDeleteContainer:
		o.delete(string(x.Delete.Path), true)
	case wire.OpSetData:
		o.setData(h, &x.SetData)
	case wire.OpCheck:
		if st := o.at(string(x.Check.Path), o.z); !st.live || st.stat.Version+1 != x.Check.Version {
			o.s.fault("%s: check of %s for version %d, it is %+v", short(o.z), x.Check.Path, x.Check.Version-1, st)
		}
	case wire.OpCreateSession:
		o.createSession(h, x.CreateSession.TimeOut)
	case wire.OpCloseSession:
		o.closeSession(h, &x.CloseSession)
	case wire.OpMulti:
		if !x.Multi.Failed {
			x.Multi.Each(&o.sub, func(int) bool {
				o.carryOut(h, &o.sub)
				return true
			})
		}
	}
}

func (o *oracle) createSession(h *znode.TxnHeader, timeout int32) {
	if m := o.sessions[h.ClientID]; m != nil {
		o.s.fault("%s: session %x is opened again", short(o.z), h.ClientID)
	}
	m := o.locals[h.ClientID] // it was local before
	if m == nil {
		m = &msession{cxids: map[int32]int64{}}
	} else {
		o.s.result.Done["upgraded"]++
	}
	m.opened, m.timeout = o.z, timeout
	o.sessions[h.ClientID] = m
}

// closeSession: a session ends once, and its ephemerals with it. A client's own request
// may come when it has expired already; as in ZooKeeper it is a transaction
// nevertheless, of nothing.
func (o *oracle) closeSession(h *znode.TxnHeader, x *znode.CloseSessionTxn) {
	m := o.sessions[h.ClientID]
	if m != nil && m.closed != 0 && h.Cxid != 0 {
		x.Paths(func(p []byte) { o.s.fault("%s: session %x is closed again, with %s", short(o.z), h.ClientID, p) })
		return
	}
	if m == nil || m.closed != 0 {
		o.s.fault("%s: session %x is closed, but it is not open", short(o.z), h.ClientID)
		return
	}
	m.closed = o.z
	if h.Cxid == 0 {
		o.s.expired(h.ClientID)
	}
	var listed []string
	x.Paths(func(p []byte) { listed = append(listed, string(p)) })
	var owned []string
	for path, n := range o.nodes {
		if st := n.states[len(n.states)-1]; st.live && st.owner == h.ClientID {
			owned = append(owned, path)
		}
	}
	slices.Sort(owned)
	if !slices.Equal(listed, owned) {
		o.s.fault("%s: session %x is closed with %v, it owns %v", short(o.z), h.ClientID, listed, owned)
	}
	for _, p := range owned {
		o.delete(p, false)
	}
}

func parentOf(path string) (parent, name string) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 1)], path[i+1:]
}

func (o *oracle) tell(typ wire.EventType, path string) {
	o.events = append(o.events, mevent{o.z, typ, path})
	if typ == wire.EventNodeChildrenChanged {
		o.children[path] = append(o.children[path], len(o.events)-1)
		return
	}
	o.changed[path] = append(o.changed[path], len(o.events)-1)
}

func (o *oracle) create(h *znode.TxnHeader, x *znode.CreateTxn, typ wire.Op) {
	path := string(x.Path)
	parent, name := parentOf(path)
	if st := o.at(parent, o.z); !st.live || kindOf(st.owner) == znode.Ephemeral || o.at(path, o.z).live {
		o.s.fault("%s: creates %s, which is there, or has no parent", short(o.z), path)
		return
	}
	owner := x.Owner(typ, h.ClientID)
	if x.Ephemeral && !o.alive(h.ClientID, o.z) {
		o.s.fault("%s: creates the ephemeral %s of session %x, which is closed", short(o.z), path, h.ClientID)
	}
	p := o.now(parent)
	p.made++
	if x.ParentCversion != p.made {
		o.s.fault("%s: creates child %d of %s as number %d", short(o.z), p.made, parent, x.ParentCversion)
	}
	o.setKids(parent, func(names []string) []string {
		i, _ := slices.BinarySearch(names, name)
		return slices.Insert(slices.Clone(names), i, name)
	})
	st := o.now(path)
	*st = mstate{zxid: o.z, live: true, data: string(x.Data), owner: owner}
	st.stat = wire.Stat{Czxid: o.z, Mzxid: o.z, Pzxid: o.z, Ctime: h.Time, Mtime: h.Time, DataLength: int32(len(x.Data))} //nolint:gosec // short
	if kindOf(owner) == znode.Ephemeral {
		st.stat.EphemeralOwner = owner
	}
	o.tell(wire.EventNodeCreated, path)
	o.tell(wire.EventNodeChildrenChanged, parent)
}

func kindOf(owner int64) znode.Kind { return znode.OwnerKinds{Extended: true}.Of(owner) }

// setKids changes the list of children, and what of the Stat follows from it.
func (o *oracle) setKids(path string, change func([]string) []string) {
	st := o.now(path)
	n := o.nodes[path]
	names := change(o.kidsAt(path, o.z))
	if k := len(n.kids); k > 0 && n.kids[k-1].zxid == o.z {
		n.kids[k-1].names = names
	} else {
		n.kids = append(n.kids, mkids{o.z, names})
	}
	st.stat.Pzxid, st.stat.NumChildren = o.z, int32(len(names)) //nolint:gosec // few
	st.stat.Cversion = 2*st.made - st.stat.NumChildren
}

func (o *oracle) delete(path string, reaped bool) {
	st := o.now(path)
	parent, name := parentOf(path)
	kind := kindOf(st.owner)
	if !st.live || st.stat.NumChildren != 0 || reaped && kind != znode.Container && kind != znode.TTL {
		o.s.fault("%s: deletes %s, which is %+v", short(o.z), path, *st)
		return
	}
	*st = mstate{zxid: o.z}
	o.setKids(parent, func(names []string) []string {
		i, _ := slices.BinarySearch(names, name)
		return slices.Delete(slices.Clone(names), i, i+1)
	})
	o.nodes[path].kids = append(o.nodes[path].kids, mkids{zxid: o.z})
	o.tell(wire.EventNodeDeleted, path)
	o.tell(wire.EventNodeChildrenChanged, parent)
}

func (o *oracle) setData(h *znode.TxnHeader, x *znode.SetDataTxn) {
	path := string(x.Path)
	if st := o.at(path, o.z); !st.live || st.stat.Version+1 != x.Version {
		o.s.fault("%s: sets %s to version %d, it is %+v", short(o.z), path, x.Version, st)
		return
	}
	st := o.now(path)
	st.data = string(x.Data)
	st.stat.Version, st.stat.Mzxid, st.stat.Mtime = x.Version, o.z, h.Time
	st.stat.DataLength = int32(len(x.Data)) //nolint:gosec // short
	o.tell(wire.EventNodeDataChanged, path)
	if path == fencePath {
		o.fence(st.data)
	}
}

// fence: whoever writes the fence holds the lock, alone: its lock node is there, and
// nobody is before it.
func (o *oracle) fence(holder string) {
	names := o.kidsAt(lockPath, o.z)
	mine := strings.TrimPrefix(holder, lockPath+"/")
	if !slices.Contains(names, mine) || slices.ContainsFunc(names, func(n string) bool { return turn(n) < turn(mine) }) {
		o.s.fault("lock: %s writes the fence at %s, the queue is %v", mine, short(o.z), names)
	}
}

// turn is the sequence number of a lock node.
func turn(name string) string { return name[max(0, len(name)-10):] }
