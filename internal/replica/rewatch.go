package replica

import (
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/znode"
)

// watchPlace is where in a setWatches the next path is: the list it is in, and how
// many are left there. It begins in list -1.
type watchPlace struct{ list, left int }

// next goes on to the next path, over lists that have none. It is false at the end.
func (w *watchPlace) next(rd *wire.Reader, op wire.Op) bool {
	for w.left <= 0 {
		if w.list+1 == wire.WatchLists(op) {
			return false
		}
		w.list++
		w.left = rd.Count(4)
	}
	w.left--
	return true
}

// setWatches registers again what a client watched on its last connection, and
// first tells it of what it missed (semantics of DataTree.setWatches). Its
// notifications carry zxid -1 and precede the answer, so they are put in front
// of the header that serve has begun.
//
// One that would make the client's watches take too much memory is refused, and the
// connection ends: clients do not look at this answer, and would wait for events.
func (q *query) setWatches(op wire.Op) wire.Code {
	p := &q.c.part
	since := q.rd.Long()
	if !p.begun {
		if !pathsWhole(q.rd, op) {
			return wire.ErrMarshalling
		}
		*p = progress{begun: true, off: q.rd.Offset(), place: watchPlace{list: -1}}
	}
	const begun = wire.FrameHeaderBytes + wire.ReplyHeaderBytes
	header := [begun]byte(q.c.out[q.mark:])
	q.c.out = q.c.out[:q.mark]
	code := q.rewatchPiece(op, since)
	q.mark = len(q.c.out)
	q.c.out = append(q.c.out, header[:]...)
	q.start = len(q.c.out)
	q.last = code != wire.OK
	return code
}

// pathsWhole reads the lists of a setWatches through. It is false when one of them
// cannot be read, or has a path that is null.
func pathsWhole(rd wire.Reader, op wire.Op) bool {
	for place := (watchPlace{list: -1}); place.next(&rd, op); {
		if rd.Ustring() == nil {
			return false
		}
	}
	return rd.Err() == nil
}

// rewatchPiece handles paths from where the request has got to, until it is through,
// lacks something, or is refused.
func (q *query) rewatchPiece(op wire.Op, since int64) wire.Code {
	p := &q.c.part
	base := p.off
	q.rd = wire.NewReader(q.body[base:])
	for n := 0; ; n++ {
		place := p.place
		if !place.next(&q.rd, op) {
			return wire.OK
		}
		if n == pieceOps {
			q.need.kind = needTurn
			return wire.OK
		}
		if code := q.rewatch(place.list, q.rd.Ustring(), since); code != wire.OK {
			return code
		}
		if q.need.kind != needNothing {
			q.rewatchAhead(op, place)
			return wire.OK
		}
		p.place, p.off = place, base+q.rd.Offset()
	}
}

// rewatchAhead adds what the paths behind a place will need.
func (q *query) rewatchAhead(op wire.Op, place watchPlace) {
	if p := &q.c.part; !p.lacks(p.off) {
		return
	}
	for range pieceOps {
		if !place.next(&q.rd, op) {
			return
		}
		if path := q.rd.Ustring(); place.list < listPersistent && !q.ahead(path) {
			return
		}
	}
}

// The lists of a setWatches, in wire order.
const (
	listData = iota
	listExist
	listChild
	listPersistent
	listRecursive
)

// rewatch handles one path of a setWatches: an event when its change was
// missed, else the watch again. The node may have to be loaded first.
func (q *query) rewatch(list int, path []byte, since int64) wire.Code {
	switch list {
	case listPersistent:
		return q.watch(persistentWatch, path)
	case listRecursive:
		return q.watch(recursiveWatch, path)
	}
	res := q.r.Tree().Find(path, &q.node)
	if res == znode.NotResident {
		q.need = demand{kind: needNode, path: path}
		return wire.OK
	}
	typ := wire.EventType(0)
	switch there := res == znode.Found; {
	case list == listExist && there:
		typ = wire.EventNodeCreated
	case list != listExist && !there:
		typ = wire.EventNodeDeleted
	case list == listData && q.node.Stat.Mzxid > since:
		typ = wire.EventNodeDataChanged
	case list == listChild && q.node.Stat.Pzxid > since:
		typ = wire.EventNodeChildrenChanged
	}
	switch {
	case typ != 0:
		q.c.out = wire.AppendNotification(q.c.out, -1, typ, path)
		return wire.OK
	case list == listChild:
		return q.watch(childWatch, path)
	default:
		return q.watch(dataWatch, path)
	}
}
