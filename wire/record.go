package wire

// RequestHeader precedes every request but the connect request.
type RequestHeader struct {
	Xid int32
	Op  Op
}

// RequestHeaderBytes is the encoded size of a RequestHeader.
const RequestHeaderBytes = 8

// Decode reads the header.
func (h *RequestHeader) Decode(r *Reader) {
	h.Xid, h.Op = r.Int(), Op(r.Int())
}

// Append encodes the header.
func (h RequestHeader) Append(dst []byte) []byte {
	return AppendInt(AppendInt(dst, h.Xid), int32(h.Op))
}

// ReplyHeader precedes every reply but the connect response.
type ReplyHeader struct {
	Xid  int32
	Zxid int64
	Err  Code
}

// ReplyHeaderBytes is the encoded size of a ReplyHeader.
const ReplyHeaderBytes = 16

// Decode reads the header.
func (h *ReplyHeader) Decode(r *Reader) {
	h.Xid, h.Zxid, h.Err = r.Int(), r.Long(), Code(r.Int())
}

// Append encodes the header.
func (h ReplyHeader) Append(dst []byte) []byte {
	return AppendInt(AppendLong(AppendInt(dst, h.Xid), h.Zxid), int32(h.Err))
}

// PasswdBytes is the length of a session password.
const PasswdBytes = 16

// ConnectRequest is the first packet of a client.
type ConnectRequest struct {
	ProtocolVersion int32
	LastZxidSeen    int64
	TimeOut         int32 // ms
	SessionID       int64
	Passwd          []byte
	ReadOnly        bool
	// HasReadOnly tells whether the trailing byte was there: clients of the
	// 3.3 era and go-zookeeper leave it out, and the response mirrors that.
	HasReadOnly bool
}

// Decode reads the request; the readOnly byte may be missing.
func (c *ConnectRequest) Decode(r *Reader) {
	c.ProtocolVersion, c.LastZxidSeen, c.TimeOut = r.Int(), r.Long(), r.Int()
	c.SessionID, c.Passwd = r.Long(), r.Buffer()
	c.HasReadOnly = r.Err() == nil && len(r.Remaining()) > 0
	c.ReadOnly = c.HasReadOnly && r.Bool()
}

// Append encodes the request.
func (c *ConnectRequest) Append(dst []byte) []byte {
	dst = AppendInt(dst, c.ProtocolVersion)
	dst = AppendInt(AppendLong(dst, c.LastZxidSeen), c.TimeOut)
	dst = AppendBuffer(AppendLong(dst, c.SessionID), c.Passwd)
	if c.HasReadOnly {
		dst = AppendBool(dst, c.ReadOnly)
	}
	return dst
}

// ConnectResponse answers a ConnectRequest. TimeOut and SessionID of 0 with a
// zero password say that the session is invalid.
type ConnectResponse struct {
	ProtocolVersion int32
	TimeOut         int32 // ms
	SessionID       int64
	Passwd          []byte
	ReadOnly        bool
	HasReadOnly     bool
}

// Decode reads the response; the readOnly byte may be missing.
func (c *ConnectResponse) Decode(r *Reader) {
	c.ProtocolVersion, c.TimeOut, c.SessionID, c.Passwd = r.Int(), r.Int(), r.Long(), r.Buffer()
	c.HasReadOnly = r.Err() == nil && len(r.Remaining()) > 0
	c.ReadOnly = c.HasReadOnly && r.Bool()
}

// Append encodes the response.
func (c *ConnectResponse) Append(dst []byte) []byte {
	dst = AppendInt(AppendInt(dst, c.ProtocolVersion), c.TimeOut)
	dst = AppendBuffer(AppendLong(dst, c.SessionID), c.Passwd)
	if c.HasReadOnly {
		dst = AppendBool(dst, c.ReadOnly)
	}
	return dst
}

// Stat is the metadata of a znode as clients see it (68 bytes).
type Stat struct {
	Czxid          int64
	Mzxid          int64
	Ctime          int64 // ms
	Mtime          int64 // ms
	Version        int32
	Cversion       int32
	Aversion       int32
	EphemeralOwner int64
	DataLength     int32
	NumChildren    int32
	Pzxid          int64
}

