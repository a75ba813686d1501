package replica

import (
	"bytes"
	"math"
	"strings"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/znode"
)

// demand is what a request lacks that only the backend has. It is satisfied
// without locks, and the request is then served again.
type demand struct {
	kind  needKind
	path  []byte   // aliases the request
	more  [][]byte // needNode: others besides
	ahead [][]byte // needNode: others that come next
}

type needKind uint8

const (
	needNothing needKind = iota
	needNode
	needChildren
	needCount
	needTurn // nothing, but others are to have their turn
)

// satisfy brings what was asked for into memory. No lock is held.
func (r *Replica) satisfy(c *Client, d demand) error {
	err := r.load(c, d)
	if r.opt.Crowded == nil || d.kind == needTurn {
		return err
	}
	r.Tree().RLock()
	over := r.Tree().OverBudget()
	r.Tree().RUnlock()
	if over {
		r.opt.Crowded()
	}
	return err
}

func (r *Replica) load(c *Client, d demand) error {
	r.loading.RLock()
	defer r.loading.RUnlock()
	switch d.kind {
	case needNode:
		if err := r.Tree().LoadMissing(&znode.NotResidentError{Path: d.path, More: d.more}); err != nil || len(d.ahead) == 0 {
			return err
		}
		return r.loadAhead(d.ahead)
	case needChildren:
		return r.Tree().LoadChildren(d.path)
	case needCount:
		n, err := r.Tree().Descendants(d.path)
		c.mu.Lock()
		c.counted = countResult{n: n, valid: true}
		c.mu.Unlock()
		return err
	default:
		return nil
	}
}

// countResult is the number of descendants that satisfy found.
type countResult struct {
	n     int64
	valid bool
}

// packetBytesMax is the longest packet whose length can be told.
const packetBytesMax = math.MaxInt32

// query is one read under way.
type query struct {
	c    *Client
	r    *Replica
	ids  []wire.ID
	body []byte
	rd   wire.Reader
	need demand
	node znode.Node
	// mark is where in the output the answer's frame begins, start its body.
	mark, start int
	// limit bounds the answer, its header included.
	limit int
	// keepBody says that something follows the header although it is an error.
	keepBody bool
	// last says that the connection ends after the answer.
	last bool
}

// serve answers one request that changes nothing, or says what it needs first;
// then the output is as it was, and the request is to be served again: what is done
// of it is in c.part. The tree is locked, for reading at least, and
// so is c.
func (c *Client) serve(xid int32, op wire.Op, ids []wire.ID, body []byte) demand {
	out, mark := wire.BeginFrame(c.out)
	q := query{c: c, r: c.r, ids: ids, body: body, rd: wire.NewReader(body), mark: mark, limit: packetBytesMax}
	h := wire.ReplyHeader{Xid: xid, Zxid: c.r.Tree().LastZxid()}
	if op == wire.OpPing {
		h.Xid = wire.XidPing
	}
	if op == wire.OpSASL {
		h.Zxid = 0
	}
	c.out = h.Append(out)
	q.start = len(c.out)
	code := q.run(op)
	if q.need.kind != needNothing {
		c.out = c.out[:q.mark]
		return q.need
	}
	if code != wire.OK {
		if !q.keepBody {
			c.out = c.out[:q.start]
		}
		wire.PutInt(c.out, q.start-4, int32(code))
	}
	if c.part.begun {
		c.part = progress{}
	}
	c.out = wire.EndFrame(c.out, q.mark)
	if q.last {
		c.setState(StateClosed)
	}
	c.Stats.sent()
	c.r.Stats.Sent.Add(1)
	return demand{}
}

// run dispatches by operation. It appends the body of the answer to the
// client's output.
func (q *query) run(op wire.Op) wire.Code {
	switch op {
	case wire.OpGetData:
		return q.getData(true)
	case wire.OpExists:
		return q.exists()
	case wire.OpGetChildren, wire.OpGetChildren2:
		return q.getChildren(op, true)
	case wire.OpGetACL:
		return q.getACL()
	case wire.OpPing:
		return wire.OK
	case wire.OpSync:
		return q.sync()
	case wire.OpMultiRead:
		return q.multiRead()
	case wire.OpSetWatches, wire.OpSetWatches2:
		return q.setWatches(op)
	case wire.OpAddWatch:
		return q.addWatch()
	case wire.OpCheckWatches, wire.OpRemoveWatches:
		return q.checkWatches(op)
	case wire.OpGetEphemerals:
		return q.getEphemerals()
	case wire.OpGetAllChildrenNumber:
		return q.getAllChildrenNumber()
	case wire.OpWhoAmI:
		return q.whoAmI()
	case wire.OpSASL:
		return q.sasl()
	default:
		return wire.ErrUnimplemented
	}
}

