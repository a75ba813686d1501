package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

// defaultDriver is the cheapest one of the system.
var defaultDriver driver = epoll

// epollLoop drives many lanes on one goroutine: it waits for all sockets with
// one call, and spends one read and one write on all frames of a socket.
type epollLoop struct {
	fd     int
	phase  *phase
	lanes  []*lane
	socks  []int // the lanes' sockets, out of the Go runtime's hands
	full   []bool
	buf    []byte
	events []syscall.EpollEvent
	swept  int64 // when idle and stalled lanes were last looked for
}

// epoll is the driver for Linux.
func epoll(ctx context.Context, p *phase, lanes []*lane, o DialOptions) (err error) {
	e := &epollLoop{
		phase: p, lanes: lanes, full: make([]bool, len(lanes)),
		events: make([]syscall.EpollEvent, 128),
	}
	if e.fd, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	defer closeFD(e.fd)
	defer func() { err = errors.Join(err, e.giveBack()) }()
	for i := range lanes {
		if err := e.add(i); err != nil {
			return fmt.Errorf("%s: %w", lanes[i].addr, err)
		}
	}
	return e.run(ctx, o.ReplyTimeout)
}

// add takes a lane's socket over.
func (e *epollLoop) add(i int) error {
	fd, err := detach(e.lanes[i].conn)
	if err != nil {
		return err
	}
	e.socks = append(e.socks, fd)
	if need := bufferBytes(e.lanes[i].frame); len(e.buf) < need {
		e.buf = make([]byte, need)
	}
	return e.control(syscall.EPOLL_CTL_ADD, i, syscall.EPOLLIN)
}

func (e *epollLoop) control(op, i int, events uint32) error {
	ev := syscall.EpollEvent{Events: events, Fd: int32(i)} // Fd is ours to use: the lane's number
	return os.NewSyscallError("epoll_ctl", syscall.EpollCtl(e.fd, op, e.socks[i], &ev))
}

// run sends the first requests and then follows the sockets.
func (e *epollLoop) run(ctx context.Context, limit time.Duration) error {
	for i := range e.lanes {
		if err := e.send(i, e.phase.clock.now()); err != nil {
			return err
		}
	}
	for {
		now := e.phase.clock.now()
		if now-e.swept >= int64(tick) || e.phase.over(now) {
			e.swept = now
			if busy, err := e.sweep(ctx, now, limit); !busy || err != nil {
				return err
			}
		}
		n, err := syscall.EpollWait(e.fd, e.events, int(tick.Milliseconds()))
		if err != nil && err != syscall.EINTR {
			return os.NewSyscallError("epoll_wait", err)
		}
		for _, ev := range e.events[:max(n, 0)] {
			if err := e.ready(int(ev.Fd), ev.Events); err != nil {
				return err
			}
		}
		if n > 0 && n < len(e.events) && e.finished() {
			return nil
		}
	}
}

// finished is a cheap check for phases that are bounded by a count.
func (e *epollLoop) finished() bool {
	l := e.lanes[0]
	if l.limit != 0 || l.pending() > 0 {
		return false
	}
	now := e.phase.clock.now()
	for _, l := range e.lanes {
		if !l.idle(now) {
			return false
		}
	}
	return true
}

// sweep reports whether any lane still has something to do.
func (e *epollLoop) sweep(ctx context.Context, now int64, limit time.Duration) (busy bool, err error) {
	if err := context.Cause(ctx); err != nil {
		return false, err
	}
	for _, l := range e.lanes {
		if err := l.stalled(now, limit); err != nil {
			return false, err
		}
		busy = busy || !l.idle(now)
	}
	return busy, nil
}

// ready serves one socket.
func (e *epollLoop) ready(i int, events uint32) error {
	if events&^syscall.EPOLLOUT != 0 {
		if err := e.receive(i); err != nil {
			return err
		}
	}
	return e.send(i, e.phase.clock.now())
}

// receive reads once and handles what came. Polling is level-triggered, so what
// did not fit brings the next event.
func (e *epollLoop) receive(i int) error {
	l := e.lanes[i]
	kept := copy(e.buf, l.rest)
	n, err := syscall.Read(e.socks[i], e.buf[kept:])
	switch {
	case err == syscall.EAGAIN || err == syscall.EINTR:
		return nil
	case err != nil:
		return l.failed(err)
	case n == 0:
		return l.failed(errEOF)
	}
	return l.received(e.buf[:kept+n], e.phase.clock.now())
}

// send fills the lane's window and writes what is due.
func (e *epollLoop) send(i int, now int64) error {
	l := e.lanes[i]
	l.fill(now)
	due := l.take(now)
	if len(due) == 0 {
		return nil
	}
	n, err := syscall.Write(e.socks[i], due)
	if err == syscall.EAGAIN || err == syscall.EINTR {
		n, err = 0, nil
	}
	if err != nil {
		return l.failed(err)
	}
	l.wrote(n)
	return e.watchOutput(i, n < len(due))
}

// watchOutput asks for an event when a full socket takes bytes again.
func (e *epollLoop) watchOutput(i int, full bool) error {
	if e.full[i] == full {
		return nil
	}
	e.full[i] = full
	events := uint32(syscall.EPOLLIN)
	if full {
		events |= syscall.EPOLLOUT
	}
	return e.control(syscall.EPOLL_CTL_MOD, i, events)
}

// giveBack turns the sockets into connections again.
func (e *epollLoop) giveBack() error {
	var failed error
	for i, fd := range e.socks {
		conn, err := attach(fd)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", e.lanes[i].addr, err))
			continue
		}
		e.lanes[i].conn = conn
	}
	return failed
}

// detach returns a descriptor of conn's socket of which the Go runtime knows
// nothing, and closes conn. Left with the runtime, every arriving packet would
// wake its poller too.
func detach(conn net.Conn) (int, error) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return -1, fmt.Errorf("a connection of type %T has no descriptor", conn)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd, dupErr := -1, error(nil)
	if err := raw.Control(func(orig uintptr) { fd, dupErr = dup(int(orig)) }); err != nil {
		return -1, err
	}
	if dupErr != nil {
		return -1, dupErr
	}
	return fd, conn.Close()
}

// dup duplicates a descriptor; the copy is not inherited by programs started.
func dup(fd int) (int, error) {
	n, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_DUPFD_CLOEXEC, 0)
	if errno != 0 {
		return -1, os.NewSyscallError("fcntl", errno)
	}
	return int(n), nil
}

// closeFD closes a descriptor whose closing cannot fail in a way that matters.
func closeFD(fd int) { _ = syscall.Close(fd) }

// attach undoes detach; the descriptor is closed.
func attach(fd int) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "lane")
	defer f.Close()
	return net.FileConn(f)
}
