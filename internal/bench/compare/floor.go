//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/quorate/quorate/wire"
)

// floor is the least that a server can do for the workloads of watches and sessions: it answers as ZooKeeper would, on one
// thread, and notifies; it checks nothing, logs nothing and keeps nothing but one value. What it reaches is what the
// kernel's TCP and the load generator leave to any server.
type floor struct {
	listener int
	epoll    int
	conns    map[int32]*floorConn
	once     map[string][]*floorConn // who is told of the next change of a path
	lasting  map[string][]*floorConn // who is told of all
	value    []byte
	session  int64
	zxid     int64
}

type floorConn struct {
	fd        int
	connected bool
	closing   bool
	in, out   []byte
}

// floorIdle is how long, in ms, the floor waits before it looks whether it is to end.
const floorIdle = 100

// floorFrameMax is the longest request, in bytes, that the floor takes.
const floorFrameMax = 1 << 20

// serveFloor serves at the client port of a zoo.cfg until ctx ends.
func serveFloor(ctx context.Context, cfg string) error {
	text, err := os.ReadFile(cfg)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		if port, ok := strings.CutPrefix(strings.TrimSpace(line), "clientPort="); ok {
			return listenFloor(ctx, "127.0.0.1:"+port)
		}
	}
	return fmt.Errorf("%s: no clientPort", cfg)
}

func listenFloor(ctx context.Context, addr string) error {
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
	f := &floor{
		listener: int(file.Fd()), conns: map[int32]*floorConn{},
		once: map[string][]*floorConn{}, lasting: map[string][]*floorConn{},
	}
	if f.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return err
	}
	defer func() { _ = syscall.Close(f.epoll) }()
	if err := errors.Join(syscall.SetNonblock(f.listener, true), f.watch(f.listener)); err != nil {
		return err
	}
	return f.run(ctx)
}

func (f *floor) watch(fd int) error {
	return syscall.EpollCtl(f.epoll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)})
}

func (f *floor) run(ctx context.Context) error {
	events := make([]syscall.EpollEvent, 512)
	for ctx.Err() == nil {
		n, err := syscall.EpollWait(f.epoll, events, floorIdle)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return fmt.Errorf("epoll: %w", err)
		}
		for i := range max(n, 0) {
			if fd := events[i].Fd; int(fd) == f.listener {
				f.accept()
			} else if c := f.conns[fd]; c != nil && !f.serve(c) {
				f.drop(c)
			}
		}
	}
	for _, c := range f.conns {
		_ = syscall.Close(c.fd)
	}
	return nil
}

func (f *floor) accept() {
	fd, _, err := syscall.Accept4(f.listener, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
	if err != nil {
		return // somebody who has gone already
	}
	_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	if f.watch(fd) != nil {
		_ = syscall.Close(fd)
		return
	}
	f.conns[int32(fd)] = &floorConn{fd: fd}
}

// serve reads once and answers; it is false at the connection's end.
func (f *floor) serve(c *floorConn) bool {
	c.in = slices.Grow(c.in, 4096)
	n, err := syscall.Read(c.fd, c.in[len(c.in):cap(c.in)])
	if n <= 0 {
		return errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR)
	}
	c.in = c.in[:len(c.in)+n]
	rest := c.in
	for len(rest) >= wire.FrameHeaderBytes {
		size := int(wire.FrameLength(rest))
		if size < 0 || size > floorFrameMax {
			return false
		}
		if len(rest) < wire.FrameHeaderBytes+size {
			break
		}
		if !f.answer(c, rest[wire.FrameHeaderBytes:wire.FrameHeaderBytes+size]) {
			return false
		}
		rest = rest[wire.FrameHeaderBytes+size:]
	}
	c.in = c.in[:copy(c.in, rest)]
	return c.flush() && !c.closing
}

// flush writes what is to be sent. Nobody is waited for: a client that does not read is left.
func (c *floorConn) flush() bool {
	if len(c.out) == 0 {
		return true
	}
	n, err := syscall.Write(c.fd, c.out)
	whole := err == nil && n == len(c.out)
	c.out = c.out[:0]
	return whole
}

// answer answers one request; it is false if that cannot be read.
func (f *floor) answer(c *floorConn, body []byte) bool {
	r := wire.NewReader(body)
	if !c.connected {
		return f.welcome(c, &r)
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
		f.value = append(f.value[:0], data...)
	}
	if h.Op == wire.OpAddWatch {
		f.lasting[string(path)] = append(f.lasting[string(path)], c)
	}
	if watched {
		f.once[string(path)] = append(f.once[string(path)], c)
	}
	if h.Op == wire.OpSetData {
		f.notify(path)
	}
	c.closing = h.Op == wire.OpCloseSession
	c.reply(h, path, f)
	return true
}

func (f *floor) welcome(c *floorConn, r *wire.Reader) bool {
	var q wire.ConnectRequest
	q.Decode(r)
	if r.Err() != nil {
		return false
	}
	f.session++
	a := wire.ConnectResponse{TimeOut: q.TimeOut, SessionID: f.session, Passwd: make([]byte, wire.PasswdBytes), HasReadOnly: q.HasReadOnly}
	out, mark := wire.BeginFrame(c.out)
	c.out = wire.EndFrame(a.Append(out), mark)
	c.connected = true
	return true
}

func (c *floorConn) reply(h wire.RequestHeader, path []byte, f *floor) {
	out, mark := wire.BeginFrame(c.out)
	out = wire.ReplyHeader{Xid: h.Xid, Zxid: f.zxid}.Append(out)
	stat := wire.Stat{Mzxid: f.zxid, DataLength: int32(len(f.value))} //nolint:gosec // at most floorFrameMax
	switch h.Op {
	case wire.OpCreate:
		out = wire.AppendBuffer(out, path)
	case wire.OpGetData:
		out = stat.Append(wire.AppendBuffer(out, f.value))
	case wire.OpSetData:
		out = stat.Append(out)
	case wire.OpAddWatch, wire.OpGetChildren:
		out = wire.AppendInt(out, 0) // no error; no children
	default: // the header is all
	}
	c.out = wire.EndFrame(out, mark)
}

// notify tells of a change of path.
func (f *floor) notify(path []byte) {
	f.zxid++
	tell := func(cs []*floorConn) {
		for _, c := range cs {
			c.out = wire.AppendNotification(c.out, f.zxid, wire.EventNodeDataChanged, path)
			if !c.flush() {
				f.drop(c)
			}
		}
	}
	// A watcher that is dropped on the way is taken out of both lists.
	once := f.once[string(path)]
	f.once[string(path)] = nil
	tell(once)
	f.once[string(path)] = once[:0]
	tell(slices.Clone(f.lasting[string(path)]))
}

func (f *floor) drop(c *floorConn) {
	if f.conns[int32(c.fd)] != c {
		return
	}
	delete(f.conns, int32(c.fd))
	_ = syscall.Close(c.fd)
	for _, watches := range []map[string][]*floorConn{f.once, f.lasting} {
		for path, cs := range watches {
			watches[path] = slices.DeleteFunc(cs, func(w *floorConn) bool { return w == c })
		}
	}
}
