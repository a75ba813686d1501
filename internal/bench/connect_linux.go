package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/quorate/quorate/wire"
)

// defaultConnector is the cheapest one of the system.
var defaultConnector connector = connectEpoll

// rawSession is one connection of the connect workload on a bare socket. The
// standard library's dialer costs several times the CPU of everything else
// that opening a session takes.
type rawSession struct {
	addr   string
	target syscall.Sockaddr
	family int
	fd     int
	stage  sessionStage
	begun  int64
	in     []byte
}

// connectLoop drives many sessions on one goroutine.
type connectLoop struct {
	job      *connectJob
	tally    *tally
	fd       int
	sessions []rawSession
	active   int
	swept    int64
	patience int    // sweeps to go once the run is cancelled
	out      []byte // the closeSession request, framed
}

// connectEpoll is the connector for Linux.
func connectEpoll(ctx context.Context, j *connectJob, t *tally) error {
	c := &connectLoop{job: j, tally: t, sessions: make([]rawSession, len(j.addrs)), patience: 20}
	out, mark := wire.BeginFrame(nil)
	c.out = wire.EndFrame(wire.RequestHeader{Xid: 1, Op: wire.OpCloseSession}.Append(out), mark)
	for i, addr := range j.addrs {
		if err := c.sessions[i].resolve(addr); err != nil {
			return err
		}
	}
	var err error
	if c.fd, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	defer closeFD(c.fd)
	defer c.abandon()
	return c.run(ctx)
}

func (s *rawSession) resolve(addr string) error {
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return dialError(addr, err)
	}
	s.addr, s.fd, s.in = addr, -1, make([]byte, 0, 256)
	if ip := a.IP.To4(); ip != nil {
		s.family, s.target = syscall.AF_INET, &syscall.SockaddrInet4{Port: a.Port, Addr: [4]byte(ip)}
		return nil
	}
	ip := a.IP.To16()
	if ip == nil {
		ip = net.IPv6loopback
	}
	s.family, s.target = syscall.AF_INET6, &syscall.SockaddrInet6{Port: a.Port, Addr: [16]byte(ip)}
	return nil
}

// abandon closes what is open when the loop ends early.
func (c *connectLoop) abandon() {
	for i := range c.sessions {
		if c.sessions[i].fd >= 0 {
			closeFD(c.sessions[i].fd)
		}
	}
}

func (c *connectLoop) run(ctx context.Context) error {
	for i := range c.sessions {
		if err := c.begin(i); err != nil {
			return err
		}
	}
	events := make([]syscall.EpollEvent, 128)
	for c.active > 0 {
		n, err := syscall.EpollWait(c.fd, events, int(tick.Milliseconds()))
		if err != nil && err != syscall.EINTR {
			return os.NewSyscallError("epoll_wait", err)
		}
		for _, ev := range events[:max(n, 0)] {
			if err := c.step(int(ev.Fd), ev.Events); err != nil {
				return err
			}
		}
		if err := c.sweep(ctx); err != nil {
			return err
		}
	}
	return nil
}

// sweep looks for sessions that take too long, once in a while. When the run is
// cancelled, those that are open get a moment to close.
func (c *connectLoop) sweep(ctx context.Context) error {
	now := c.job.phase.clock.now()
	if now-c.swept < int64(tick) {
		return nil
	}
	c.swept = now
	if err := context.Cause(ctx); err != nil {
		if c.patience--; c.patience <= 0 {
			return err
		}
	}
	for i := range c.sessions {
		if s := &c.sessions[i]; s.stage != stageNone && c.job.late(s.begun) {
			return fmt.Errorf("%s: %w within %v while %v", s.addr, ErrStalled, c.job.dial.ReplyTimeout, s.stage)
		}
	}
	return nil
}

