package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/quorate/quorate/wire"
)

// frameBytesMax bounds a reply outside the measured part, where listings of
// foreign trees may be long. A longer announcement is an error, not a buffer.
const frameBytesMax = 64 << 20

// Session is one client session used for preparing and cleaning up: requests
// are sent one by one or in batches and answered before the call returns. It is
// for one goroutine.
type Session struct {
	addr    string
	conn    net.Conn
	in      *bufio.Reader
	out     []byte
	frame   []byte
	xid     int32
	timeout time.Duration
}

// DialOptions says how a session is opened. The zero value has sane defaults.
type DialOptions struct {
	// SessionTimeout is what the server is asked for; 0 means 30 s.
	SessionTimeout time.Duration
	// ReplyTimeout bounds the wait for every answer; 0 means 30 s.
	ReplyTimeout time.Duration
}

func (o DialOptions) withDefaults() DialOptions {
	if o.SessionTimeout <= 0 {
		o.SessionTimeout = 30 * time.Second
	}
	if o.ReplyTimeout <= 0 {
		o.ReplyTimeout = 30 * time.Second
	}
	return o
}

// Dial connects to addr and opens a new session. The caller must call Close.
func Dial(ctx context.Context, addr string, o DialOptions) (*Session, error) {
	o = o.withDefaults()
	dialer := net.Dialer{Timeout: o.ReplyTimeout, KeepAlive: -1}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, dialError(addr, err)
	}
	s := &Session{addr: addr, conn: conn, in: bufio.NewReaderSize(conn, 64<<10), timeout: o.ReplyTimeout}
	if err := s.handshake(o.SessionTimeout); err != nil {
		conn.Close()
		return nil, err
	}
	return s, nil
}

// handshake sends the connect request and checks its answer.
func (s *Session) handshake(timeout time.Duration) error {
	s.out = appendConnect(s.out[:0], timeout)
	if err := s.flush(); err != nil {
		return s.failed(err, 0, 0)
	}
	body, err := s.read()
	if errors.Is(err, ErrClosed) {
		return fmt.Errorf("%s: %w during the handshake (it is not serving, or refuses this many connections: see maxClientCnxns)", s.addr, ErrClosed)
	}
	if err != nil {
		return s.failed(err, 0, 0)
	}
	return checkConnect(s.addr, body)
}

// appendConnect appends the frame that asks for a new session.
func appendConnect(dst []byte, timeout time.Duration) []byte {
	req := wire.ConnectRequest{TimeOut: int32(timeout.Milliseconds()), Passwd: make([]byte, wire.PasswdBytes), HasReadOnly: true}
	dst, mark := wire.BeginFrame(dst)
	return wire.EndFrame(req.Append(dst), mark)
}

// checkConnect judges the body of a connect response.
func checkConnect(addr string, body []byte) error {
	r := wire.NewReader(body)
	var resp wire.ConnectResponse
	resp.Decode(&r)
	switch {
	case r.Err() != nil:
		return fmt.Errorf("%s: %w to the connect request: %w", addr, ErrUnexpected, r.Err())
	case resp.SessionID == 0 || resp.TimeOut <= 0:
		return fmt.Errorf("%s: %w: the server gave no session", addr, ErrExpired)
	}
	return nil
}

// Call sends one request, given as its operation and encoded body, and returns
// the error code and the body of its reply, valid until the next call. An error
// is returned when no usable reply came.
func (s *Session) Call(op wire.Op, body []byte) (wire.Code, []byte, error) {
	s.xid++
	out, mark := request(s.out[:0], s.xid, op)
	s.out = wire.EndFrame(append(out, body...), mark)
	if err := s.flush(); err != nil {
		return 0, nil, s.failed(err, op, s.xid)
	}
	return s.reply(op, s.xid)
}

// Read returns the data of a znode.
func (s *Session) Read(path string) ([]byte, error) {
	code, body, err := s.Call(wire.OpGetData, wire.PathWatch{Path: []byte(path)}.Append(nil))
	if err == nil && code != wire.OK {
		err = fmt.Errorf("%s: getData %s: %w", s.addr, path, code)
	}
	if err != nil {
		return nil, err
	}
	r := wire.NewReader(body)
	data := bytes.Clone(r.Buffer())
	return data, r.Err()
}

