package replica

import "github.com/quorate/quorate/wire"

// multiRead answers a list of getData and getChildren. Watch flags in it are
// ignored. A list that can be read but not served is refused with an empty list
// of results behind the header, as in ZooKeeper; also one whose results would be
// too long.
func (q *query) multiRead() wire.Code {
	p := &q.c.part
	if !p.begun {
		kind, ok := multiKindOf(q.rd)
		if !ok {
			return wire.ErrMarshalling
		}
		if kind == multiWrites {
			return q.refuseMultiRead()
		}
	}
	q.limit = q.r.opt.MultiReadBytesMax - p.size
	q.rd = wire.NewReader(q.body[p.off:])
	for n, base := 0, p.off; ; n++ {
		off := base + q.rd.Offset()
		var h wire.MultiHeader
		h.Decode(&q.rd)
		if h.Done {
			q.c.out = wire.MultiEnd.Append(q.c.out)
			q.join()
			return wire.OK
		}
		if n == pieceOps || len(q.c.out)-q.start >= pieceBytes {
			q.pause(off)
			return wire.OK
		}
		mark := len(q.c.out)
		code := q.multiReadOne(h.Op)
		if q.need.kind != needNothing {
			q.c.out = q.c.out[:mark]
			q.readAhead(off)
			q.pause(off)
			return wire.OK
		}
		if code == wire.ErrMarshalling || q.room() < wire.MultiHeaderBytes {
			return q.refuseMultiRead()
		}
	}
}

// refuseMultiRead answers with an error and an empty list.
func (q *query) refuseMultiRead() wire.Code {
	q.c.out = wire.MultiEnd.Append(q.c.out[:q.start])
	q.keepBody = true
	return wire.ErrMarshalling
}

// readAhead adds what the operations behind the one at off will need.
func (q *query) readAhead(off int) {
	if !q.c.part.lacks(off) || q.need.kind != needNode {
		return
	}
	for range pieceOps {
		var h wire.MultiHeader
		var w wire.PathWatch
		if h.Decode(&q.rd); h.Done {
			return
		}
		if w.Decode(&q.rd); !q.ahead(w.Path) {
			return
		}
	}
}

// multiReadOne appends the result of one operation.
func (q *query) multiReadOne(op wire.Op) (code wire.Code) {
	mark := len(q.c.out)
	q.c.out = wire.MultiHeader{Op: op}.Append(q.c.out)
	if op == wire.OpGetData {
		code = q.getData(false)
	} else {
		code = q.getChildren(op, false)
	}
	if code != wire.OK {
		q.c.out = wire.MultiHeader{Op: wire.OpError, Err: code}.Append(q.c.out[:mark])
		q.c.out = wire.AppendInt(q.c.out, int32(code))
	}
	return code
}

// multiKind is what the operations of a list have in common.
type multiKind uint8

const (
	multiEmpty multiKind = iota
	multiReads
	multiWrites
)

// multiKindOf reads a list through. It is false when a record cannot be read,
// or when the operations are not of one kind (MultiOperationRecord).
func multiKindOf(rd wire.Reader) (kind multiKind, ok bool) {
	for {
		var h wire.MultiHeader
		h.Decode(&rd)
		if rd.Err() != nil {
			return kind, false
		}
		if h.Done {
			return kind, true
		}
		k := skipMultiOp(&rd, h.Op)
		if k == multiEmpty || kind != multiEmpty && k != kind || rd.Err() != nil {
			return kind, false
		}
		kind = k
	}
}

// skipMultiOp reads one operation's record over; multiEmpty is its kind when it
// may not be in a list.
func skipMultiOp(rd *wire.Reader, op wire.Op) multiKind {
	switch op { //nolint:exhaustive // all others may not be in a list
	case wire.OpGetData, wire.OpGetChildren:
		var p wire.PathWatch
		p.Decode(rd)
		return multiReads
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		var c wire.CreateRequest
		c.Decode(rd, op)
	case wire.OpDelete, wire.OpCheck:
		var p wire.PathVersion
		p.Decode(rd)
	case wire.OpSetData:
		var d wire.SetDataRequest
		d.Decode(rd)
	default:
		return multiEmpty
	}
	return multiWrites
}