// StatBytes is the encoded size of a Stat.
const StatBytes = 68

// Decode reads the Stat.
func (s *Stat) Decode(r *Reader) {
	s.Czxid, s.Mzxid, s.Ctime, s.Mtime = r.Long(), r.Long(), r.Long(), r.Long()
	s.Version, s.Cversion, s.Aversion = r.Int(), r.Int(), r.Int()
	s.EphemeralOwner, s.DataLength, s.NumChildren, s.Pzxid = r.Long(), r.Int(), r.Int(), r.Long()
}

// Append encodes the Stat.
func (s *Stat) Append(dst []byte) []byte {
	dst = AppendLong(AppendLong(AppendLong(AppendLong(dst, s.Czxid), s.Mzxid), s.Ctime), s.Mtime)
	dst = AppendInt(AppendInt(AppendInt(dst, s.Version), s.Cversion), s.Aversion)
	dst = AppendInt(AppendInt(AppendLong(dst, s.EphemeralOwner), s.DataLength), s.NumChildren)
	return AppendLong(dst, s.Pzxid)
}

// ID names who an ACL entry, or a connection's credential, stands for.
type ID struct {
	Scheme string
	ID     string
}

// ACL is one entry of an access control list.
type ACL struct {
	Perms int32
	ID    ID
}

// aclBytesMin is the size of an entry whose two strings are empty.
const aclBytesMin = 12

// ACLVector is an encoded vector<ACL>, count included. Keeping the bytes lets
// the common lists be recognised without decoding them. Null comes in as the
// four bytes of its count; nil stands for it as well.
type ACLVector []byte

// appendTo appends the vector as it goes into a record.
func (v ACLVector) appendTo(dst []byte) []byte {
	if v == nil {
		return AppendInt(dst, -1)
	}
	return append(dst, v...)
}

// OpenACL is the encoded list of one entry that lets anyone do everything.
var OpenACL = AppendACLs(nil, []ACL{{Perms: PermAll, ID: ID{Scheme: "world", ID: "anyone"}}})

// ACLVector reads a vector<ACL>, checks its structure and returns its bytes.
// They alias the frame.
func (r *Reader) ACLVector() ACLVector {
	start := r.off
	for n := r.Count(aclBytesMin); n > 0; n-- {
		r.Int()
		r.Buffer()
		r.Buffer()
	}
	if r.err != nil {
		return nil
	}
	return ACLVector(r.b[start:r.off:r.off])
}

// ACLEntry is an ACL as it was sent, in which either string may be null.
type ACLEntry struct {
	Perms      int32
	Scheme, ID []byte
}

// Decode returns the entries; null and empty lists both return none.
func (v ACLVector) Decode() ([]ACLEntry, error) {
	if v == nil {
		return nil, nil
	}
	r := NewReader(v)
	n := r.Count(aclBytesMin)
	if n <= 0 || r.err != nil {
		return nil, r.err
	}
	out := make([]ACLEntry, 0, n)
	for ; n > 0; n-- {
		out = append(out, ACLEntry{Perms: r.Int(), Scheme: r.Buffer(), ID: r.Buffer()})
	}
	return out, r.err
}

// IsNull reports whether the vector was sent as null (count -1).
func (v ACLVector) IsNull() bool {
	r := NewReader(v)
	return v == nil || r.Int() == -1
}

// AppendACLs encodes a vector<ACL>; nil is written as an empty one.
func AppendACLs(dst []byte, acls []ACL) []byte {
	dst = AppendInt(dst, int32(len(acls)))
	for _, a := range acls {
		dst = AppendString(AppendString(AppendInt(dst, a.Perms), a.ID.Scheme), a.ID.ID)
	}
	return dst
}

