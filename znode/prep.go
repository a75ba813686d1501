package znode

import (
	"bytes"
	"fmt"

	"github.com/quorate/quorate/wire"
)

// View is the applied tree as the rules see it. [Tree] implements it. The
// caller of a [Preparer] sees to it that nobody changes it meanwhile.
type View interface {
	// Lookup finds a znode, reading it from the backend if need be; the error
	// is the backend's. Any bytes may be asked for: paths that no znode can
	// have ("a", "/a/", "//") are not found. The root is "/".
	Lookup(path []byte) (Info, bool, error)
	ACLs() *ACLTable
	// Quota returns the limits and the usage of the deepest znode with a quota
	// on the path, itself included; ok is false when there is none.
	Quota(path []byte) (root string, lim QuotaLimits, use QuotaUsage, ok bool)
	// Ephemerals returns the paths of the session's ephemerals, in any order.
	Ephemerals(session int64) []string
	// Digest is the digest of the whole tree.
	Digest() uint64
}

// Rules are the settings that decide what is allowed and what is proposed.
// They must be the same on every server of an ensemble.
type Rules struct {
	Kinds OwnerKinds
	// EnforceQuota makes hard quotas refuse (-125).
	EnforceQuota bool
	// Digest appends the tree's digest to every transaction.
	Digest bool
	// BareCloseSession leaves the list of ephemerals out of closeSession
	// (closeSessionTxn.enabled=false), for servers before 3.6, which cannot read it.
	BareCloseSession bool
	// ReconfigEnabled admits reconfig, which is refused (-123) without.
	ReconfigEnabled bool
	// Reconfig judges a reconfig that passed the checks that come before: it
	// returns the new configuration's text, or why not. nil is a standalone
	// server, which has none (-6).
	Reconfig func(req *wire.ReconfigRequest, zxid int64) (config []byte, code wire.Code)
	// Auth is the schemes; nil is ip and digest as they are by default.
	Auth *Auth
}

// Request is one client's write.
type Request struct {
	Session int64
	Cxid    int32
	Op      wire.Op
	Body    []byte
	// IDs are what the connection was authenticated as when the request came.
	IDs []wire.ID
	// SessionErr is what the session check says of this write: OK, -112 for a
	// session that is closing, -118 for one that moved, -120 for a local one
	// that cannot be upgraded (which concerns ephemerals alone).
	SessionErr wire.Code
	// Internal is set for the server's own requests: the reaper's
	// deleteContainer.
	Internal bool
	Time     int64 // ms, wall clock
	Zxid     int64 // the one the transaction gets; ascending
}

// What a handler says besides the codes of the protocol, which are negative.
const (
	codeIO       wire.Code = 1 // the backend failed: Preparer.ioErr
	codeUnparsed wire.Code = 2 // the request takes no zxid
)

// Preparer turns requests into transactions at the leader. It checks each one
// against the tree as it will be when everything proposed before is applied:
// the applied tree (the View) under the changes it remembers itself. A request
// that is refused becomes a transaction too, one that changes nothing.
//
// The transaction's bytes are what a Java leader would propose, with these
// exceptions, in which one fails, or its followers disagree with it:
//
//   - the digest of a create with flags 4 (container) by another operation
//     than createContainer, or the reverse, is that of the znode which is made;
//   - a setACL that is proposed counts for the permissions of what follows,
//     always, and not only once it is applied; likewise a closeSession for the
//     number of children;
//   - createTTL without a TTL flag is refused (-8) whatever its ttl;
//   - deleteContainer is refused except for what the reaper may remove;
//   - the limits of a quota on "/" cannot be created (-8);
//   - paths in a closeSession are sorted.
//
// A Preparer belongs to one goroutine, and its View must not change during a
// call. It is made when a server begins to lead, or to serve alone.
type Preparer struct {
	view    View
	rules   Rules
	pending *pendingSet
	digest  uint64 // of the tree with everything pending
	ioErr   error

	// fixed remembers what FixACL said of lists that do not depend on who
	// asks.
	fixed map[string]*fixedACL
	// grown is by how much "auth" has grown the lists of the request at hand.
	grown int
	// paths and names are lent to the request at hand.
	path  []byte
	names []string
}

