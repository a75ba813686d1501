package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/quorate/quorate/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience ends a test that would hang; nothing is ever expected to take it.
const patience = 2 * time.Minute

// running is a server that serves in this process.
type running struct {
	t      testing.TB
	s      *Server
	addr   string
	cancel context.CancelFunc
	done   chan struct{}
	err    error // of Run, once done
}

// testConfig is a server on a free port with its data under dir.
func testConfig(dir string) Config {
	return Config{
		ClientAddrs: []string{"127.0.0.1:0"}, DataDir: dir, PreallocBytes: 1 << 16,
		TickTime: time.Second, Words: []string{"*"}, OversizedBytesMax: 4 << 20,
	}
}

// start opens and runs a server; the test's end stops it.
func start(t testing.TB, cfg Config) *running {
	t.Helper()
	r, err := tryStart(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func tryStart(t testing.TB, cfg Config) (*running, error) {
	s, err := Open(cfg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: t, s: s, cancel: cancel, done: make(chan struct{})}
	if a := s.Addrs(); len(a) > 0 {
		r.addr = a[0].String()
	}
	go func() {
		r.err = s.Run(ctx)
		close(r.done)
	}()
	t.Cleanup(func() { _ = r.wait(true) })
	return r, nil
}

// wait waits for the server's end, asking for it first if it shall stop.
func (r *running) wait(stop bool) error {
	if stop {
		r.cancel()
	}
	<-r.done
	r.cancel()
	return r.err
}

// stop stops the server in good order.
func (r *running) stop() {
	r.t.Helper()
	if err := r.wait(true); !errors.Is(err, ErrStopped) {
		r.t.Fatalf("the server ended with %v", err)
	}
}

// word asks for a four-letter word.
func (r *running) word(w string) string {
	r.t.Helper()
	nc, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Write([]byte(w)); err != nil {
		r.t.Fatal(err)
	}
	_ = nc.SetReadDeadline(time.Now().Add(patience))
	b, err := io.ReadAll(nc)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}

// rawClient is a connection that speaks frames.
type rawClient struct {
	t       testing.TB
	nc      net.Conn
	xid     int32
	id      int64
	passwd  []byte
	timeout int32
	events  []wire.WatcherEvent
}

func (r *running) dial() *rawClient {
	r.t.Helper()
	nc, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = nc.SetDeadline(time.Now().Add(patience))
	c := &rawClient{t: r.t, nc: nc}
	r.t.Cleanup(func() { _ = nc.Close() })
	return c
}

// client dials and opens a session.
func (r *running) client() *rawClient {
	r.t.Helper()
	c := r.dial()
	if err := c.connect(30_000); err != nil {
		r.t.Fatal(err)
	}
	return c
}

var errRefused = errors.New("the session is refused")

// connect opens a session, or goes on with the client's.
func (c *rawClient) connect(timeout int32) error {
	req := wire.ConnectRequest{TimeOut: timeout, SessionID: c.id, Passwd: c.passwd, HasReadOnly: true}
	if c.passwd == nil {
		req.Passwd = make([]byte, wire.PasswdBytes)
	}
	if err := c.write(req.Append(nil)); err != nil {
		return err
	}
	body, err := c.frame()
	if err != nil {
		return err
	}
	var resp wire.ConnectResponse
	rd := wire.NewReader(body)
	resp.Decode(&rd)
	if rd.Err() != nil {
		return rd.Err()
	}
	if resp.SessionID == 0 {
		return errRefused
	}
	c.id, c.passwd, c.timeout = resp.SessionID, append([]byte(nil), resp.Passwd...), resp.TimeOut
	return nil
}

func (c *rawClient) write(body []byte) error {
	_, err := c.nc.Write(append(wire.AppendInt(nil, int32(len(body))), body...))
	return err
}

// frame reads one frame.
func (c *rawClient) frame() ([]byte, error) {
	var head [wire.FrameHeaderBytes]byte
	if _, err := io.ReadFull(c.nc, head[:]); err != nil {
		return nil, err
	}
	body := make([]byte, wire.FrameLength(head[:]))
	_, err := io.ReadFull(c.nc, body)
	return body, err
}

// send sends a request and returns its xid.
func (c *rawClient) send(op wire.Op, body []byte) (int32, error) {
	c.xid++
	return c.xid, c.write(append(wire.RequestHeader{Xid: c.xid, Op: op}.Append(nil), body...))
}

// recv reads the next reply; events on the way are kept.
func (c *rawClient) recv() (h wire.ReplyHeader, body []byte, err error) {
	for {
		b, err := c.frame()
		if err != nil {
			return h, nil, err
		}
		rd := wire.NewReader(b)
		h.Decode(&rd)
		if rd.Err() != nil {
			return h, nil, rd.Err()
		}
		if h.Xid != wire.XidNotification {
			return h, rd.Remaining(), nil
		}
		var e wire.WatcherEvent
		e.Decode(&rd)
		c.events = append(c.events, e)
	}
}

// call sends a request and waits for its reply.
func (c *rawClient) call(op wire.Op, body []byte) (wire.Code, []byte) {
	c.t.Helper()
	xid, err := c.send(op, body)
	if err != nil {
		c.t.Fatal(err)
	}
	h, reply, err := c.recv()
	if err != nil {
		c.t.Fatalf("%v: %v", op, err)
	}
	if h.Xid != xid {
		c.t.Fatalf("%v: the reply has xid %d, the request %d", op, h.Xid, xid)
	}
	return h.Err, reply
}

// must is call for what has to succeed.
func (c *rawClient) must(op wire.Op, body []byte) []byte {
	c.t.Helper()
	code, reply := c.call(op, body)
	if code != wire.OK {
		c.t.Fatalf("%v: %v", op, code)
	}
	return reply
}

func createBody(path, data string, flags int32) []byte {
	r := wire.CreateRequest{Path: []byte(path), Data: []byte(data), ACL: wire.OpenACL, Flags: flags}
	return r.Append(nil, wire.OpCreate)
}

func setBody(path, data string) []byte {
	r := wire.SetDataRequest{Path: []byte(path), Data: []byte(data), Version: -1}
	return r.Append(nil)
}

func deleteBody(path string) []byte {
	return wire.PathVersion{Path: []byte(path), Version: -1}.Append(nil)
}

func pathBody(path string, watch bool) []byte {
	return wire.PathWatch{Path: []byte(path), Watch: watch}.Append(nil)
}

func (c *rawClient) create(path, data string) {
	c.t.Helper()
	c.must(wire.OpCreate, createBody(path, data, 0))
}

func (c *rawClient) set(path, data string) {
	c.t.Helper()
	c.must(wire.OpSetData, setBody(path, data))
}

// get returns a znode's data; ok is false when there is none.
func (c *rawClient) get(path string) (string, bool) {
	c.t.Helper()
	code, reply := c.call(wire.OpGetData, pathBody(path, false))
	if code == wire.ErrNoNode {
		return "", false
	}
	if code != wire.OK {
		c.t.Fatalf("get %s: %v", path, code)
	}
	rd := wire.NewReader(reply)
	return string(rd.Buffer()), true
}

func (c *rawClient) wantData(path, want string) {
	c.t.Helper()
	if got, ok := c.get(path); !ok || got != want {
		c.t.Fatalf("%s is %q, %v; want %q", path, got, ok, want)
	}
}

// children returns how many children a znode has.
func (c *rawClient) children(path string) []string {
	c.t.Helper()
	rd := wire.NewReader(c.must(wire.OpGetChildren, pathBody(path, false)))
	var names []string
	for n := rd.Int(); n > 0; n-- {
		names = append(names, string(rd.Ustring()))
	}
	return names
}

func name(format string, args ...any) string { return fmt.Sprintf(format, args...) }