// Batch sends n requests of one operation in windows of bounded size and hands
// the outcome of each to check, in order; body appends the body of request i.
func (s *Session) Batch(op wire.Op, n int, body func(dst []byte, i int) []byte, check func(i int, code wire.Code) error) error {
	const window = 256
	for from := 0; from < n; from += window {
		to := min(from+window, n)
		if err := s.window(op, from, to, body, check); err != nil {
			return err
		}
	}
	return nil
}

func (s *Session) window(op wire.Op, from, to int, body func([]byte, int) []byte, check func(int, wire.Code) error) error {
	first := s.xid + 1
	s.out = s.out[:0]
	for i := from; i < to; i++ {
		s.xid++
		out, mark := request(s.out, s.xid, op)
		s.out = wire.EndFrame(body(out, i), mark)
	}
	if err := s.flush(); err != nil {
		return s.failed(err, op, first)
	}
	for i := from; i < to; i++ {
		code, _, err := s.reply(op, first+int32(i-from))
		if err == nil {
			err = check(i, code)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Session) flush() error {
	if err := s.conn.SetDeadline(time.Now().Add(s.timeout)); err != nil {
		return err
	}
	_, err := s.conn.Write(s.out)
	return err
}

// reply reads the answer to the request with the given xid, skipping
// notifications.
func (s *Session) reply(op wire.Op, xid int32) (wire.Code, []byte, error) {
	for {
		frame, err := s.read()
		if err != nil {
			return 0, nil, s.failed(err, op, xid)
		}
		r := wire.NewReader(frame)
		var h wire.ReplyHeader
		h.Decode(&r)
		switch {
		case r.Err() == nil && h.Xid == wire.XidNotification:
			continue
		case r.Err() != nil || h.Xid != xid:
			return 0, nil, fmt.Errorf("%s: %w to %v with xid %d: %d bytes with xid %d", s.addr, ErrUnexpected, op, xid, len(frame), h.Xid)
		case h.Err == wire.ErrSessionExpired:
			return 0, nil, fmt.Errorf("%s: %w (at %v with xid %d)", s.addr, ErrExpired, op, xid)
		}
		return h.Err, r.Remaining(), nil
	}
}

// read returns the next frame, valid until the next read.
func (s *Session) read() ([]byte, error) {
	var head [wire.FrameHeaderBytes]byte
	if _, err := io.ReadFull(s.in, head[:]); err != nil {
		return nil, readError(err)
	}
	n := wire.FrameLength(head[:])
	if n < 0 || n > frameBytesMax {
		return nil, fmt.Errorf("%w: a frame of %d bytes", ErrUnexpected, n)
	}
	if cap(s.frame) < int(n) {
		s.frame = make([]byte, n)
	}
	s.frame = s.frame[:n]
	_, err := io.ReadFull(s.in, s.frame)
	return s.frame, readError(err)
}

// readError maps what a socket says to this package's errors.
func readError(err error) error {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), isReset(err):
		return ErrClosed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrStalled
	}
	return err
}

func (s *Session) failed(err error, op wire.Op, xid int32) error {
	pending := 1
	if xid == 0 {
		pending = 0
	}
	return ioError(s.addr, readError(err), pending, op, xid)
}

// Close ends the session at the server and closes the connection. It waits for
// the server's answer, at most two seconds or the reply timeout.
func (s *Session) Close() {
	endSession(s.conn, s.xid+1, s.timeout)
	drainUntilClosed(s.conn)
	_ = s.conn.Close()
}

// end closes the session and waits until the server has said so and hung up,
// as it must.
func (s *Session) end() error {
	defer s.conn.Close()
	_, _, err := s.Call(wire.OpCloseSession, nil)
	if err != nil {
		return err
	}
	if _, err := s.read(); !errors.Is(err, ErrClosed) {
		return fmt.Errorf("%s: %w: the connection is open although the session is closed", s.addr, ErrUnexpected)
	}
	return nil
}

// endSession sends closeSession, and leaves the server a moment to answer.
func endSession(conn net.Conn, xid int32, patience time.Duration) {
	b, mark := request(nil, xid, wire.OpCloseSession)
	_ = conn.SetDeadline(time.Now().Add(min(patience, 2*time.Second)))
	_, _ = conn.Write(wire.EndFrame(b, mark)) // a connection that is gone has no session to end
}

// drainUntilClosed reads until the server hangs up or the deadline passes, so
// that the server is done with the session when the caller goes on.
func drainUntilClosed(conn net.Conn) {
	_, _ = io.Copy(io.Discard, conn)
}