type fixedACL struct {
	acl []wire.ACL
	vec wire.ACLVector
}

// NewPreparer returns a Preparer for which nothing is pending.
func NewPreparer(v View, r Rules) *Preparer {
	return &Preparer{view: v, rules: r, pending: newPendingSet(), fixed: map[string]*fixedACL{}}
}

// Applied tells that the View contains everything up to zxid: the changes
// pending since then are forgotten. Calling it late costs memory only.
func (p *Preparer) Applied(zxid int64) { p.pending.applied(zxid) }

// Reset forgets everything that is pending, for a View that was replaced or
// changed by others.
func (p *Preparer) Reset() { p.pending = newPendingSet() }

// Pending returns how many changes of znodes are remembered.
func (p *Preparer) Pending() int { return p.pending.queue.len() }

// Prepare appends the transaction that the request becomes to dst: header,
// record and, by the rules, digest. code is what an error transaction says; a
// multi that fails is no such one, its record tells which operation did.
//
// ok is false, and nothing is appended, for a request that takes no zxid:
// its body does not parse (-5), or it is not a write (-6). err is a failure of
// the backend, after which nothing is appended either.
func (p *Preparer) Prepare(dst []byte, req *Request) (out []byte, ok bool, code wire.Code, err error) {
	if q := &p.pending.queue; q.len() == 0 {
		p.digest = p.view.Digest()
	} else if last := q.back().zxid; req.Zxid <= last {
		panic(fmt.Sprintf("znode: zxid %#x is given out after %#x", req.Zxid, last))
	}
	p.grown = 0
	hdr := TxnHeader{ClientID: req.Session, Cxid: req.Cxid, Zxid: req.Zxid, Time: req.Time, Type: req.Op}
	out, code = p.record(hdr.Append(dst), req)
	switch {
	case code == codeIO:
		err, p.ioErr = p.ioErr, nil
		return dst, false, wire.OK, fmt.Errorf("znode: prepare %v: %w", req.Op, err)
	case code == codeUnparsed:
		return dst, false, wire.ErrMarshalling, nil
	case code == wire.ErrUnimplemented && !req.Op.IsWrite():
		return dst, false, code, nil
	case code != wire.OK:
		hdr.Type = wire.OpError
		return ErrorTxn{code}.Append(hdr.Append(dst)), true, code, nil
	case p.rules.Digest:
		out = TxnDigest{digestVersion, p.digest}.Append(out)
	}
	return out, true, wire.OK, nil
}

// record appends the record of the request's transaction.
func (p *Preparer) record(dst []byte, req *Request) ([]byte, wire.Code) {
	r := wire.NewReader(req.Body)
	switch req.Op {
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL,
		wire.OpDelete, wire.OpSetData, wire.OpSetACL:
		return p.operation(dst, req, req.Op, &r)
	case wire.OpMulti:
		return p.multi(dst, req)
	case wire.OpCreateSession:
		return p.createSession(dst, &r)
	case wire.OpCloseSession:
		return p.closeSession(dst, req)
	case wire.OpDeleteContainer:
		return p.deleteContainer(dst, req, &r)
	case wire.OpReconfig:
		return p.reconfig(dst, req, &r)
	default:
		return dst, wire.ErrUnimplemented
	}
}

// operation reads one request and appends its record: of a request by itself,
// or of one in a multi.
func (p *Preparer) operation(dst []byte, req *Request, op wire.Op, r *wire.Reader) ([]byte, wire.Code) {
	switch op {
	case wire.OpDelete:
		var d wire.PathVersion
		if d.Decode(r); r.Err() == nil {
			return p.deleteNode(dst, req, &d)
		}
	case wire.OpCheck:
		var c wire.PathVersion
		if c.Decode(r); r.Err() == nil {
			return p.check(dst, req, &c)
		}
	case wire.OpSetData:
		var s wire.SetDataRequest
		if s.Decode(r); r.Err() == nil {
			return p.setData(dst, req, &s)
		}
	case wire.OpSetACL:
		var s wire.SetACLRequest
		if s.Decode(r); r.Err() == nil {
			return p.setACL(dst, req, &s)
		}
	default:
		var c wire.CreateRequest
		if c.Decode(r, op); r.Err() == nil {
			return p.create(dst, req, &c, op)
		}
	}
	return dst, codeUnparsed
}

