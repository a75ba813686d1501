//go:build linux && !quorate_stream

package server

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/quorate/quorate/internal/replica"
)

// poller serves many connections on one goroutine: it waits for them all with
// epoll, reads each that is ready once, feeds it, and writes its answers. With
// a goroutine for each connection a request costs one more read, which finds
// nothing, and two passes of the scheduler; and ten thousand idle connections
// cost ten thousand stacks and buffers.
//
// A connection's descriptor is read and closed by its poller alone. Everybody
// else posts to it.
type poller struct {
	s    *Server
	fd   int // of epoll
	wake int // an eventfd
	buf  []byte
	subs []replica.Submission
	// waiting is how many submissions waited when this poller added some in this round.
	waiting int
	// listeners are descriptors that belong to the server.
	listeners []int
	// settled is the last question of Server.settle that this poller has answered.
	settled atomic.Int64

	mu     sync.Mutex
	conns  map[int]*polled
	posted []*polled
	woken  bool      // it will look at posted
	young  []*polled // connections that had no session when last looked at
	closed bool
}

// ioState is what a server keeps for its connections.
type ioState struct {
	pollers []*poller
	// listening are the listeners' descriptors, again: net keeps its own from us.
	listening []listening
	asks      atomic.Int64 // how often settle was called
}

// listening is a descriptor. It is asked of its file only once: that makes it
// blocking each time.
type listening struct {
	file *os.File
	fd   int
}

// stopIO has the pollers notice that the server has stopped.
func (s *Server) stopIO() {
	for _, p := range s.pollers {
		p.signal()
	}
}

// settle has all read that clients have sent by now, and returns a function that reports
// whether that is done.
func (s *Server) settle() (done func() bool) {
	ask := s.asks.Add(1)
	for _, p := range s.pollers {
		p.signal()
	}
	return func() bool {
		return !slices.ContainsFunc(s.pollers, func(p *poller) bool { return p.settled.Load() < ask })
	}
}

// pollersMax bounds the pollers; there is one for each processor up to that.
const pollersMax = 8

// startIO starts the pollers. All of them watch all listeners; the kernel wakes
// one for each connection.
func (s *Server) startIO() error {
	for _, l := range s.listeners {
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			return fmt.Errorf("client address: %w", err)
		}
		fd := int(f.Fd())
		s.listening = append(s.listening, listening{file: f, fd: fd})
		if err := syscall.SetNonblock(fd, true); err != nil {
			return fmt.Errorf("client address: %w", err)
		}
	}
	for range min(max(runtime.NumCPU()/2, 1), pollersMax) {
		p, err := newPoller(s)
		if err != nil {
			return err
		}
		s.pollers = append(s.pollers, p)
	}
	for _, p := range s.pollers {
		s.goAttach(p.run)
	}
	return nil
}

// stopAccepting ends the listeners; the pollers see them fail.
func (s *Server) stopAccepting() {
	for _, l := range s.listening {
		_ = syscall.Shutdown(l.fd, syscall.SHUT_RDWR)
	}
}

// closeIO closes what is left when all goroutines have ended.
func (s *Server) closeIO() {
	for _, l := range s.listening {
		_ = l.file.Close()
	}
}

func newPoller(s *Server) (*poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, errors.Join(errors.New("epoll"), err)
	}
	const nonblockCloexec = syscall.O_NONBLOCK | syscall.O_CLOEXEC
	wake, _, errno := syscall.Syscall(syscall.SYS_EVENTFD2, 0, nonblockCloexec, 0)
	if errno != 0 {
		return nil, errors.Join(errors.New("eventfd"), errno, syscall.Close(fd))
	}
	p := &poller{s: s, fd: fd, wake: int(wake), buf: make([]byte, keepBytes), conns: make(map[int]*polled)}
	err = p.watch(p.wake, syscall.EPOLLIN)
	for _, l := range s.listening {
		err = errors.Join(err, p.watch(l.fd, syscall.EPOLLIN|epollExclusive))
		p.listeners = append(p.listeners, l.fd)
	}
	if err != nil {
		return nil, errors.Join(errors.New("epoll"), err, syscall.Close(fd), syscall.Close(p.wake))
	}
	return p, nil
}

// epollExclusive is EPOLLEXCLUSIVE: of all that watch, wake one.
const epollExclusive = 1 << 28