// room is how much longer the answer may become.
func (q *query) room() int { return q.limit - (len(q.c.out) - q.mark) }

// find looks path up and checks perm. A missing node is ErrNoNode.
func (q *query) find(path []byte, perm int32) wire.Code {
	if path == nil {
		return wire.ErrMarshalling
	}
	switch q.r.Tree().Find(path, &q.node) {
	case znode.Absent:
		return wire.ErrNoNode
	case znode.NotResident:
		q.need = demand{kind: needNode, path: path}
		return wire.OK
	case znode.Found:
	}
	if !q.r.allowed(q.node.ACL, perm, q.ids) {
		return wire.ErrNoAuth
	}
	return wire.OK
}

// allowed checks a permission. The common list needs no look-up.
func (r *Replica) allowed(acl znode.ACLID, perm int32, ids []wire.ID) bool {
	return acl == znode.OpenACLID || r.Tree().ACLs().Allowed(acl, perm, ids)
}

func (q *query) appendStat() {
	var s wire.Stat
	q.node.WireStat(&s, q.r.opt.Rules.Kinds)
	q.c.out = s.Append(q.c.out)
}

func (q *query) getData(mayWatch bool) wire.Code {
	var p wire.PathWatch
	p.Decode(&q.rd)
	if q.rd.Err() != nil {
		return wire.ErrMarshalling
	}
	if code := q.find(p.Path, wire.PermRead); code != wire.OK || q.need.kind != needNothing {
		return code
	}
	if p.Watch && mayWatch {
		if code := q.watch(dataWatch, p.Path); code != wire.OK {
			return code
		}
	}
	q.c.out = wire.AppendBuffer(q.c.out, q.node.Data)
	q.appendStat()
	q.c.read(p.Path, len(q.node.Data))
	return wire.OK
}

func (q *query) exists() wire.Code {
	var p wire.PathWatch
	p.Decode(&q.rd)
	if q.rd.Err() != nil || p.Path == nil {
		return wire.ErrMarshalling
	}
	if bytes.IndexByte(p.Path, 0) >= 0 {
		return wire.ErrBadArguments
	}
	code := q.find(p.Path, wire.PermRead)
	if q.need.kind != needNothing || code == wire.ErrNoAuth {
		return code
	}
	if p.Watch {
		if code := q.watch(dataWatch, p.Path); code != wire.OK {
			return code
		}
	}
	if code == wire.OK {
		q.appendStat()
		q.c.read(p.Path, 0)
	}
	return code
}

func (q *query) getChildren(op wire.Op, mayWatch bool) wire.Code {
	var p wire.PathWatch
	p.Decode(&q.rd)
	if q.rd.Err() != nil {
		return wire.ErrMarshalling
	}
	if code := q.find(p.Path, wire.PermRead); code != wire.OK || q.need.kind != needNothing {
		return code
	}
	mark, count, room := len(q.c.out), int32(0), q.room()-4-wire.StatBytes
	q.c.out = wire.AppendInt(q.c.out, 0)
	res := q.r.Tree().Children(p.Path, func(name []byte) {
		if room -= 4 + len(name); room >= 0 {
			q.c.out = wire.AppendString(q.c.out, name)
			count++
		}
	})
	if res == znode.NotResident {
		q.need = demand{kind: needChildren, path: p.Path}
		return wire.OK
	}
	if room < 0 {
		return wire.ErrMarshalling // a packet that long cannot be sent
	}
	wire.PutInt(q.c.out, mark, count)
	if p.Watch && mayWatch {
		if code := q.watch(childWatch, p.Path); code != wire.OK {
			return code
		}
	}
	q.c.read(p.Path, len(q.c.out)-mark-4-4*int(count))
	if op == wire.OpGetChildren2 {
		q.appendStat()
	}
	return wire.OK
}

func (q *query) getACL() wire.Code {
	path := q.rd.Ustring()
	if q.rd.Err() != nil || path == nil {
		return wire.ErrMarshalling
	}
	code := q.find(path, wire.PermRead|wire.PermAdmin)
	if code != wire.OK || q.need.kind != needNothing {
		return code
	}
	acl := q.r.Tree().ACLs().Get(q.node.ACL)
	if !q.r.allowed(q.node.ACL, wire.PermAdmin, q.ids) {
		acl = znode.MaskDigests(acl)
	}
	q.c.out = wire.AppendACLs(q.c.out, acl)
	q.appendStat()
	return wire.OK
}