// find fills in the znode at path as the rules have to see it.
func (p *Preparer) find(path []byte, st *nodeState) wire.Code {
	if n := p.pending.find(path); n != nil {
		*st = n.nodeState
		if !st.exists {
			return wire.ErrNoNode
		}
		return wire.OK
	}
	info, found, err := p.view.Lookup(path)
	if err != nil {
		p.ioErr = err
		return codeIO
	}
	if !found {
		*st = nodeState{}
		return wire.ErrNoNode
	}
	st.Info, st.exists, st.acl = info, true, openACLList
	if info.ACL != OpenACLID {
		st.acl = p.listOf(info.ACL)
	}
	if p.rules.Digest {
		st.digest = NodeDigest(info.Prefix, &info.Stat, path)
	}
	return wire.OK
}

// listOf returns a list of the tree's. One it does not know lets nobody in.
func (p *Preparer) listOf(id ACLID) []wire.ACL {
	if acl := p.view.ACLs().Get(id); acl != nil || id == NoACLID {
		return acl
	}
	return nobodyList
}

// store makes st, which find filled in, the state of the znode at path.
func (p *Preparer) store(path []byte, st *nodeState, zxid int64) *pendingNode {
	if p.rules.Digest {
		p.digest -= st.digest
		st.digest = 0
		if st.exists {
			st.digest = NodeDigest(st.Prefix, &st.Stat, path)
		}
		p.digest += st.digest
	}
	return p.pending.set(path, st, zxid)
}

// addChild stores the parent of a znode just made. The counter of children
// stops at its largest value, and with it pzxid: as in Java, where both only
// rise.
func (p *Preparer) addChild(path []byte, st *nodeState, cversion int32, zxid int64) {
	if cversion > st.Stat.Cversion {
		st.Stat.Cversion, st.Stat.Pzxid = cversion, zxid
	}
	st.NumChildren++
	p.store(path, st, zxid)
}

// dropChild stores the parent of a znode just deleted.
func (p *Preparer) dropChild(path []byte, st *nodeState, zxid int64) {
	st.Stat.Pzxid = max(st.Stat.Pzxid, zxid)
	st.NumChildren--
	p.store(path, st, zxid)
}

// dropNode stores that there is no such znode any more.
func (p *Preparer) dropNode(path []byte, st *nodeState, zxid int64) {
	*st = nodeState{digest: st.digest}
	p.store(path, st, zxid)
}

func (p *Preparer) allowed(st *nodeState, perm int32, req *Request) bool {
	if len(st.acl) == 1 && &st.acl[0] == &openACLList[0] {
		return true
	}
	return p.rules.Auth.Allowed(st.acl, perm, req.IDs)
}

// fixACL is [Auth.FixACL], remembering.
func (p *Preparer) fixACL(v wire.ACLVector, ids []wire.ID) ([]wire.ACL, wire.ACLVector, wire.Code) {
	if bytes.Equal(v, wire.OpenACL) {
		return openACLList, wire.OpenACL, wire.OK
	}
	if f := p.fixed[string(v)]; f != nil {
		return f.acl, f.vec, wire.OK
	}
	acl, vec, code := p.rules.Auth.FixACL(v, ids)
	if p.grown += max(len(vec)-len(v), 0); p.grown > aclGrowthMax {
		return nil, nil, wire.ErrInvalidACL
	}
	if code == wire.OK && len(v) <= fixedBytesMax && len(vec) == len(v) && bytes.Equal(v, vec) {
		if len(p.fixed) >= fixedMax {
			clear(p.fixed)
		}
		vec = bytes.Clone(v)
		p.fixed[string(v)] = &fixedACL{acl, vec}
	}
	return acl, vec, code
}

// aclGrowthMax bounds by how much the lists of one request may grow: a multi may
// create 20,000 znodes, each with the ids of the connection.
const aclGrowthMax = 4 << 20

// Bounds of what is remembered of lists.
const (
	fixedMax      = 1024
	fixedBytesMax = 4096
)