func (p *poller) watch(fd int, events uint32) error {
	ev := syscall.EpollEvent{Events: events, Fd: int32(fd)}
	return syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_ADD, fd, &ev)
}

// acceptMax is how many connections are taken at once, so that those there
// are get their turn.
const acceptMax = 16

// accept takes new connections from a listener.
func (p *poller) accept(listener int) {
	for range acceptMax {
		fd, from, err := syscall.Accept4(listener, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
		switch {
		case err == nil:
			p.adopt(fd, addrPort(from))
		case errors.Is(err, syscall.EINTR) || errors.Is(err, syscall.ECONNABORTED):
		case errors.Is(err, syscall.EAGAIN):
			return
		case errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE):
			// It would be reported again at once: let others have the processor.
			if p.s.refusals.pass(p.s.mono()) {
				p.s.log.Warn("accepting a connection", zap.Error(err))
			}
			time.Sleep(time.Millisecond)
			return
		default: // it was shut down
			_ = syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_DEL, listener, nil)
			return
		}
	}
}

func addrPort(sa syscall.Sockaddr) netip.AddrPort {
	switch a := sa.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *syscall.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	default:
		return netip.AddrPort{}
	}
}

// polled is a connection served by a poller.
type polled struct {
	conn
	p  *poller
	fd int

	// Owned by the poller.
	in      []byte // received and not consumed: a part of a frame, mostly
	greeted bool   // it is known not to be a four-letter word
	busy    bool   // something is being done for it elsewhere: do not feed it
	waits   bool   // the last Feed returned Wait
	gone    bool

	// feeding tells Resume whether the poller has to be told.
	feeding atomic.Int32
	// task is what another goroutine did for it.
	task atomic.Pointer[taskResult]

	writer atomic.Int32
	spare  []byte // owned by the writer
	rest   []byte // of the output, what the socket did not take; the writer's
	ending atomic.Bool

	interestMu sync.Mutex
	interest   uint32
}

// taskResult is what came of a word or of an Unblock.
type taskResult struct {
	answer []byte
	last   bool
	err    error
}

const (
	feedReady   int32 = iota // bytes that come are fed
	feedWaiting              // the replica wants none, and none are left
	feedStopped              // as before, but there are some: post on Resume
)

const (
	writerNone    int32 = iota
	writerBusy          // somebody is writing
	writerAgain         // somebody is, and has to look again
	writerBlocked       // the socket is full: the poller goes on when it is not
	writerDead          // the descriptor is closed
)

// adopt takes a new socket.
func (p *poller) adopt(fd int, remote netip.AddrPort) {
	c := &polled{p: p, fd: fd, interest: syscall.EPOLLIN}
	if !p.s.admit(&c.conn, remote, c, c.endSoon) {
		_ = syscall.Close(fd)
		return
	}
	_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	if p.s.cfg.TCPKeepAlive {
		_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1)
	}
	p.mu.Lock()
	p.conns[fd] = c
	p.young = append(p.young, c)
	p.mu.Unlock()
	if err := p.watch(fd, c.interest); err != nil {
		p.s.log.Warn("watching a connection", zap.Error(err))
		c.endSoon()
	}
}

// run is the poller's goroutine.
func (p *poller) run() {
	events := make([]syscall.EpollEvent, 512)
	lookAtYoung := time.Now()
	var r round
	for {
		ask, wait := p.s.asks.Load(), pollWait
		if ask > p.settled.Load() {
			p.handlePosted() // what waits to be read has to be seen by epoll
			wait = 0
		}
		n, err := syscall.EpollWait(p.fd, events, wait)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			p.s.log.Error("epoll", zap.Error(err))
			p.s.stop()
		}
		if f := p.s.cfg.hooks.polled; f != nil {
			f()
		}
		for i := range max(n, 0) {
			p.handle(&events[i])
		}
		p.handlePosted()
		p.bring()
		if r.add(ask, n, len(events), p) {
			p.settled.Store(r.ask)
		}
		if now := time.Now(); now.Sub(lookAtYoung) >= time.Second {
			lookAtYoung = now
			p.endTheSilent(now)
		}
		select {
		case <-p.s.stopped:
			p.shut()
			return
		default:
		}
	}
}

// bring has the loop look at what was submitted in this round.
func (p *poller) bring() {
	n := p.waiting
	p.waiting = 0
	switch {
	case n == 0:
	case n <= helpMax:
		p.s.loop.help(p.s.loop.helpOnce)
	default:
		p.s.loop.signal()
	}
}