func (q *query) sync() wire.Code {
	path := q.rd.Ustring()
	if q.rd.Err() != nil {
		return wire.ErrMarshalling
	}
	q.c.out = wire.AppendBuffer(q.c.out, path)
	return wire.OK
}

func (q *query) getEphemerals() wire.Code {
	prefix := q.rd.Ustring()
	if q.rd.Err() != nil {
		return wire.ErrMarshalling
	}
	if len(bytes.TrimSpace(prefix)) == 0 || string(prefix) == "/" {
		prefix = nil
	}
	mark, count := len(q.c.out), int32(0)
	q.c.out = wire.AppendInt(q.c.out, 0)
	for _, p := range q.r.Tree().Ephemerals(q.c.session.ID) {
		if len(p) >= len(prefix) && p[:len(prefix)] == string(prefix) {
			q.c.out = wire.AppendString(q.c.out, p)
			count++
		}
	}
	wire.PutInt(q.c.out, mark, count)
	return wire.OK
}

func (q *query) getAllChildrenNumber() wire.Code {
	path := q.rd.Ustring()
	if q.rd.Err() != nil {
		return wire.ErrMarshalling
	}
	counted := q.c.counted
	q.c.counted = countResult{} // whatever comes now: it is not another request's
	if code := q.find(path, wire.PermRead); code != wire.OK || q.need.kind != needNothing {
		return code
	}
	if !counted.valid {
		q.need = demand{kind: needCount, path: path}
		return wire.OK
	}
	q.c.out = wire.AppendInt(q.c.out, int32(counted.n))
	return wire.OK
}

// whoAmI tells the connection's credentials; of a digest only the user.
func (q *query) whoAmI() wire.Code {
	q.c.out = wire.AppendInt(q.c.out, int32(len(q.ids)))
	for _, id := range q.ids {
		user := id.ID
		if id.Scheme == "digest" {
			user, _, _ = strings.Cut(user, ":")
		}
		q.c.out = wire.AppendString(wire.AppendString(q.c.out, id.Scheme), user)
	}
	return wire.OK
}

// sasl answers as a server without SASL does: no error and a null token.
func (q *query) sasl() wire.Code {
	q.c.out = wire.AppendBuffer(q.c.out, nil)
	return wire.OK
}

func (q *query) addWatch() wire.Code {
	var p wire.PathType
	p.Decode(&q.rd)
	if q.rd.Err() != nil || p.Path == nil || p.Type < wire.AddWatchPersistent ||
		p.Type > wire.AddWatchPersistentRecursive || q.r.opt.WatchesOptimized {
		return wire.ErrMarshalling
	}
	kind := persistentWatch
	if p.Type == wire.AddWatchPersistentRecursive {
		kind = recursiveWatch
	}
	if code := q.watch(kind, p.Path); code != wire.OK {
		return code
	}
	q.c.out = wire.AppendInt(q.c.out, 0)
	return wire.OK
}

func (q *query) checkWatches(op wire.Op) wire.Code {
	var p wire.PathType
	p.Decode(&q.rd)
	typ := wire.WatcherType(p.Type)
	if q.rd.Err() != nil || p.Path == nil || typ < wire.WatcherChildren || typ > wire.WatcherPersistentRecursive {
		return wire.ErrMarshalling
	}
	q.r.watchMu.Lock()
	defer q.r.watchMu.Unlock()
	found := false
	if op == wire.OpCheckWatches {
		found = q.r.watches.Check(p.Path, typ, q.c.watcher)
	} else {
		found = q.r.watches.Remove(p.Path, typ, q.c.watcher)
	}
	if !found {
		return wire.ErrNoWatcher
	}
	return wire.OK
}

// watchKind is how a watch is registered.
type watchKind uint8

const (
	dataWatch watchKind = iota
	childWatch
	persistentWatch
	recursiveWatch
)

// watch registers a watch of the client under the path as it was given. "", under
// which reads find the root, is no alias here: such a watch never fires, as in
// ZooKeeper. It is refused when the client's watches take too much memory; ZooKeeper
// has no code for that, so it is one that all clients know.
func (q *query) watch(kind watchKind, path []byte) wire.Code {
	r, w := q.r, q.c.watcher
	r.watchMu.Lock()
	defer r.watchMu.Unlock()
	added := false
	switch kind {
	case dataWatch:
		added = r.watches.AddData(path, w)
	case childWatch:
		added = r.watches.AddChild(path, w)
	default:
		added = r.watches.AddPersistent(path, w, kind == recursiveWatch)
	}
	if !added {
		return wire.ErrBadArguments
	}
	return wire.OK
}
