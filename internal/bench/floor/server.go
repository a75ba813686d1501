//go:build linux

// Package floor is the least that a server, or an ensemble, can do for the load of `quorate bench`: it answers as
// ZooKeeper would, on one thread, and keeps nothing. What it reaches is about what the kernel and the load generator
// leave to a server.
//
// config.go reads what is to be served, server.go serves clients, and team.go has servers agree first.
package floor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"syscall"

	"github.com/quorate/quorate/wire"
)

// server answers and notifies; it checks nothing, logs nothing and keeps nothing but one value.
type server struct {
	listener int
	epoll    int
	conns    map[int32]*conn
	once     map[string][]*conn // who is told of the next change of a path
	lasting  map[string][]*conn // who is told of all
	value    []byte
	session  int64
	zxid     int64

	team   *team // nil: alone
	failed error // ends it
}

// conn is a connection of a client, or of another member of the team.
type conn struct {
	fd        int
	peer      *peer // who is at the other end, if it is a member
	number    int64 // of a client's, for the team
	connected bool
	closing   bool
	in, out   []byte
}

// idle is how long, in ms, the server waits before it looks whether it is to end.
const idle = 100

// frameMax is the longest request, in bytes, that is taken.
const frameMax = 1 << 20

// Serve serves at the client port of a zoo.cfg until ctx ends: alone, or with the servers that it lists and as the one
// that dataDir/myid names.
func Serve(ctx context.Context, cfg string) error {
	c, err := readConfig(cfg)
	if err != nil {
		return err
	}
	s := &server{conns: map[int32]*conn{}, once: map[string][]*conn{}, lasting: map[string][]*conn{}}
	if s.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return err
	}
	defer func() { _ = syscall.Close(s.epoll) }()
	if len(c.members) > 0 {
		if s.team, err = gather(ctx, c); err != nil {
			return err
		}
		defer s.team.close()
		for _, p := range s.team.peers {
			if err := s.watch(p.conn.fd); err != nil {
				return err
			}
			s.conns[int32(p.conn.fd)] = p.conn
		}
	}
	return s.listen(ctx, c.client)
}

func (s *server) listen(ctx context.Context, addr string) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	defer ln.Close()
	file, err := ln.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	defer file.Close()
	s.listener = int(file.Fd())
	if err := errors.Join(syscall.SetNonblock(s.listener, true), s.watch(s.listener)); err != nil {
		return err
	}
	return s.run(ctx)
}

func (s *server) watch(fd int) error {
	return syscall.EpollCtl(s.epoll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)})
}

func (s *server) run(ctx context.Context) error {
	events := make([]syscall.EpollEvent, 512)
	for ctx.Err() == nil && s.failed == nil {
		n, err := syscall.EpollWait(s.epoll, events, idle)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return fmt.Errorf("epoll: %w", err)
		}
		for i := range max(n, 0) {
			if fd := events[i].Fd; int(fd) == s.listener {
				s.accept()
			} else if c := s.conns[fd]; c != nil && !s.serve(c) {
				s.drop(c)
			}
		}
		if s.team != nil {
			s.settle()
		}
	}
	for _, c := range s.conns {
		if c.peer == nil {
			_ = syscall.Close(c.fd)
		}
	}
	if ctx.Err() == nil {
		return s.failed
	}
	return nil // a member that is told to end earlier is missed by the others
}

func (s *server) accept() {
	fd, _, err := syscall.Accept4(s.listener, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
	if err != nil {
		return // somebody who has gone already
	}
	_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	if s.watch(fd) != nil {
		_ = syscall.Close(fd)
		return
	}
	s.conns[int32(fd)] = &conn{fd: fd}
}

// serve reads once and answers; it is false at the connection's end.
func (s *server) serve(c *conn) bool {
	c.in = slices.Grow(c.in, 4096)
	n, err := syscall.Read(c.fd, c.in[len(c.in):cap(c.in)])
	if n <= 0 {
		return errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR)
	}
	c.in = c.in[:len(c.in)+n]
	rest := c.in
	for len(rest) >= wire.FrameHeaderBytes {
		size := int(wire.FrameLength(rest))
		if size < 0 || size > frameMax {
			return false
		}
		if len(rest) < wire.FrameHeaderBytes+size {
			break
		}
		if !s.take(c, rest[wire.FrameHeaderBytes:wire.FrameHeaderBytes+size]) {
			return false
		}
		rest = rest[wire.FrameHeaderBytes+size:]
	}
	c.in = c.in[:copy(c.in, rest)]
	if s.team != nil {
		return true // settle writes
	}
	return c.flush() && !c.closing
}

