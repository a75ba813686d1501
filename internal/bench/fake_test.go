package bench

import (
	"bufio"
	"encoding/binary"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/quorate/quorate/wire"
)

// fakeServer answers the requests that the generator makes from a map, in the
// server's bytes, so that tests of the generator need no server.
type fakeServer struct {
	ln net.Listener
	wg sync.WaitGroup

	// intercept, if set, sees each request before it is answered. It returns
	// the bytes to send instead and whether to hang up; nil, false: go on.
	intercept func(h wire.RequestHeader) (instead []byte, hangup bool)
	// greet, if set, replaces the whole connect response frame; an empty one
	// hangs up.
	greet func() []byte

	mu       sync.Mutex
	nodes    map[string]string
	kids     map[string]int
	owners   map[string]*fakeConn
	watches  map[string]map[*fakeConn]bool
	lasting  map[string]map[*fakeConn]bool
	conns    map[*fakeConn]bool
	opened   int
	closed   int
	requests map[wire.Op]int
	// deletesPerTimeout, if positive, is the session timeout, counted in
	// deletes of anyone: a session that is silent for so many is expired.
	deletesPerTimeout int
	zxid              int64
}

type fakeConn struct {
	net.Conn
	wmu  sync.Mutex
	seen int // deletes when it was last heard of
}

func (c *fakeConn) send(b []byte) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	_, _ = c.Write(b)
}

func startFake(t *testing.T) *fakeServer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeServer{
		ln: ln, nodes: map[string]string{}, kids: map[string]int{}, owners: map[string]*fakeConn{}, conns: map[*fakeConn]bool{},
		watches: map[string]map[*fakeConn]bool{}, lasting: map[string]map[*fakeConn]bool{}, requests: map[wire.Op]int{},
	}
	f.wg.Go(f.accept)
	t.Cleanup(f.stop)
	return f
}

func (f *fakeServer) addr() string { return f.ln.Addr().String() }

func (f *fakeServer) stop() {
	f.ln.Close()
	f.mu.Lock()
	for c := range f.conns {
		c.Close()
	}
	f.mu.Unlock()
	f.wg.Wait()
}

func (f *fakeServer) accept() {
	for {
		conn, err := f.ln.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		c := &fakeConn{Conn: conn, seen: f.requests[wire.OpDelete]}
		f.conns[c] = true
		f.mu.Unlock()
		f.wg.Go(func() { f.serve(c) })
	}
}

func (f *fakeServer) serve(c *fakeConn) {
	defer f.gone(c)
	in := bufio.NewReader(c)
	if _, err := readFrame(in); err != nil || !f.welcome(c) {
		return
	}
	for {
		frame, err := readFrame(in)
		if err != nil {
			return
		}
		r := wire.NewReader(frame)
		var h wire.RequestHeader
		h.Decode(&r)
		if f.intercept != nil {
			instead, hangup := f.intercept(h)
			c.send(instead)
			if hangup {
				return
			}
			if instead != nil {
				continue
			}
		}
		code, body := f.answer(c, h.Op, &r)
		c.send(replyFrame(h.Xid, 1, code, body))
		if h.Op == wire.OpCloseSession {
			return
		}
	}
}

func (f *fakeServer) welcome(c *fakeConn) bool {
	resp := wire.ConnectResponse{TimeOut: 30000, SessionID: 1, Passwd: make([]byte, wire.PasswdBytes), HasReadOnly: true}
	b, mark := wire.BeginFrame(nil)
	b = wire.EndFrame(resp.Append(b), mark)
	if f.greet != nil {
		if b = f.greet(); len(b) == 0 {
			return false
		}
	}
	f.mu.Lock()
	f.opened++
	f.mu.Unlock()
	c.send(b)
	return true
}

func (f *fakeServer) gone(c *fakeConn) {
	c.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.conns, c)
	for _, m := range f.watches {
		delete(m, c)
	}
	for _, m := range f.lasting {
		delete(m, c)
	}
	for path, owner := range f.owners {
		if owner == c {
			f.forget(path)
		}
	}
}

func (f *fakeServer) forget(path string) {
	f.kids[parentOf(path)]--
	delete(f.nodes, path)
	delete(f.owners, path)
}

func parentOf(path string) string { return path[:strings.LastIndexByte(path, '/')] }

func readFrame(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:]))
	_, err := io.ReadFull(r, b)
	return b, err
}

func replyFrame(xid int32, zxid int64, code wire.Code, body []byte) []byte {
	b, mark := wire.BeginFrame(nil)
	b = wire.ReplyHeader{Xid: xid, Zxid: zxid, Err: code}.Append(b)
	return wire.EndFrame(append(b, body...), mark)
}

