package znode

import "github.com/quorate/quorate/wire"

// Parses reports whether the body of a write can be read at all. A server that
// forwards writes asks before it does: a Java leader of the 3.9 line stops for
// ever over a request that it cannot read (quorum protocol, ZOOKEEPER-4575).
func Parses(op wire.Op, body []byte) bool {
	r := wire.NewReader(body)
	switch op { //nolint:exhaustive // all others are no writes of a client
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		var c wire.CreateRequest
		c.Decode(&r, op)
	case wire.OpDelete:
		var d wire.PathVersion
		d.Decode(&r)
	case wire.OpSetData:
		var s wire.SetDataRequest
		s.Decode(&r)
	case wire.OpSetACL:
		var s wire.SetACLRequest
		s.Decode(&r)
	case wire.OpDeleteContainer:
		return r.Ustring() != nil && r.Err() == nil
	case wire.OpReconfig:
		var c wire.ReconfigRequest
		c.Decode(&r)
	case wire.OpMulti:
		_, code := checkMulti(body)
		return code != codeUnparsed
	case wire.OpCreateSession:
		r.Int()
	case wire.OpCloseSession:
	default:
		return false
	}
	return r.Err() == nil
}