// DecodeACLs reads a vector<ACL>; null strings read as "".
func DecodeACLs(r *Reader) []ACL {
	n := r.Count(aclBytesMin)
	if n <= 0 || r.err != nil {
		return nil
	}
	out := make([]ACL, 0, n)
	for ; n > 0 && r.err == nil; n-- {
		out = append(out, ACL{Perms: r.Int(), ID: ID{Scheme: r.String(), ID: r.String()}})
	}
	return out
}

// CreateRequest is the body of create, create2, createContainer and, with a
// TTL, createTTL.
type CreateRequest struct {
	Path  []byte
	Data  []byte
	ACL   ACLVector
	Flags int32
	TTL   int64 // ms; -1 where the operation carries none
}

// Decode reads the body of the given operation.
func (c *CreateRequest) Decode(r *Reader, op Op) {
	c.Path, c.Data, c.ACL, c.Flags = r.Ustring(), r.Buffer(), r.ACLVector(), r.Int()
	c.TTL = -1
	if op == OpCreateTTL {
		c.TTL = r.Long()
	}
}

// Append encodes the body of the given operation.
func (c *CreateRequest) Append(dst []byte, op Op) []byte {
	dst = AppendBuffer(AppendBuffer(dst, c.Path), c.Data)
	dst = AppendInt(c.ACL.appendTo(dst), c.Flags)
	if op == OpCreateTTL {
		dst = AppendLong(dst, c.TTL)
	}
	return dst
}

// PathVersion is the body of delete and check.
type PathVersion struct {
	Path    []byte
	Version int32
}

// Decode reads the body.
func (p *PathVersion) Decode(r *Reader) { p.Path, p.Version = r.Ustring(), r.Int() }

// Append encodes the body.
func (p PathVersion) Append(dst []byte) []byte {
	return AppendInt(AppendBuffer(dst, p.Path), p.Version)
}

// PathWatch is the body of exists, getData, getChildren and getChildren2.
type PathWatch struct {
	Path  []byte
	Watch bool
}

// Decode reads the body.
func (p *PathWatch) Decode(r *Reader) { p.Path, p.Watch = r.Ustring(), r.Bool() }

// Append encodes the body.
func (p PathWatch) Append(dst []byte) []byte {
	return AppendBool(AppendBuffer(dst, p.Path), p.Watch)
}

// SetDataRequest is the body of setData.
type SetDataRequest struct {
	Path    []byte
	Data    []byte
	Version int32
}

// Decode reads the body.
func (s *SetDataRequest) Decode(r *Reader) {
	s.Path, s.Data, s.Version = r.Ustring(), r.Buffer(), r.Int()
}

// Append encodes the body.
func (s *SetDataRequest) Append(dst []byte) []byte {
	return AppendInt(AppendBuffer(AppendBuffer(dst, s.Path), s.Data), s.Version)
}

// SetACLRequest is the body of setACL.
type SetACLRequest struct {
	Path    []byte
	ACL     ACLVector
	Version int32
}

// Decode reads the body.
func (s *SetACLRequest) Decode(r *Reader) {
	s.Path, s.ACL, s.Version = r.Ustring(), r.ACLVector(), r.Int()
}

// Append encodes the body.
func (s *SetACLRequest) Append(dst []byte) []byte {
	return AppendInt(s.ACL.appendTo(AppendBuffer(dst, s.Path)), s.Version)
}

// ReconfigRequest is the body of reconfig; nil strings are absent.
type ReconfigRequest struct {
	Joining, Leaving, NewMembers []byte
	CurConfigID                  int64
}

// Decode reads the body.
func (c *ReconfigRequest) Decode(r *Reader) {
	c.Joining, c.Leaving, c.NewMembers, c.CurConfigID = r.Ustring(), r.Ustring(), r.Ustring(), r.Long()
}

// Append encodes the body.
func (c *ReconfigRequest) Append(dst []byte) []byte {
	dst = AppendBuffer(AppendBuffer(AppendBuffer(dst, c.Joining), c.Leaving), c.NewMembers)
	return AppendLong(dst, c.CurConfigID)
}

// PathType is the body of checkWatches, removeWatches and addWatch: a path
// and a watcher type or a mode.
type PathType struct {
	Path []byte
	Type int32
}

