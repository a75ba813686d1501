package znode

import (
	"github.com/quorate/quorate/wire"
)

// multi appends the record of a multi: every operation is checked against what
// the ones before it leave behind. The first that fails takes everything back:
// then it stands in the record as an error with its code, those before it as
// they are, those after it as errors with -2, and nobody applies any of them.
func (p *Preparer) multi(dst []byte, req *Request) ([]byte, wire.Code) {
	count, code := checkMulti(req.Body)
	if code != wire.OK {
		return dst, code
	}
	digest := p.digest
	p.pending.begin()
	dst, code = p.multiOps(wire.AppendInt(dst, int32(count)), req)
	if code == wire.OK {
		p.pending.commit()
		return dst, wire.OK
	}
	p.pending.rollback(req.Zxid)
	p.digest = digest
	if code == codeMultiFailed {
		return dst, wire.OK
	}
	return dst, code
}

// codeMultiFailed says that an operation failed and the record tells so.
const codeMultiFailed wire.Code = 3

// multiOps appends the operations of a body that checkMulti accepted.
func (p *Preparer) multiOps(dst []byte, req *Request) ([]byte, wire.Code) {
	failed := wire.OK
	r := wire.NewReader(req.Body)
	for {
		op, more := nextMultiOp(&r)
		if !more {
			break
		}
		if failed != wire.OK {
			_, _ = skipMultiOp(&r, op)
			dst = appendMultiError(dst, wire.ErrRuntimeInconsistency)
			continue
		}
		start := len(dst)
		out, code := p.multiOp(dst, req, op, &r)
		switch code {
		case wire.OK:
			dst = out
		case codeIO, wire.ErrMarshalling:
			// Not the operation failed: the request as a whole did.
			return dst, code
		default:
			failed = codeMultiFailed
			dst = appendMultiError(out[:start], code)
		}
	}
	return dst, failed
}

func appendMultiError(dst []byte, code wire.Code) []byte {
	dst, record := appendMultiOp(dst, wire.OpError)
	dst = ErrorTxn{code}.Append(dst)
	endMultiOp(dst, record)
	return dst
}

// multiOp appends one operation. Which create it is depends on the flags, not
// only on the operation it was sent as.
func (p *Preparer) multiOp(dst []byte, req *Request, op wire.Op, r *wire.Reader) (out []byte, code wire.Code) {
	if !isCreate(op) {
		dst, record := appendMultiOp(dst, op)
		dst, code = p.operation(dst, req, op, r)
		endMultiOp(dst, record)
		return dst, code
	}
	var c wire.CreateRequest
	c.Decode(r, op)
	op = multiCreateOp(op, c.Flags)
	if op != wire.OpCreateTTL {
		c.TTL = -1
	}
	dst, record := appendMultiOp(dst, op)
	dst, code = p.create(dst, req, &c, op)
	endMultiOp(dst, record)
	return dst, code
}

func isCreate(op wire.Op) bool {
	return op == wire.OpCreate || op == wire.OpCreate2 || op == wire.OpCreateContainer || op == wire.OpCreateTTL
}

// multiCreateOp returns what a create in a multi is by its flags: a container
// by any name, and a plain create where createTTL has no TTL flag.
func multiCreateOp(op wire.Op, flags int32) wire.Op {
	switch {
	case flags == wire.FlagContainer:
		return wire.OpCreateContainer
	case op == wire.OpCreateTTL && !ttlFlag(flags):
		return wire.OpCreate
	default:
		return op
	}
}

// nextMultiOp reads the header of the next operation; more is false at the end.
func nextMultiOp(r *wire.Reader) (op wire.Op, more bool) {
	var h wire.MultiHeader
	h.Decode(r)
	return h.Op, r.Err() == nil && !h.Done
}

// checkMulti reads a whole multi before any of it is looked at, as a server
// does, and counts the operations. What does not parse takes a zxid all the
// same (-5), as do reads, whose kind may not be mixed with writes either; a
// null list takes none, because it breaks a Java server earlier.
func checkMulti(body []byte) (count int, code wire.Code) {
	r := wire.NewReader(body)
	var nullPath, reads bool
	for {
		op, more := nextMultiOp(&r)
		if !more {
			break
		}
		path, code := skipMultiOp(&r, op)
		if code != wire.OK {
			return 0, code
		}
		read := op == wire.OpGetData || op == wire.OpGetChildren
		if count > 0 && read != reads {
			return 0, wire.ErrMarshalling
		}
		nullPath, reads = nullPath || path == nil, read
		count++
	}
	if r.Err() != nil || nullPath || reads {
		return 0, wire.ErrMarshalling
	}
	return count, wire.OK
}

// skipMultiOp reads one operation and returns its path.
func skipMultiOp(r *wire.Reader, op wire.Op) (path []byte, code wire.Code) {
	switch op {
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		var c wire.CreateRequest
		c.Decode(r, op)
		path, code = c.Path, multiCreateCode(&c, op)
	case wire.OpDelete, wire.OpCheck:
		var d wire.PathVersion
		d.Decode(r)
		path = d.Path
	case wire.OpSetData:
		var s wire.SetDataRequest
		s.Decode(r)
		path = s.Path
	case wire.OpGetData, wire.OpGetChildren:
		var g wire.PathWatch
		g.Decode(r)
		path = g.Path
	default:
		return nil, wire.ErrMarshalling
	}
	if r.Err() != nil {
		return nil, wire.ErrMarshalling
	}
	return path, code
}

// multiCreateCode says what is wrong with a create so that the multi does not
// parse. A createTTL is judged later, like one by itself.
func multiCreateCode(c *wire.CreateRequest, op wire.Op) wire.Code {
	switch {
	case op == wire.OpCreateTTL:
		return wire.OK
	case !knownFlag(c.Flags):
		return wire.ErrMarshalling
	case c.ACL.IsNull():
		return codeUnparsed
	case ttlFlag(c.Flags):
		return wire.ErrMarshalling
	default:
		return wire.OK
	}
}
