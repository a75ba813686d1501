package transport

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// socket is a connection between servers that package net does not know any more: its scheduler's poller would be told
// of every byte that comes, besides the poller that reads them.
//
// A deadline ends the connection; there is no way back. Any goroutine may call its methods, but only one reads at a time.
type socket struct {
	fd            int // not blocking
	local, remote net.Addr
	expired       atomic.Bool

	mu     sync.Mutex
	users  int // of fd: it is closed behind the last
	closed bool
	timer  *time.Timer // of the deadline
}

// errNotYet says that a read would have to wait.
var errNotYet = errors.New("nothing has come")

// takeOver returns nc's socket without package net; nil if it has none, or there is no descriptor for it. nc is still to be
// closed, which ends nothing then.
func takeOver(nc net.Conn) *socket {
	raw := rawConn(nc)
	if raw == nil {
		return nil
	}
	s := &socket{fd: -1, local: nc.LocalAddr(), remote: nc.RemoteAddr()}
	err := raw.Control(func(fd uintptr) {
		n, _, errno := syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_DUPFD_CLOEXEC, 0)
		if errno == 0 {
			s.fd = int(n)
		}
	})
	if err != nil || s.fd < 0 {
		return nil
	}
	return s
}

// hold keeps the descriptor from being closed until release; false: it is closed already.
func (s *socket) hold() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.users++
	return true
}

func (s *socket) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users--; s.closed && s.users == 0 {
		_ = syscall.Close(s.fd)
	}
}

// Read implements io.Reader.
func (s *socket) Read(b []byte) (int, error) {
	for {
		n, err := s.tryRead(b)
		if !errors.Is(err, errNotYet) {
			return n, err
		}
		if err := s.await(pollIn); err != nil {
			return 0, err
		}
	}
}

// tryRead reads what is there, or returns errNotYet.
func (s *socket) tryRead(b []byte) (int, error) {
	if !s.hold() {
		return 0, net.ErrClosed
	}
	defer s.release()
	for {
		n, err := syscall.Read(s.fd, b)
		switch {
		case err == nil && n > 0:
			return n, nil
		case err == nil && s.expired.Load():
			return 0, os.ErrDeadlineExceeded
		case err == nil:
			return 0, io.EOF
		case errors.Is(err, syscall.EAGAIN):
			return 0, errNotYet
		case !errors.Is(err, syscall.EINTR):
			return 0, os.NewSyscallError("read", err)
		}
	}
}

// Write implements io.Writer.
func (s *socket) Write(b []byte) (n int, err error) {
	for n < len(b) {
		m, err := s.tryWrite(b[n:])
		n += m
		if errors.Is(err, errNotYet) {
			err = s.await(pollOut)
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func (s *socket) tryWrite(b []byte) (int, error) {
	if !s.hold() {
		return 0, net.ErrClosed
	}
	defer s.release()
	for {
		n, err := syscall.Write(s.fd, b)
		switch {
		case err == nil:
			return n, nil
		case errors.Is(err, syscall.EAGAIN):
			return 0, errNotYet
		case !errors.Is(err, syscall.EINTR):
			return 0, os.NewSyscallError("write", err)
		}
	}
}

// Events of poll(2).
const (
	pollIn  = 1
	pollOut = 4
)

// pollFd is struct pollfd.
type pollFd struct {
	fd              int32
	events, revents int16
}

// await waits until the socket can be read or written, or is at its end.
func (s *socket) await(events int16) error {
	if !s.hold() {
		return net.ErrClosed
	}
	defer s.release()
	p := pollFd{fd: int32(s.fd), events: events}
	_, _, errno := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, 0, 0, 0, 0)
	if errno != 0 && errno != syscall.EINTR {
		return os.NewSyscallError("ppoll", errno)
	}
	return nil
}

// Close implements io.Closer. Whoever reads, writes or waits is done at once.
func (s *socket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
	if s.users > 0 {
		_ = syscall.Shutdown(s.fd, syscall.SHUT_RDWR)
		return nil
	}
	return os.NewSyscallError("close", syscall.Close(s.fd))
}

// CloseWrite says that nothing more will be written.
func (s *socket) CloseWrite() error { return s.shutdown(syscall.SHUT_WR) }

func (s *socket) shutdown(how int) error {
	if !s.hold() {
		return net.ErrClosed
	}
	defer s.release()
	return os.NewSyscallError("shutdown", syscall.Shutdown(s.fd, how))
}

// LocalAddr implements net.Conn.
func (s *socket) LocalAddr() net.Addr { return s.local }

// RemoteAddr implements net.Conn.
func (s *socket) RemoteAddr() net.Addr { return s.remote }

// SetDeadline has the connection end at t; the zero time takes that back.
func (s *socket) SetDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	if !t.IsZero() {
		s.timer = time.AfterFunc(time.Until(t), func() {
			s.expired.Store(true)
			_ = s.shutdown(syscall.SHUT_RDWR)
		})
	}
	return nil
}

// SetReadDeadline implements net.Conn: the end of one direction is that of both.
func (s *socket) SetReadDeadline(t time.Time) error { return s.SetDeadline(t) }

// SetWriteDeadline implements net.Conn: the end of one direction is that of both.
func (s *socket) SetWriteDeadline(t time.Time) error { return s.SetDeadline(t) }

// SyscallConn implements syscall.Conn.
func (s *socket) SyscallConn() (syscall.RawConn, error) { return rawSocket{s}, nil }

// rawSocket is a socket's descriptor. Read and Write do not wait.
type rawSocket struct{ s *socket }

// Control implements syscall.RawConn.
func (r rawSocket) Control(f func(fd uintptr)) error {
	if !r.s.hold() {
		return net.ErrClosed
	}
	defer r.s.release()
	f(uintptr(r.s.fd))
	return nil
}

// Read implements syscall.RawConn.
func (r rawSocket) Read(f func(fd uintptr) bool) error { return r.once(f) }

// Write implements syscall.RawConn.
func (r rawSocket) Write(f func(fd uintptr) bool) error { return r.once(f) }

func (r rawSocket) once(f func(fd uintptr) bool) error {
	return r.Control(func(fd uintptr) { f(fd) })
}