func (f *fakeServer) answer(c *fakeConn, op wire.Op, r *wire.Reader) (wire.Code, []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests[op]++
	c.seen = f.requests[wire.OpDelete]
	for other := range f.conns {
		if f.deletesPerTimeout > 0 && c.seen-other.seen > f.deletesPerTimeout {
			other.Close()
		}
	}
	switch op {
	case wire.OpCreate:
		return f.create(c, r)
	case wire.OpDelete:
		return f.delete(r)
	case wire.OpGetData:
		return f.get(c, r)
	case wire.OpSetData:
		return f.set(r)
	case wire.OpGetChildren:
		return f.list(r)
	case wire.OpAddWatch:
		var req wire.PathType
		req.Decode(r)
		addWatch(f.lasting, string(req.Path), c)
		return wire.OK, []byte{0, 0, 0, 0}
	case wire.OpSync:
		return wire.OK, wire.AppendString(nil, r.String())
	case wire.OpCloseSession:
		f.closed++
		return wire.OK, nil
	default:
		return wire.ErrUnimplemented, nil
	}
}

func (f *fakeServer) create(c *fakeConn, r *wire.Reader) (wire.Code, []byte) {
	var req wire.CreateRequest
	req.Decode(r, wire.OpCreate)
	path := string(req.Path)
	parent := parentOf(path)
	if _, ok := f.nodes[parent]; !ok && parent != "" {
		return wire.ErrNoNode, nil
	}
	if _, ok := f.nodes[path]; ok {
		return wire.ErrNodeExists, nil
	}
	f.zxid++
	f.nodes[path] = string(req.Data)
	f.kids[parent]++
	if req.Flags == wire.FlagEphemeral {
		f.owners[path] = c
	}
	return wire.OK, wire.AppendString(nil, path)
}

func (f *fakeServer) delete(r *wire.Reader) (wire.Code, []byte) {
	var req wire.PathVersion
	req.Decode(r)
	path := string(req.Path)
	if _, ok := f.nodes[path]; !ok {
		return wire.ErrNoNode, nil
	}
	if f.kids[path] > 0 {
		return wire.ErrNotEmpty, nil
	}
	f.zxid++
	f.forget(path)
	return wire.OK, nil
}

func (f *fakeServer) get(c *fakeConn, r *wire.Reader) (wire.Code, []byte) {
	var req wire.PathWatch
	req.Decode(r)
	data, ok := f.nodes[string(req.Path)]
	if !ok {
		return wire.ErrNoNode, nil
	}
	if req.Watch {
		addWatch(f.watches, string(req.Path), c)
	}
	return wire.OK, (&wire.Stat{}).Append(wire.AppendString(nil, data))
}

func addWatch(table map[string]map[*fakeConn]bool, path string, c *fakeConn) {
	if table[path] == nil {
		table[path] = map[*fakeConn]bool{}
	}
	table[path][c] = true
}

func (f *fakeServer) set(r *wire.Reader) (wire.Code, []byte) {
	var req wire.SetDataRequest
	req.Decode(r)
	path := string(req.Path)
	if _, ok := f.nodes[path]; !ok {
		return wire.ErrNoNode, nil
	}
	f.zxid++
	f.nodes[path] = string(req.Data)
	event := wire.AppendNotification(nil, f.zxid, wire.EventNodeDataChanged, path)
	for c := range f.watches[path] {
		c.send(event)
	}
	for c := range f.lasting[path] {
		c.send(event)
	}
	delete(f.watches, path)
	return wire.OK, (&wire.Stat{}).Append(nil)
}

func (f *fakeServer) list(r *wire.Reader) (wire.Code, []byte) {
	var req wire.PathWatch
	req.Decode(r)
	path := string(req.Path)
	if _, ok := f.nodes[path]; !ok {
		return wire.ErrNoNode, nil
	}
	var names []string
	for other := range f.nodes {
		if rest, ok := strings.CutPrefix(other, path+"/"); ok && !strings.Contains(rest, "/") {
			names = append(names, rest)
		}
	}
	b := wire.AppendInt(nil, int32(len(names)))
	for _, n := range names {
		b = wire.AppendString(b, n)
	}
	return wire.OK, b
}

// left returns what is still there: the znodes, and the sessions that were
// opened and not closed.
func (f *fakeServer) left() (paths []string, sessions int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.nodes)), f.opened - f.closed
}

func (f *fakeServer) count(op wire.Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests[op]
}