// begin opens the next connection, unless the job is over.
func (c *connectLoop) begin(i int) error {
	s := &c.sessions[i]
	s.begun, s.in = c.job.phase.clock.now(), s.in[:0]
	if !c.job.more(s.begun) {
		return nil
	}
	fd, err := syscall.Socket(s.family, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	s.fd, s.stage = fd, stageConnecting
	c.active++
	if err := syscall.Connect(fd, s.target); err != nil && err != syscall.EINPROGRESS {
		return dialError(s.addr, os.NewSyscallError("connect", err))
	}
	// Over loopback the connection is there already; elsewhere the socket
	// refuses the bytes until it is writable.
	sent, err := c.greet(s)
	if err != nil {
		return err
	}
	events := uint32(syscall.EPOLLIN | syscall.EPOLLRDHUP)
	if !sent {
		events |= syscall.EPOLLOUT
	}
	return c.control(syscall.EPOLL_CTL_ADD, i, events)
}

func (c *connectLoop) control(op, i int, events uint32) error {
	ev := syscall.EpollEvent{Events: events, Fd: int32(i)}
	return os.NewSyscallError("epoll_ctl", syscall.EpollCtl(c.fd, op, c.sessions[i].fd, &ev))
}

// greet sends the connect request; it reports false if the socket is not
// connected yet.
func (c *connectLoop) greet(s *rawSession) (bool, error) {
	_, err := syscall.Write(s.fd, c.job.hello)
	switch err {
	case nil:
		s.stage = stageOpening
		return true, nil
	case syscall.EAGAIN, syscall.ENOTCONN:
		return false, nil
	}
	return false, dialError(s.addr, err)
}

// step takes a session as far as the event allows.
func (c *connectLoop) step(i int, events uint32) error {
	s := &c.sessions[i]
	switch s.stage {
	case stageConnecting:
		sent, err := c.greet(s)
		if err != nil || !sent {
			return err
		}
		return c.control(syscall.EPOLL_CTL_MOD, i, syscall.EPOLLIN|syscall.EPOLLRDHUP)
	case stageHangup:
		return c.finish(i)
	default:
		return c.answer(i, events)
	}
}

// answer reads what the server says to the request that is out.
func (c *connectLoop) answer(i int, events uint32) error {
	s := &c.sessions[i]
	body, err := s.receive()
	if err != nil || body == nil {
		return err
	}
	if s.stage == stageOpening {
		return c.opened(s, body)
	}
	return c.closed(i, body, events)
}

// receive reads what is there and returns the body of a frame once it is
// whole, else nil.
func (s *rawSession) receive() ([]byte, error) {
	n, err := syscall.Read(s.fd, s.in[len(s.in):cap(s.in)])
	switch {
	case err == syscall.EAGAIN || err == syscall.EINTR:
		return nil, nil
	case err != nil && !isReset(err):
		return nil, fmt.Errorf("%s: %w", s.addr, err)
	case err != nil || n == 0:
		return nil, fmt.Errorf("%s: %w while %v (it is not serving, or refuses this many connections: see maxClientCnxns)", s.addr, ErrClosed, s.stage)
	}
	s.in = s.in[:len(s.in)+n]
	if len(s.in) < wire.FrameHeaderBytes {
		return nil, nil
	}
	end := int(wire.FrameLength(s.in)) + wire.FrameHeaderBytes
	if end < wire.FrameHeaderBytes || end > cap(s.in) {
		return nil, fmt.Errorf("%s: %w while %v: a frame of %d bytes", s.addr, ErrUnexpected, s.stage, end-wire.FrameHeaderBytes)
	}
	if len(s.in) < end {
		return nil, nil
	}
	body := s.in[wire.FrameHeaderBytes:end]
	s.in = s.in[:0]
	return body, nil
}

// opened checks the connect response and closes the session again.
func (c *connectLoop) opened(s *rawSession, body []byte) error {
	if err := checkConnect(s.addr, body); err != nil {
		return err
	}
	s.stage = stageClosing
	if _, err := syscall.Write(s.fd, c.out); err != nil {
		return fmt.Errorf("%s: %w while %v", s.addr, readError(err), s.stage)
	}
	return nil
}

// closed checks the answer to closeSession and counts the session.
func (c *connectLoop) closed(i int, body []byte, events uint32) error {
	s := &c.sessions[i]
	r := wire.NewReader(body)
	var h wire.ReplyHeader
	h.Decode(&r)
	if r.Err() != nil || h.Xid != 1 || h.Err != wire.OK {
		return fmt.Errorf("%s: %w to closeSession with xid 1: xid %d, error %d", s.addr, ErrUnexpected, h.Xid, int32(h.Err))
	}
	now := c.job.phase.clock.now()
	c.tally.add(now, now-s.begun)
	s.stage = stageHangup
	if events&syscall.EPOLLRDHUP != 0 {
		return c.finish(i)
	}
	return nil
}

// finish closes the socket after the server has, so that the address the
// server must remember for a while is not on this side, and begins again.
func (c *connectLoop) finish(i int) error {
	s := &c.sessions[i]
	err := syscall.Close(s.fd)
	s.fd, s.stage = -1, stageNone
	c.active--
	return errors.Join(os.NewSyscallError("close", err), c.begin(i))
}