// Decode reads the body.
func (p *PathType) Decode(r *Reader) { p.Path, p.Type = r.Ustring(), r.Int() }

// Append encodes the body.
func (p PathType) Append(dst []byte) []byte {
	return AppendInt(AppendBuffer(dst, p.Path), p.Type)
}

// AuthPacket is the body of auth.
type AuthPacket struct {
	Type   int32
	Scheme []byte
	Auth   []byte
}

// Decode reads the body.
func (a *AuthPacket) Decode(r *Reader) { a.Type, a.Scheme, a.Auth = r.Int(), r.Ustring(), r.Buffer() }

// Append encodes the body.
func (a *AuthPacket) Append(dst []byte) []byte {
	return AppendBuffer(AppendBuffer(AppendInt(dst, a.Type), a.Scheme), a.Auth)
}

// SetWatchesRequest is the body of setWatches (three lists) and setWatches2
// (five). The lists hold what a client still wants to hear about, RelativeZxid
// the last zxid it saw.
type SetWatchesRequest struct {
	RelativeZxid int64
	// Data, Exist, Child, Persistent, PersistentRecursive, in wire order.
	Lists [5][][]byte
}

// WatchLists returns how many lists the operation carries.
func WatchLists(op Op) int {
	if op == OpSetWatches2 {
		return 5
	}
	return 3
}

// Decode reads the body of the given operation.
func (s *SetWatchesRequest) Decode(r *Reader, op Op) {
	s.RelativeZxid = r.Long()
	for i := range WatchLists(op) {
		s.Lists[i] = decodePaths(r)
	}
}

// Append encodes the body of the given operation.
func (s *SetWatchesRequest) Append(dst []byte, op Op) []byte {
	dst = AppendLong(dst, s.RelativeZxid)
	for i := range WatchLists(op) {
		dst = AppendInt(dst, int32(len(s.Lists[i])))
		for _, p := range s.Lists[i] {
			dst = AppendBuffer(dst, p)
		}
	}
	return dst
}

func decodePaths(r *Reader) [][]byte {
	n := r.Count(4)
	if n <= 0 {
		return nil
	}
	out := make([][]byte, 0, n)
	for ; n > 0 && r.err == nil; n-- {
		out = append(out, r.Ustring())
	}
	return out
}

// MultiHeader precedes every operation and result of a multi; Done marks the
// end.
type MultiHeader struct {
	Op   Op
	Done bool
	Err  Code
}

// MultiHeaderBytes is the encoded size of a MultiHeader.
const MultiHeaderBytes = 9

// MultiEnd is the header that ends a multi's body.
var MultiEnd = MultiHeader{Op: -1, Done: true, Err: -1}

// Decode reads the header.
func (m *MultiHeader) Decode(r *Reader) {
	m.Op, m.Done, m.Err = Op(r.Int()), r.Bool(), Code(r.Int())
}

// Append encodes the header.
func (m MultiHeader) Append(dst []byte) []byte {
	return AppendInt(AppendBool(AppendInt(dst, int32(m.Op)), m.Done), int32(m.Err))
}

// WatcherEvent is the body of a notification.
type WatcherEvent struct {
	Type  EventType
	State int32
	Path  []byte
}

// Decode reads the body.
func (e *WatcherEvent) Decode(r *Reader) {
	e.Type, e.State, e.Path = EventType(r.Int()), r.Int(), r.Ustring()
}

// AppendNotification appends a whole notification frame: a reply header with
// xid -1 and the zxid of the transaction that fired it (-1 when a setWatches
// replay did), then the event.
func AppendNotification[T string | []byte](dst []byte, zxid int64, typ EventType, path T) []byte {
	dst = AppendInt(dst, int32(ReplyHeaderBytes+12+len(path)))
	dst = ReplyHeader{Xid: XidNotification, Zxid: zxid}.Append(dst)
	return AppendString(AppendInt(AppendInt(dst, int32(typ)), StateSyncConnected), path)
}

// ClientInfo is one entry of whoAmI's answer.
type ClientInfo struct {
	AuthScheme, User string
}
