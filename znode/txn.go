package znode

import (
	"errors"
	"fmt"
	"math"

	"github.com/quorate/quorate/wire"
)

// ErrTxn is what decoding a transaction reports for bytes that are not one,
// wrapped with the type and the offset. In a log whose checksum is right it
// means a writer's fault, not a torn page.
var ErrTxn = errors.New("znode: malformed transaction")

// digestVersion is the only way of hashing the tree in use since 3.6.0; a
// digest of another version says nothing and is skipped.
const digestVersion = 2

// TxnDigestBytes is the encoded size of a TxnDigest.
const TxnDigestBytes = 12

// TxnDigest ends a transaction: the digest of the tree after it.
type TxnDigest struct {
	Version int32 // 2
	Digest  uint64
}

// Append encodes the digest.
func (d TxnDigest) Append(dst []byte) []byte {
	return wire.AppendLong(wire.AppendInt(dst, d.Version), int64(d.Digest))
}

// DecodeTxnDigest reads the digest out of what [DecodeTxn] left. ok is false
// when there is none, or one of a version that cannot be compared.
func DecodeTxnDigest(rest []byte) (d TxnDigest, ok bool) {
	if len(rest) < TxnDigestBytes {
		return d, false
	}
	r := wire.NewReader(rest)
	d.Version, d.Digest = r.Int(), uint64(r.Long())
	return d, d.Version == digestVersion
}

// CreateTxn is the record of create and create2 (types 1 and 15),
// createContainer (19) and createTTL (21).
type CreateTxn struct {
	Path, Data []byte // Data nil is null
	ACL        wire.ACLVector
	Ephemeral  bool // types 1 and 15
	// ParentCversion is the parent's stored cversion after the create; -1, as
	// logs of releases before 3.4 have it, means one more than it is.
	ParentCversion int32
	TTL            int64 // ms, type 21; else -1
}

// Decode reads the record of the given type.
func (c *CreateTxn) Decode(r *wire.Reader, typ wire.Op) {
	c.Path, c.Data, c.ACL = r.Ustring(), r.Buffer(), r.ACLVector()
	c.Ephemeral, c.ParentCversion, c.TTL = false, -1, -1
	if typ == wire.OpCreate || typ == wire.OpCreate2 {
		c.Ephemeral = r.Bool()
	}
	if typ == wire.OpCreate && r.Err() == nil && len(r.Remaining()) == 0 {
		return // CreateTxnV0
	}
	c.ParentCversion = r.Int()
	if typ == wire.OpCreateTTL {
		c.TTL = r.Long()
	}
}

// Append encodes the record of the given type.
func (c *CreateTxn) Append(dst []byte, typ wire.Op) []byte {
	dst = append(wire.AppendBuffer(wire.AppendBuffer(dst, c.Path), c.Data), c.ACL...)
	if typ == wire.OpCreate || typ == wire.OpCreate2 {
		dst = wire.AppendBool(dst, c.Ephemeral)
	}
	dst = wire.AppendInt(dst, c.ParentCversion)
	if typ == wire.OpCreateTTL {
		dst = wire.AppendLong(dst, c.TTL)
	}
	return dst
}

// Owner returns what the created znode's Stat.EphemeralOwner is, in a
// transaction of the given type by the given session.
func (c *CreateTxn) Owner(typ wire.Op, session int64) int64 {
	switch {
	case typ == wire.OpCreateContainer:
		return ContainerOwner
	case typ == wire.OpCreateTTL:
		return TTLOwner(c.TTL)
	case c.Ephemeral:
		return session
	default:
		return 0
	}
}

// DeleteTxn is the record of delete (2) and deleteContainer (20).
type DeleteTxn struct {
	Path []byte
}

// Decode reads the record.
func (d *DeleteTxn) Decode(r *wire.Reader) { d.Path = r.Ustring() }

// Append encodes the record.
func (d DeleteTxn) Append(dst []byte) []byte { return wire.AppendBuffer(dst, d.Path) }

// SetDataTxn is the record of setData (5) and reconfig (16). Version is the
// one the znode gets.
type SetDataTxn struct {
	Path, Data []byte // Data nil is null
	Version    int32
}

// Decode reads the record.
func (s *SetDataTxn) Decode(r *wire.Reader) {
	s.Path, s.Data, s.Version = r.Ustring(), r.Buffer(), r.Int()
}

// Append encodes the record.
func (s SetDataTxn) Append(dst []byte) []byte {
	return wire.AppendInt(wire.AppendBuffer(wire.AppendBuffer(dst, s.Path), s.Data), s.Version)
}

