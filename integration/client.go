package integration

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/quorate/quorate/wire"
)

// ErrSessionInvalid is what [Connect] returns when the server answers that the
// session does not exist, has expired or has another password.
var ErrSessionInvalid = errors.New("the server says that the session is invalid")

// frameBytesMax bounds the frames that a [Conn] accepts.
const frameBytesMax = 64 << 20

// Conn is a socket that speaks frames and nothing above them.
type Conn struct {
	net.Conn
	// Patience bounds the wait for one frame; 0 is a minute.
	Patience time.Duration
}

// Dial opens a socket.
func Dial(addr string) (*Conn, error) {
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	return &Conn{Conn: c}, nil
}

// WriteFrame sends body behind its length.
func (c *Conn) WriteFrame(body []byte) error {
	b, mark := wire.BeginFrame(nil)
	_, err := c.Write(wire.EndFrame(append(b, body...), mark))
	return err
}

// ReadFrame returns the next frame's body. The error is io.EOF only when the
// server closed between frames.
func (c *Conn) ReadFrame() ([]byte, error) {
	wait := c.Patience
	if wait == 0 {
		wait = patience
	}
	if err := c.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return nil, err
	}
	var head [wire.FrameHeaderBytes]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, err
	}
	n := wire.FrameLength(head[:])
	if n < 0 || n > frameBytesMax {
		return nil, fmt.Errorf("the server announces a frame of %d bytes", n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(c, body); err != nil {
		return nil, fmt.Errorf("in a frame of %d bytes: %w", n, io.ErrUnexpectedEOF)
	}
	return body, nil
}

// ConnectOptions say how a session is asked for.
type ConnectOptions struct {
	TimeoutMs    int32 // 30000 when 0, unless Exact is set
	Exact        bool  // ask for TimeoutMs even when it is 0
	SessionID    int64 // 0 for a new one
	Passwd       []byte
	LastZxidSeen int64
	Old          bool // leave out the readOnly byte, as 3.3 clients and go-zookeeper do
	ReadOnly     bool
}

// request returns the packet that asks for the session.
func (o ConnectOptions) request() wire.ConnectRequest {
	req := wire.ConnectRequest{
		LastZxidSeen: o.LastZxidSeen, TimeOut: o.TimeoutMs, SessionID: o.SessionID,
		Passwd: o.Passwd, ReadOnly: o.ReadOnly, HasReadOnly: !o.Old,
	}
	if req.TimeOut == 0 && !o.Exact {
		req.TimeOut = 30000
	}
	if req.Passwd == nil {
		req.Passwd = make([]byte, wire.PasswdBytes)
	}
	return req
}

// Session is one client session on one connection, used by one goroutine. It
// adds nothing to the protocol: no pings, no reconnects.
type Session struct {
	*Conn
	ID        int64
	Passwd    []byte
	TimeoutMs int32
	Response  wire.ConnectResponse
	xid       int32
}

// Connect dials and asks for a session.
func Connect(addr string, o ConnectOptions) (*Session, error) {
	c, err := Dial(addr)
	if err != nil {
		return nil, err
	}
	s, err := Handshake(c, o)
	if err != nil {
		c.Close()
	}
	return s, err
}

// Handshake asks for a session on an open socket. With [ErrSessionInvalid] the
// session is returned too, for its Response.
func Handshake(c *Conn, o ConnectOptions) (*Session, error) {
	req := o.request()
	if err := c.WriteFrame(req.Append(nil)); err != nil {
		return nil, err
	}
	body, err := c.ReadFrame()
	if err != nil {
		return nil, fmt.Errorf("connect response: %w", err)
	}
	r := wire.NewReader(body)
	s := &Session{Conn: c}
	s.Response.Decode(&r)
	if r.Err() != nil || len(r.Remaining()) > 0 {
		return nil, fmt.Errorf("connect response of %d bytes: %w", len(body), errors.Join(r.Err(), io.ErrUnexpectedEOF))
	}
	s.ID, s.Passwd, s.TimeoutMs = s.Response.SessionID, s.Response.Passwd, s.Response.TimeOut
	if s.TimeoutMs <= 0 || s.ID == 0 {
		return s, ErrSessionInvalid
	}
	return s, nil
}

// Reply is one frame from the server after the handshake.
type Reply struct {
	wire.ReplyHeader
	Body []byte
}

// IsEvent reports whether the frame is a watch notification.
func (r Reply) IsEvent() bool { return r.Xid == wire.XidNotification }

// Event decodes a notification.
func (r Reply) Event() (wire.WatcherEvent, error) {
	var e wire.WatcherEvent
	d := wire.NewReader(r.Body)
	e.Decode(&d)
	return e, d.Err()
}

// nextXid returns the next of the client's own sequence.
func (s *Session) nextXid() int32 {
	s.xid++
	return s.xid
}

// Send sends a request with the next xid, which it returns. The reply comes
// out of [Session.Next].
func (s *Session) Send(op wire.Op, body []byte) (int32, error) {
	xid := s.nextXid()
	return xid, s.SendXid(xid, op, body)
}

// SendXid sends a request with the given xid.
func (s *Session) SendXid(xid int32, op wire.Op, body []byte) error {
	return s.WriteFrame(append(wire.RequestHeader{Xid: xid, Op: op}.Append(nil), body...))
}

// Next returns the next reply or notification.
func (s *Session) Next() (Reply, error) {
	body, err := s.ReadFrame()
	if err != nil {
		return Reply{}, err
	}
	r := wire.NewReader(body)
	var rep Reply
	rep.Decode(&r)
	rep.Body = r.Remaining()
	return rep, r.Err()
}

// Call sends a request and returns its reply and the notifications before it.
// A reply with another xid is an error: replies come in request order.
func (s *Session) Call(op wire.Op, body []byte) (Reply, []Reply, error) {
	xid, err := s.Send(op, body)
	if err != nil {
		return Reply{}, nil, err
	}
	var events []Reply
	for {
		rep, err := s.Next()
		if err != nil {
			return rep, events, fmt.Errorf("%s: %w", op, err)
		}
		if !rep.IsEvent() {
			if rep.Xid != xid {
				return rep, events, fmt.Errorf("%s: reply has xid %d, want %d", op, rep.Xid, xid)
			}
			return rep, events, nil
		}
		events = append(events, rep)
	}
}

// do is Call for callers who want the error code as an error and no events.
func (s *Session) do(op wire.Op, body []byte) (Reply, error) {
	rep, _, err := s.Call(op, body)
	if err == nil && rep.Err != wire.OK {
		err = rep.Err
	}
	return rep, err
}

// Create creates a node that anyone may use, and returns its path.
func (s *Session) Create(path string, data []byte, flags int32) (string, error) {
	req := wire.CreateRequest{Path: []byte(path), Data: data, ACL: wire.OpenACL, Flags: flags}
	rep, err := s.do(wire.OpCreate, req.Append(nil, wire.OpCreate))
	if err != nil {
		return "", err
	}
	r := wire.NewReader(rep.Body)
	p := r.String()
	return p, r.Err()
}

// Set sets a node's data; version -1 matches any.
func (s *Session) Set(path string, data []byte, version int32) (wire.Stat, error) {
	req := wire.SetDataRequest{Path: []byte(path), Data: data, Version: version}
	rep, err := s.do(wire.OpSetData, req.Append(nil))
	return statOf(rep, err)
}

// Get returns a node's data and Stat.
func (s *Session) Get(path string, watch bool) ([]byte, wire.Stat, error) {
	rep, err := s.do(wire.OpGetData, wire.PathWatch{Path: []byte(path), Watch: watch}.Append(nil))
	if err != nil {
		return nil, wire.Stat{}, err
	}
	r := wire.NewReader(rep.Body)
	data := r.Buffer()
	var st wire.Stat
	st.Decode(&r)
	return data, st, r.Err()
}

// Exists returns a node's Stat.
func (s *Session) Exists(path string, watch bool) (wire.Stat, error) {
	rep, err := s.do(wire.OpExists, wire.PathWatch{Path: []byte(path), Watch: watch}.Append(nil))
	return statOf(rep, err)
}

// Children returns the names of a node's children in the server's order.
func (s *Session) Children(path string) ([]string, error) {
	rep, err := s.do(wire.OpGetChildren, wire.PathWatch{Path: []byte(path)}.Append(nil))
	if err != nil {
		return nil, err
	}
	r := wire.NewReader(rep.Body)
	return stringsOf(&r), r.Err()
}

// Delete deletes a node; version -1 matches any.
func (s *Session) Delete(path string, version int32) error {
	_, err := s.do(wire.OpDelete, wire.PathVersion{Path: []byte(path), Version: version}.Append(nil))
	return err
}

// Ping asks for an answer and returns the server's zxid and the notifications
// that came before it. No other reply may be owed.
func (s *Session) Ping() (int64, []Reply, error) {
	if err := s.SendXid(wire.XidPing, wire.OpPing, nil); err != nil {
		return 0, nil, err
	}
	var events []Reply
	for {
		rep, err := s.Next()
		if err != nil {
			return 0, events, err
		}
		if rep.Xid == wire.XidPing {
			return rep.Zxid, events, nil
		}
		events = append(events, rep)
	}
}

// Close ends the session, waits for the answer and closes the socket.
func (s *Session) Close() error {
	defer s.Conn.Close()
	_, _, err := s.Call(wire.OpCloseSession, nil)
	return err
}

// Drop closes the socket and leaves the session to its timeout.
func (s *Session) Drop() { s.Conn.Close() }

// DeleteTree deletes path's descendants and then path itself, unless it is a
// system node.
func (s *Session) DeleteTree(path string) error {
	names, err := s.Children(path)
	if err != nil {
		return err
	}
	for _, n := range names {
		child := path + "/" + n
		if path == "/" {
			child = path + n
		}
		if err := s.DeleteTree(child); err != nil && !errors.Is(err, wire.ErrNoNode) {
			return err
		}
	}
	switch path {
	case "/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config":
		return nil
	}
	return s.Delete(path, -1)
}

func statOf(rep Reply, err error) (wire.Stat, error) {
	var st wire.Stat
	if err != nil {
		return st, err
	}
	r := wire.NewReader(rep.Body)
	st.Decode(&r)
	return st, r.Err()
}

func stringsOf(r *wire.Reader) []string {
	out := []string{}
	for n := r.Count(4); n > 0 && r.Err() == nil; n-- {
		out = append(out, r.String())
	}
	return out
}

// be32 returns v as the wire has it.
func be32(v int32) []byte { return binary.BigEndian.AppendUint32(nil, uint32(v)) }
