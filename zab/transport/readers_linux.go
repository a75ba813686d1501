package transport

import (
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"go.uber.org/zap"
)

// readers reads all connections of the quorum port on one goroutine, which waits for them in the kernel. With a goroutine
// for each of them the scheduler has threads look for work whenever one becomes ready, and sends them to sleep again:
// that took twice as many changes of threads as there were packets.
type readers struct {
	t *Transport

	// settling is odd while the handler sees to what it was given.
	settling atomic.Uint64

	mu      sync.Mutex
	running bool
	stopped bool
	shift   int    // which goroutine it is that reads: one that the handler kept for long is relieved
	seen    uint64 // settling at the last look
	fd      int    // of epoll
	wake    int    // an eventfd
	conns   map[int32]*polled
}

// polled is a connection that readers reads. Whoever handed it over waits for over.
type polled struct {
	c    *conn
	s    *socket
	over chan error // capacity 1
}

// tries reads a socket without waiting.
type tries struct{ *socket }

func (t tries) Read(b []byte) (int, error) { return t.tryRead(b) }

// takeOver has c's bytes read by readers from now on, if that can be.
func (r *readers) takeOver(c *conn) {
	s := takeOver(c.nc)
	if s == nil {
		return
	}
	if !r.t.own(s) {
		return // c.nc is closed as well
	}
	r.t.discard(c.nc)
	c.nc, c.in.r = s, s
}

// serve reads c until it ends, or something comes that is to be read elsewhere. ok is false if c cannot be served here.
func (r *readers) serve(c *conn) (ok bool, err error) {
	s, isSocket := c.nc.(*socket)
	if !isSocket || !s.hold() {
		return false, nil
	}
	defer s.release()
	p := &polled{c: c, s: s, over: make(chan error, 1)}
	c.in.r = tries{s}
	defer func() { c.in.r = s }()
	if !r.add(p) {
		return false, nil
	}
	return true, <-p.over
}

func (r *readers) add(p *polled) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped || !r.running && !r.start() {
		return false
	}
	r.conns[int32(p.s.fd)] = p
	if err := r.watch(p.s.fd); err != nil {
		delete(r.conns, int32(p.s.fd))
		r.t.log.Warn("watching a connection", zap.Error(err))
		return false
	}
	return true
}

func (r *readers) watch(fd int) error {
	return syscall.EpollCtl(r.fd, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)})
}

// start begins the goroutine. r.mu is held.
func (r *readers) start() bool {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return false
	}
	wake, _, errno := syscall.Syscall(syscall.SYS_EVENTFD2, 0, syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if errno != 0 {
		_ = syscall.Close(fd)
		return false
	}
	r.fd, r.wake, r.conns = fd, int(wake), map[int32]*polled{}
	shift := r.shift
	if r.watch(r.wake) != nil || !r.t.attach(func() { r.run(shift) }) {
		_ = syscall.Close(r.fd)
		_ = syscall.Close(r.wake)
		return false
	}
	r.running = true
	return true
}

// stop has the goroutine end with the last connection; there are no new ones.
func (r *readers) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped = true; r.running {
		var one [8]byte
		binary.NativeEndian.PutUint64(one[:], 1)
		_, _ = syscall.Write(r.wake, one[:]) // it is 0: this cannot fail
	}
}

// relieve has another goroutine go on if the handler has kept the one there is since the last look.
func (r *readers) relieve() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.settling.Load()
	stuck := now == r.seen && now%2 == 1
	r.seen = now
	if !stuck || !r.running {
		return
	}
	shift := r.shift + 1
	if r.t.attach(func() { r.run(shift) }) {
		r.shift = shift
		r.settling.Add(1)
		r.t.log.Debug("the reader of other servers is kept: another goes on")
	}
}

// settle lets the handler see to what came, and reports whether the caller has been relieved meanwhile.
func (r *readers) settle(shift int) (relieved bool) {
	r.settling.Add(1)
	r.t.settle()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shift != shift {
		return true
	}
	r.settling.Add(1)
	return false
}

func (r *readers) run(shift int) {
	events := make([]syscall.EpollEvent, 64)
	for {
		n, err := syscall.EpollWait(r.fd, events, -1)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			r.t.log.Error("epoll", zap.Error(err))
			r.abandon(err)
			return
		}
		for i := range max(n, 0) {
			r.handle(events[i].Fd)
		}
		if r.settle(shift) || r.done() {
			return
		}
	}
}

// handle reads once from a connection that has something.
func (r *readers) handle(fd int32) {
	r.mu.Lock()
	p := r.conns[fd]
	r.mu.Unlock()
	if p == nil {
		var n [8]byte
		_, _ = syscall.Read(r.wake, n[:]) // done looks at what it says
		return
	}
	err := p.c.fill()
	if err == nil {
		err = p.c.look()
	}
	if err == nil || errors.Is(err, errNotYet) {
		return
	}
	r.mu.Lock()
	delete(r.conns, fd)
	_ = syscall.EpollCtl(r.fd, syscall.EPOLL_CTL_DEL, int(fd), nil)
	r.mu.Unlock()
	p.over <- err
}

// done ends readers when it was stopped and the last connection has gone.
func (r *readers) done() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.stopped || len(r.conns) > 0 {
		return false
	}
	r.close()
	return true
}

func (r *readers) close() {
	r.running = false
	_ = syscall.Close(r.fd)
	_ = syscall.Close(r.wake)
}

// abandon lets nobody wait when epoll has failed.
func (r *readers) abandon(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.conns {
		p.over <- errors.Join(net.ErrClosed, err)
	}
	clear(r.conns)
	r.stopped = true
	r.close()
}
