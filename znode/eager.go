package znode

import "github.com/quorate/quorate/wire"

// Eager tells with which code a server refuses a write before the leader hears of it
// (enableEagerACLCheck): a list that is not valid, or a permission that the ids lack as
// this tree stands, changes under way left out. OK lets it go on, also where nothing
// can be said: of other operations, of znodes that are not there. The caller holds no
// lock. An error is the backend's.
func (t *Tree) Eager(op wire.Op, body []byte, ids []wire.ID) (wire.Code, error) {
	q, ok := eagerQuestion(op, body)
	if !ok {
		return wire.OK, nil
	}
	if q.sets {
		if _, _, code := t.acls.auth.Load().FixACL(q.acl, ids); code != wire.OK {
			return onlyInvalid(code), nil
		}
	}
	info, found, err := t.Lookup(q.path)
	if err != nil || !found || t.acls.Allowed(info.ACL, q.perm, ids) {
		return wire.OK, err
	}
	return wire.ErrNoAuth, nil
}

// eager is what is asked of a write early.
type eager struct {
	path []byte // of the znode whose list decides
	perm int32
	sets bool // the write sets acl
	acl  wire.ACLVector
}

// eagerQuestion reads a write. ok is false if nothing is asked of it.
func eagerQuestion(op wire.Op, body []byte) (q eager, ok bool) {
	r := wire.NewReader(body)
	switch op {
	case wire.OpCreate, wire.OpCreate2:
		var c wire.CreateRequest
		c.Decode(&r, op)
		q.perm, q.sets, q.acl = wire.PermCreate, true, c.ACL
		q.path, ok = eagerParent(c.Path)
	case wire.OpDelete:
		var d wire.PathVersion
		d.Decode(&r)
		q.perm = wire.PermDelete
		q.path, ok = eagerParent(d.Path)
	case wire.OpSetData:
		var s wire.SetDataRequest
		s.Decode(&r)
		q.path, q.perm, ok = s.Path, wire.PermWrite, s.Path != nil
	case wire.OpSetACL:
		var s wire.SetACLRequest
		s.Decode(&r)
		q.path, q.perm, q.sets, q.acl, ok = s.Path, wire.PermAdmin, true, s.ACL, s.Path != nil
	default:
		return q, false
	}
	return q, ok && r.Err() == nil
}

// eagerParent is the parent of a path; not that of a system node, of which something
// else is said later.
func eagerParent(path []byte) (parent []byte, ok bool) {
	if systemPath(path) {
		return nil, false
	}
	parent, code := parentOf(path)
	return parent, code == wire.OK
}

// onlyInvalid leaves what else is wrong with a list to the leader.
func onlyInvalid(code wire.Code) wire.Code {
	if code != wire.ErrInvalidACL {
		return wire.OK
	}
	return wire.ErrInvalidACL
}