// SetACLTxn is the record of setACL (7). Version is the aversion the znode
// gets.
type SetACLTxn struct {
	Path    []byte
	ACL     wire.ACLVector
	Version int32
}

// Decode reads the record.
func (s *SetACLTxn) Decode(r *wire.Reader) {
	s.Path, s.ACL, s.Version = r.Ustring(), r.ACLVector(), r.Int()
}

// Append encodes the record.
func (s SetACLTxn) Append(dst []byte) []byte {
	return wire.AppendInt(append(wire.AppendBuffer(dst, s.Path), s.ACL...), s.Version)
}

// CheckVersionTxn is the record of check (13), which changes nothing and is
// found inside a multi only. Version is the znode's version plus one.
type CheckVersionTxn struct {
	Path    []byte
	Version int32
}

// Decode reads the record.
func (c *CheckVersionTxn) Decode(r *wire.Reader) { c.Path, c.Version = r.Ustring(), r.Int() }

// Append encodes the record.
func (c CheckVersionTxn) Append(dst []byte) []byte {
	return wire.AppendInt(wire.AppendBuffer(dst, c.Path), c.Version)
}

// CreateSessionTxn is the record of createSession (-10).
type CreateSessionTxn struct {
	TimeOut int32 // ms
}

// Decode reads the record.
func (c *CreateSessionTxn) Decode(r *wire.Reader) { c.TimeOut = r.Int() }

// Append encodes the record.
func (c CreateSessionTxn) Append(dst []byte) []byte { return wire.AppendInt(dst, c.TimeOut) }

// CloseSessionTxn is the record of closeSession (-11): the ephemerals to
// delete, in this order. Any other the session still owns goes after them.
type CloseSessionTxn struct {
	// Present is false in logs of releases before 3.6.0 and of servers with
	// closeSessionTxn.enabled=false: only the tree knows the ephemerals.
	Present bool
	raw     []byte // vector<ustring>, already checked
}

// Decode reads the record, which may be missing.
func (c *CloseSessionTxn) Decode(r *wire.Reader) {
	rest := r.Remaining()
	*c = CloseSessionTxn{}
	if len(rest) == 0 || bareDigest(rest) {
		return
	}
	start := r.Offset()
	for n := r.Count(4); n > 0 && r.Err() == nil; n-- {
		r.Ustring()
	}
	c.Present, c.raw = true, rest[:r.Offset()-start]
}

// bareDigest tells a digest that follows a missing record from a record: as
// one it would be two empty paths, and there are none of those.
func bareDigest(b []byte) bool {
	r := wire.NewReader(b)
	return len(b) == TxnDigestBytes && r.Int() == digestVersion
}

// Paths calls fn with every path, in order; they alias the transaction.
func (c *CloseSessionTxn) Paths(fn func(path []byte)) {
	r := wire.NewReader(c.raw)
	for n := r.Count(4); n > 0; n-- {
		fn(r.Ustring())
	}
}

// AppendCloseSession encodes the record of a session with these ephemerals.
func AppendCloseSession(dst []byte, paths [][]byte) []byte {
	dst = wire.AppendInt(dst, int32(len(paths)))
	for _, p := range paths {
		dst = wire.AppendString(dst, p)
	}
	return dst
}

// ErrorTxn is the record of a request that failed (-1): it takes a zxid and
// changes nothing.
type ErrorTxn struct {
	Code wire.Code
}

// Decode reads the record.
func (e *ErrorTxn) Decode(r *wire.Reader) { e.Code = wire.Code(r.Int()) }

// Append encodes the record.
func (e ErrorTxn) Append(dst []byte) []byte { return wire.AppendInt(dst, int32(e.Code)) }

// MultiTxn is the record of multi (14).
type MultiTxn struct {
	Count int32
	// Failed tells that one of the operations is an error: then none of them
	// is applied.
	Failed bool
	raw    []byte // the elements, already checked
}

// Decode reads the record and checks every operation in it, so that [MultiTxn.Each]
// cannot fail.
func (m *MultiTxn) Decode(r *wire.Reader) error {
	*m = MultiTxn{Count: int32(r.Count(8))}
	rest, start := r.Remaining(), r.Offset()
	var sub Txn
	for i := range max(m.Count, 0) {
		typ, data := wire.Op(r.Int()), r.Buffer()
		if r.Err() != nil {
			return r.Err()
		}
		if err := sub.decodeSub(data, typ); err != nil {
			return fmt.Errorf("operation %d: %w", i, err)
		}
		m.Failed = m.Failed || typ == wire.OpError
	}
	m.raw = rest[:r.Offset()-start]
	return r.Err()
}