// pollWait is how long a poller waits for events, in ms.
const pollWait = 1000

// round is a time in which a poller looks at each of its sockets that can be read.
type round struct {
	ask   int64 // that was asked before it began
	seen  int   // events since
	begun bool
}

// add adds what one wait of at most so many events has brought, and reports whether that
// was the last of a round. The kernel reports the sockets that are ready in turn: those
// that do not fit come first in the next wait.
func (r *round) add(ask int64, n, most int, p *poller) (last bool) {
	if !r.begun {
		*r = round{ask: ask, begun: true}
	}
	r.seen += max(n, 0)
	if n < 0 {
		return false
	}
	if n == most {
		p.mu.Lock()
		conns := len(p.conns)
		p.mu.Unlock()
		if r.seen < conns+most {
			return false
		}
	}
	r.begun = false
	return true
}

func (p *poller) handle(ev *syscall.EpollEvent) {
	if int(ev.Fd) == p.wake {
		var b [8]byte
		_, _ = syscall.Read(p.wake, b[:])
		return
	}
	if slices.Contains(p.listeners, int(ev.Fd)) {
		p.accept(int(ev.Fd))
		return
	}
	p.mu.Lock()
	c := p.conns[int(ev.Fd)]
	p.mu.Unlock()
	if c == nil {
		return
	}
	if ev.Events&syscall.EPOLLOUT != 0 {
		c.writable()
	}
	if ev.Events&^uint32(syscall.EPOLLOUT) != 0 && !c.gone {
		c.readable(ev.Events)
	}
}

// post has the poller look at a connection.
func (p *poller) post(c *polled) {
	p.mu.Lock()
	p.posted = append(p.posted, c)
	wake := !p.woken
	p.woken = true
	p.mu.Unlock()
	if wake {
		p.signal()
	}
}

func (p *poller) signal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = syscall.Write(p.wake, one[:])
}

func (p *poller) handlePosted() {
	p.mu.Lock()
	list := p.posted
	p.posted, p.woken = nil, false
	p.mu.Unlock()
	for _, c := range list {
		if !c.gone {
			c.attend()
		}
	}
}

// endTheSilent closes connections that have opened no session in time
// (NIOServerCnxnFactory's sessionless connections).
func (p *poller) endTheSilent(now time.Time) {
	p.mu.Lock()
	young := p.young
	p.young = nil
	p.mu.Unlock()
	kept := young[:0]
	for _, c := range young {
		switch {
		case c.gone || c.client.State() >= replica.StateConnected:
		case now.Sub(c.since) > p.s.cfg.HandshakeTimeout:
			p.s.stats.sessionless.Add(1)
			c.finish()
		default:
			kept = append(kept, c)
		}
	}
	p.mu.Lock()
	p.young = append(kept, p.young...)
	p.mu.Unlock()
}

// shut closes every connection and the poller.
func (p *poller) shut() {
	p.mu.Lock()
	list := make([]*polled, 0, len(p.conns))
	for _, c := range p.conns {
		list = append(list, c)
	}
	p.mu.Unlock()
	for _, c := range list {
		c.finish()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	_ = syscall.Close(p.fd)
	_ = syscall.Close(p.wake)
}

// readable reads once and feeds what came. What remains in the socket makes it
// readable again.
func (c *polled) readable(events uint32) {
	if !c.mayFeed() {
		c.setInterest(syscall.EPOLLIN, false)
		if events&(syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
			c.finish()
		}
		return
	}
	n, err := syscall.Read(c.fd, c.p.buf)
	switch {
	case n > 0:
	case errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR):
		return
	default: // the end, or an error that is one
		c.finish()
		return
	}
	data := c.p.buf[:n]
	if len(c.in) > 0 {
		c.in = append(c.in, data...)
		data = c.in
	}
	c.consume(data)
}

// mayFeed reports whether the connection may be read now; if not, whoever
// holds it up will post it.
func (c *polled) mayFeed() bool {
	return !c.busy && (c.feeding.Load() == feedReady || !c.feeding.CompareAndSwap(feedWaiting, feedStopped) &&
		c.feeding.Load() == feedReady)
}