// take deals with a frame; it is false if that cannot be read.
func (s *server) take(c *conn, body []byte) bool {
	switch {
	case c.peer != nil:
		return s.hear(c.peer, body)
	case s.team != nil && c.connected:
		s.submit(c, body)
		return true
	}
	return s.answer(c, body)
}

// flush writes what is to be sent. Nobody is waited for: a client that does not read is left.
func (c *conn) flush() bool {
	if len(c.out) == 0 {
		return true
	}
	n, err := syscall.Write(c.fd, c.out)
	whole := err == nil && n == len(c.out)
	c.out = c.out[:0]
	return whole
}

// answer answers one request; it is false if that cannot be read.
func (s *server) answer(c *conn, body []byte) bool {
	r := wire.NewReader(body)
	if !c.connected {
		return s.welcome(c, &r)
	}
	var h wire.RequestHeader
	h.Decode(&r)
	var path, data []byte
	watched := false
	switch h.Op {
	case wire.OpCreate:
		var q wire.CreateRequest
		q.Decode(&r, h.Op)
		path, data = q.Path, q.Data
	case wire.OpSetData:
		var q wire.SetDataRequest
		q.Decode(&r)
		path, data = q.Path, q.Data
	case wire.OpGetData:
		var q wire.PathWatch
		q.Decode(&r)
		path, watched = q.Path, q.Watch
	case wire.OpAddWatch:
		var q wire.PathType
		q.Decode(&r)
		path = q.Path
	default:
	}
	if r.Err() != nil {
		return false
	}
	if len(data) > 0 {
		s.value = append(s.value[:0], data...)
	}
	if h.Op == wire.OpAddWatch {
		s.lasting[string(path)] = append(s.lasting[string(path)], c)
	}
	if watched {
		s.once[string(path)] = append(s.once[string(path)], c)
	}
	if h.Op == wire.OpSetData {
		s.notify(path)
	}
	c.closing = h.Op == wire.OpCloseSession
	c.reply(h, path, s)
	return true
}

func (s *server) welcome(c *conn, r *wire.Reader) bool {
	var q wire.ConnectRequest
	q.Decode(r)
	if r.Err() != nil {
		return false
	}
	s.session++
	a := wire.ConnectResponse{TimeOut: q.TimeOut, SessionID: s.session, Passwd: make([]byte, wire.PasswdBytes), HasReadOnly: q.HasReadOnly}
	out, mark := wire.BeginFrame(c.out)
	c.out = wire.EndFrame(a.Append(out), mark)
	c.connected = true
	return true
}

func (c *conn) reply(h wire.RequestHeader, path []byte, s *server) {
	out, mark := wire.BeginFrame(c.out)
	out = wire.ReplyHeader{Xid: h.Xid, Zxid: s.zxid}.Append(out)
	stat := wire.Stat{Mzxid: s.zxid, DataLength: int32(len(s.value))} //nolint:gosec // at most frameMax
	switch h.Op {
	case wire.OpCreate:
		out = wire.AppendBuffer(out, path)
	case wire.OpGetData:
		out = stat.Append(wire.AppendBuffer(out, s.value))
	case wire.OpSetData:
		out = stat.Append(out)
	case wire.OpAddWatch, wire.OpGetChildren:
		out = wire.AppendInt(out, 0) // no error; no children
	default: // the header is all
	}
	c.out = wire.EndFrame(out, mark)
}

// notify tells of a change of path.
func (s *server) notify(path []byte) {
	s.zxid++
	tell := func(cs []*conn) {
		for _, c := range cs {
			c.out = wire.AppendNotification(c.out, s.zxid, wire.EventNodeDataChanged, path)
			if !c.flush() {
				s.drop(c)
			}
		}
	}
	// A watcher that is dropped on the way is taken out of both lists.
	once := s.once[string(path)]
	s.once[string(path)] = nil
	tell(once)
	s.once[string(path)] = once[:0]
	tell(slices.Clone(s.lasting[string(path)]))
}

func (s *server) drop(c *conn) {
	if s.conns[int32(c.fd)] != c {
		return
	}
	delete(s.conns, int32(c.fd))
	if c.peer != nil {
		s.failed = fmt.Errorf("member %d has gone, or says what nobody understands", c.peer.id)
		return
	}
	_ = syscall.Close(c.fd)
	if s.team != nil {
		delete(s.team.clients, c.number)
	}
	for _, watches := range []map[string][]*conn{s.once, s.lasting} {
		for path, cs := range watches {
			watches[path] = slices.DeleteFunc(cs, func(w *conn) bool { return w == c })
		}
	}
}