// Each decodes the operations one after the other into sub, which the caller
// lends so that nothing is allocated, and calls fn after each until it returns
// false.
func (m *MultiTxn) Each(sub *Txn, fn func(i int) bool) {
	r := wire.NewReader(m.raw)
	for i := range int(m.Count) {
		typ, data := wire.Op(r.Int()), r.Buffer()
		if err := sub.decodeSub(data, typ); err != nil {
			panic(fmt.Sprintf("znode: multi was checked, yet operation %d does not decode: %v", i, err))
		}
		if !fn(i) {
			return
		}
	}
}

// appendMultiOp appends one element of a MultiTxn and returns, besides the
// grown slice, where its record begins; endMultiOp completes it.
func appendMultiOp(dst []byte, typ wire.Op) (out []byte, record int) {
	dst = wire.AppendInt(wire.AppendInt(dst, int32(typ)), 0)
	return dst, len(dst)
}

func endMultiOp(dst []byte, record int) {
	wire.PutInt(dst, record-4, int32(len(dst)-record))
}

// Txn is one transaction record, decoded: the field that belongs to Type is
// set, the others hold whatever an earlier use left there. Slices alias the
// decoded bytes.
type Txn struct {
	Type          wire.Op
	Create        CreateTxn        // create, create2, createContainer, createTTL
	Delete        DeleteTxn        // delete, deleteContainer
	SetData       SetDataTxn       // setData, reconfig
	SetACL        SetACLTxn        // setACL
	Check         CheckVersionTxn  // check
	CreateSession CreateSessionTxn // createSession
	CloseSession  CloseSessionTxn  // closeSession
	Error         ErrorTxn         // error
	Multi         MultiTxn         // multi
}

// DecodeTxn reads the record of the given type from body, which is what
// follows the TxnHeader. rest is what it left: a [TxnDigest] or nothing. The
// error wraps [ErrTxn].
func DecodeTxn(body []byte, typ wire.Op, t *Txn) (rest []byte, err error) {
	r := wire.NewReader(body)
	t.Type = typ
	if err := t.decode(&r); err != nil {
		return nil, fmt.Errorf("%w of type %v: %w", ErrTxn, typ, err)
	}
	return r.Remaining(), nil
}

func (t *Txn) decode(r *wire.Reader) error {
	switch t.Type {
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		t.Create.Decode(r, t.Type)
	case wire.OpDelete, wire.OpDeleteContainer:
		t.Delete.Decode(r)
	case wire.OpSetData, wire.OpReconfig:
		t.SetData.Decode(r)
	case wire.OpSetACL:
		t.SetACL.Decode(r)
	case wire.OpCheck:
		t.Check.Decode(r)
	case wire.OpCreateSession:
		t.CreateSession.Decode(r)
	case wire.OpCloseSession:
		t.CloseSession.Decode(r)
	case wire.OpError:
		t.Error.Decode(r)
	case wire.OpMulti:
		return t.Multi.Decode(r)
	default:
		return errTxnType
	}
	return r.Err()
}

var (
	errTxnType  = errors.New("no such type")
	errTxnMulti = errors.New("not allowed in a multi")
)

// decodeSub reads an operation of a multi. What follows the record is ignored:
// a Java server re-sends a failed multi with the bytes of the original
// operations behind the error code.
func (t *Txn) decodeSub(data []byte, typ wire.Op) error {
	switch typ {
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL, wire.OpDelete,
		wire.OpSetData, wire.OpCheck, wire.OpError:
	default:
		return fmt.Errorf("type %v: %w", typ, errTxnMulti)
	}
	r := wire.NewReader(data)
	t.Type = typ
	return t.decode(&r)
}

// appendSequence appends the suffix of a sequential znode: %010d of the
// parent's stored cversion, which is negative only in trees made by others.
func appendSequence(dst []byte, n int32) []byte {
	if n < 0 {
		return fmt.Appendf(dst, "%010d", n)
	}
	var digits [10]byte
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = byte('0' + n%10)
		n /= 10
	}
	return append(dst, digits[:]...)
}

// nextVersion is what a version, checked against want, becomes; want -1
// matches any. It wraps, as in Java.
func nextVersion(have, want int32) (next int32, ok bool) {
	if want != -1 && want != have {
		return 0, false
	}
	if have == math.MaxInt32 {
		return math.MinInt32, true
	}
	return have + 1, true
}