// consume feeds bytes and keeps what is left of them.
func (c *polled) consume(data []byte) {
	rest, ok := c.digest(data)
	if !ok {
		c.finish()
		return
	}
	switch {
	case len(rest) > 0:
		c.in = append(c.in[:0], rest...)
	case cap(c.in) > keepBytes/16:
		c.in = nil
	default:
		c.in = c.in[:0]
	}
	c.Flush()
	if c.waits {
		c.awaitResume()
	}
}

// awaitResume settles what happens after Feed said Wait: when bytes are left,
// Resume is to post the connection. It may have been called already, or the
// output that held the client up may be written.
func (c *polled) awaitResume() {
	if c.client.Unpause() {
		c.feeding.Store(feedReady)
	}
	if len(c.in) > 0 && !c.feeding.CompareAndSwap(feedWaiting, feedStopped) {
		c.p.post(c)
	}
}

// digest handles the first bytes of a connection, then gives all to the
// replica. It returns what was not consumed; ok is false when the connection
// is to end at once.
func (c *polled) digest(data []byte) (rest []byte, ok bool) {
	if !c.greeted {
		if len(data) < wordBytes {
			return data, true
		}
		if word, is := wordOf(data); is {
			return data, c.word(word, data[wordBytes:])
		}
		c.greeted = true
	}
	c.feeding.Store(feedWaiting) // a Resume may come before Feed returns Wait
	n, subs, status, err := c.client.Feed(data, c.s.mono(), c.p.subs[:0])
	if c.waits = status == replica.Wait; !c.waits {
		c.feeding.Store(feedReady)
	}
	if len(subs) > 0 {
		c.p.waiting = c.s.loop.submit(subs...)
		clear(subs)
	}
	c.p.subs = subs
	switch {
	case err != nil:
		c.failed(err)
		c.Flush()
		return nil, false
	case status == replica.Blocked:
		c.spawn(func() *taskResult { return &taskResult{err: c.client.Unblock()} })
	}
	return data[n:], true
}

// word answers a four-letter word, on a goroutine of its own. It is false when that
// lacks what has to follow it.
func (c *polled) word(w string, arg []byte) bool {
	c.countWord()
	if len(arg) < wordArgBytes(w) {
		return false
	}
	arg = append([]byte{}, arg...)
	c.spawn(func() *taskResult { return &taskResult{answer: c.s.answerWord(w, arg), last: true} })
	return true
}

// spawn does for the connection what takes long; meanwhile it is not fed.
func (c *polled) spawn(f func() *taskResult) {
	c.busy = true
	c.s.goAttach(func() {
		c.task.Store(f())
		c.p.post(c)
	})
}

// attend is the poller's answer to a post.
func (c *polled) attend() {
	if t := c.task.Swap(nil); t != nil {
		c.busy = false
		if t.err != nil || t.last {
			c.farewell(t)
			return
		}
	}
	if c.ending.Load() {
		c.finish()
		return
	}
	if !c.mayFeed() {
		return
	}
	c.setInterest(syscall.EPOLLIN, true)
	if len(c.in) > 0 {
		c.consume(c.in)
	}
}

// farewell writes a word's answer, as much as the socket takes within a
// moment, and ends.
func (c *polled) farewell(t *taskResult) {
	if t.err != nil {
		c.failed(t.err)
		c.finish()
		return
	}
	c.s.farewells.Add(1)
	fd := c.detachFD()
	c.s.goAttach(func() {
		defer c.s.farewells.Add(-1)
		defer syscall.Close(fd) //nolint:errcheck // nothing is left to do
		_ = syscall.SetNonblock(fd, false)
		limit := syscall.NsecToTimeval(int64(c.s.cfg.HandshakeTimeout))
		_ = syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_SNDTIMEO, &limit)
		for b := t.answer; len(b) > 0; {
			n, err := syscall.Write(fd, b)
			if err != nil && !errors.Is(err, syscall.EINTR) {
				return
			}
			b = b[max(n, 0):]
		}
		_ = syscall.Shutdown(fd, syscall.SHUT_WR)
	})
}

// Resume implements [replica.Sink].
func (c *polled) Resume() {
	for {
		switch c.feeding.Load() {
		case feedReady:
			return
		case feedWaiting:
			if c.feeding.CompareAndSwap(feedWaiting, feedReady) {
				return
			}
		default:
			if c.feeding.CompareAndSwap(feedStopped, feedReady) {
				c.p.post(c)
				return
			}
		}
	}
}

// Flush implements [replica.Sink]: it writes what the socket takes, and leaves
// the rest to the poller.
func (c *polled) Flush() {
	for {
		switch c.writer.Load() {
		case writerNone:
			if c.writer.CompareAndSwap(writerNone, writerBusy) {
				c.writeOut()
				c.unpause()
				return
			}
		case writerBusy:
			if c.writer.CompareAndSwap(writerBusy, writerAgain) {
				return
			}
		default:
			return
		}
	}
}

// writeOut is the writer's work.
func (c *polled) writeOut() {
	for {
		out, last := c.client.TakeOut(c.takeSpare())
		c.spare = out
		if len(out) > 0 {
			n, err := c.writeSome(out)
			if err != nil {
				c.endSoon()
			} else if n < len(out) {
				c.block(out[n:])
				return
			}
		}
		if last {
			c.endSoon()
		}
		if c.writer.CompareAndSwap(writerBusy, writerNone) {
			return
		}
		c.writer.Store(writerBusy)
	}
}

// takeSpare returns the buffer to gather the next output in; a large one is
// let go.
func (c *polled) takeSpare() []byte {
	if cap(c.spare) > keepBytes {
		return nil
	}
	return c.spare
}

func (c *polled) writeSome(b []byte) (int, error) {
	for {
		n, err := syscall.Write(c.fd, b)
		switch {
		case err == nil:
			return n, nil
		case errors.Is(err, syscall.EAGAIN):
			return 0, nil
		case !errors.Is(err, syscall.EINTR):
			return 0, err
		}
	}
}

// block leaves the rest of the output to the poller. It stays where it is, in spare,
// which nobody takes before it is written: an answer may have many megabytes, and is
// written in small parts.
func (c *polled) block(rest []byte) {
	c.rest = rest
	if !c.owe(len(rest)) {
		c.endSoon()
	}
	c.writer.Store(writerBlocked)
	c.setInterest(syscall.EPOLLOUT, true)
}

// writable goes on writing when the socket has room.
func (c *polled) writable() {
	if !c.writer.CompareAndSwap(writerBlocked, writerBusy) {
		return
	}
	n, err := c.writeSome(c.rest)
	switch {
	case err != nil:
		c.endSoon()
	case n < len(c.rest):
		c.rest = c.rest[n:]
		c.owe(len(c.rest))
		c.writer.Store(writerBlocked)
		return
	}
	c.rest = nil
	c.owe(0)
	c.setInterest(syscall.EPOLLOUT, false)
	c.writeOut()
	c.unpause()
}

// unpause goes on with a client that was held up by its own output. Whoever
// has written some calls it: it may have been somebody else than the poller
// who filled the output.
func (c *polled) unpause() {
	if c.client.Unpause() {
		c.Resume()
	}
}

// setInterest changes what epoll reports of the socket. The writer may call
// it, and the poller.
func (c *polled) setInterest(bit uint32, on bool) {
	c.interestMu.Lock()
	defer c.interestMu.Unlock()
	want := c.interest &^ bit
	if on {
		want |= bit
	}
	if want == c.interest {
		return
	}
	c.interest = want
	ev := syscall.EpollEvent{Events: want, Fd: int32(c.fd)}
	_ = syscall.EpollCtl(c.p.fd, syscall.EPOLL_CTL_MOD, c.fd, &ev)
}

// endSoon has the poller close the connection. Any goroutine may call it.
func (c *polled) endSoon() {
	if c.ending.CompareAndSwap(false, true) {
		c.p.post(c)
	}
}

// finish closes the connection. Only its poller calls it.
func (c *polled) finish() {
	if !c.gone {
		_ = syscall.Close(c.detachFD())
	}
}

// detachFD takes the descriptor away from the connection, which is over then:
// nobody writes to it any more, and the replica is told.
func (c *polled) detachFD() (fd int) {
	c.gone = true
	for {
		w := c.writer.Load()
		if (w == writerNone || w == writerBlocked) && c.writer.CompareAndSwap(w, writerDead) {
			break
		}
		runtime.Gosched() // a writer never waits, so it is done in a moment
	}
	c.owe(0)
	c.interestMu.Lock()
	_ = syscall.EpollCtl(c.p.fd, syscall.EPOLL_CTL_DEL, c.fd, nil)
	fd, c.fd = c.fd, -1
	c.interestMu.Unlock()
	c.p.mu.Lock()
	delete(c.p.conns, fd)
	c.p.mu.Unlock()
	c.p.waiting = c.s.release(&c.conn)
	return fd
}
