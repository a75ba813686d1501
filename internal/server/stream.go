//go:build !linux || quorate_stream

package server

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/quorate/quorate/internal/replica"
	"github.com/quorate/quorate/wire"
)

// readBytesMin is a connection's first read buffer: small, because most of ten
// thousand connections are idle. It doubles while reads fill it.
const readBytesMin = 4 << 10

// stream is a connection with a goroutine of its own, which reads and feeds;
// whoever has output to write becomes the writer, one at a time (see flush).
// It is for systems without a poller.
type stream struct {
	conn
	nc  net.Conn
	raw syscall.RawConn // nil when the connection is not a plain socket

	// resume has room for one token: the replica wants to be fed again.
	resume chan struct{}

	// writer is the state of the output: nobody, somebody, or somebody who has
	// to look again because more has come.
	writer atomic.Int32
	spare  []byte // owned by the writer
	closed atomic.Bool

	buf        []byte
	start, end int
	subs       []replica.Submission
}

const (
	writerNone int32 = iota
	writerBusy
	writerAgain
)

func addrOf(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// ioState is what a server keeps for its connections; here nothing.
type ioState struct{}

// settle has all read that clients have sent by now. The goroutines of connections do
// that by themselves; they are given the time until the loop looks again.
func (s *Server) settle() (done func() bool) {
	asked := s.mono()
	return func() bool { return s.mono() > asked }
}

// stopIO has nothing to stop: connections see that the server has.
func (s *Server) stopIO() {}

// startIO has every listener served.
func (s *Server) startIO() error {
	for _, l := range s.listeners {
		s.goAttach(func() { s.listen(l) })
	}
	return nil
}

// stopAccepting has nothing to do: closed listeners end their goroutines.
func (s *Server) stopAccepting() {}

// closeIO has nothing to close.
func (s *Server) closeIO() {}

// listen takes connections from one listener until it closes.
func (s *Server) listen(l net.Listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) || !s.acceptFailed(err) {
				return
			}
			continue
		}
		c := &stream{nc: nc, resume: make(chan struct{}, 1)}
		if sc, ok := nc.(syscall.Conn); ok {
			c.raw, _ = sc.SyscallConn()
		}
		if !s.admit(&c.conn, addrOf(nc.RemoteAddr()), c, c.close) {
			_ = nc.Close()
			continue
		}
		s.goAttach(c.run)
	}
}

// run serves the connection until it ends.
func (c *stream) run() {
	err := c.serve()
	if err != nil && !errors.Is(err, errConnEnds) {
		c.s.log.Debug("connection ends", zap.Stringer("remote", c), zap.Error(err))
	}
	c.close()
	c.s.release(&c.conn)
	c.s.loop.signal()
}

// errConnEnds says that the connection ends as it should.
var errConnEnds = errors.New("connection ends")

func (c *stream) serve() error {
	c.buf = make([]byte, readBytesMin)
	if err := c.nc.SetReadDeadline(c.since.Add(c.s.cfg.HandshakeTimeout)); err != nil {
		return err
	}
	if err := c.readAtLeast(wire.FrameHeaderBytes); err != nil {
		return err
	}
	if word, ok := wordOf(c.buf[:c.end]); ok {
		c.countWord()
		if c.end < wordBytes+wordArgBytes(word) {
			return errConnEnds
		}
		c.answer(c.s.answerWord(word, c.buf[wordBytes:c.end]))
		return errConnEnds
	}
	handshake := true
	for {
		if err := c.feed(); err != nil {
			return err
		}
		if handshake && c.client.State() >= replica.StateConnected {
			handshake = false
			if err := c.nc.SetReadDeadline(time.Time{}); err != nil {
				return err
			}
		}
		if err := c.read(); err != nil {
			return err
		}
	}
}

// readAtLeast fills the buffer with n bytes or more.
func (c *stream) readAtLeast(n int) error {
	for c.end < n {
		if err := c.read(); err != nil {
			return err
		}
	}
	return nil
}

// read makes room and reads once.
func (c *stream) read() error {
	switch {
	case c.start == c.end:
		c.start, c.end = 0, 0
		if len(c.buf) > keepBytes {
			c.buf = make([]byte, readBytesMin)
		}
	case c.start > 0:
		c.end = copy(c.buf, c.buf[c.start:c.end])
		c.start = 0
	}
	if c.end == len(c.buf) {
		c.buf = append(c.buf, make([]byte, len(c.buf))...)
	}
	n, err := c.nc.Read(c.buf[c.end:])
	c.end += n
	if c.end == len(c.buf) && len(c.buf) < keepBytes {
		c.buf = append(c.buf, make([]byte, len(c.buf))...)
	}
	return err
}

// feed gives the replica what was read, for as long as it takes any of it.
func (c *stream) feed() error {
	for {
		n, subs, status, err := c.client.Feed(c.buf[c.start:c.end], c.s.mono(), c.subs[:0])
		if len(subs) > 0 {
			c.s.loop.submit(subs...)
			c.s.loop.signal()
			clear(subs)
		}
		c.subs = subs
		c.start += n
		c.flush()
		if err != nil {
			c.failed(err)
			return errConnEnds
		}
		if c.client.State() == replica.StateClosed {
			return errConnEnds
		}
		switch status {
		case replica.Blocked:
			if err := c.client.Unblock(); err != nil {
				c.failed(err)
				return errConnEnds
			}
			continue
		case replica.More, replica.Done:
			return nil
		case replica.Wait:
			if c.client.Unpause() {
				continue
			}
		}
		select {
		case <-c.resume:
		case <-c.s.stopped:
			return errConnEnds
		}
	}
}

// Resume implements [replica.Sink].
func (c *stream) Resume() {
	select {
	case c.resume <- struct{}{}:
	default:
	}
}

// become makes the caller the writer. If there is one already, it is told to
// look again, and the caller has nothing to do.
func (c *stream) become() bool {
	for {
		switch c.writer.Load() {
		case writerNone:
			if c.writer.CompareAndSwap(writerNone, writerBusy) {
				return true
			}
		case writerBusy:
			if c.writer.CompareAndSwap(writerBusy, writerAgain) {
				return false
			}
		default:
			return false
		}
	}
}

// resign ends the caller's turn as writer unless more has come.
func (c *stream) resign() bool {
	if c.writer.CompareAndSwap(writerBusy, writerNone) {
		return true
	}
	c.writer.Store(writerBusy)
	return false
}

// flush writes the client's output, waiting for the peer if need be. It is
// called on the connection's own goroutine.
func (c *stream) flush() {
	if out, _ := c.client.Pending(); out == 0 && c.client.State() != replica.StateClosed {
		return
	}
	if c.become() {
		c.write(nil)
	}
}

// write is the writer's work: rest first, then all output there is.
func (c *stream) write(rest []byte) {
	for {
		if len(rest) > 0 {
			if !c.owe(len(rest)) {
				c.close()
			}
			if _, err := c.nc.Write(rest); err != nil {
				c.close()
			}
			c.owe(0)
		}
		out, last := c.client.TakeOut(c.takeSpare())
		c.spare = out
		if len(out) > 0 {
			rest = out
			continue
		}
		rest = nil
		if last {
			c.close()
		}
		if c.resign() {
			return
		}
	}
}

// takeSpare returns the buffer to gather the next output in; a large one is
// let go.
func (c *stream) takeSpare() []byte {
	if cap(c.spare) > keepBytes {
		return nil
	}
	return c.spare
}

// Flush implements [replica.Sink]: it writes what the socket takes at once and
// leaves the rest to a goroutine of its own.
func (c *stream) Flush() {
	if !c.become() {
		return
	}
	if c.raw == nil {
		c.s.goAttach(func() { c.write(nil) })
		return
	}
	for {
		out, last := c.client.TakeOut(c.takeSpare())
		c.spare = out
		if len(out) > 0 {
			n, err := c.writeSome(out)
			if err != nil {
				c.close()
			} else if n < len(out) {
				c.s.goAttach(func() { c.write(out[n:]) })
				return
			}
		}
		if last {
			c.close()
		}
		if c.resign() {
			return
		}
	}
}

// writeSome writes without waiting and returns how much the socket took.
func (c *stream) writeSome(b []byte) (n int, err error) {
	werr := c.raw.Write(func(fd uintptr) bool {
		n, err = syscall.Write(int(fd), b)
		return true
	})
	if werr != nil {
		return 0, werr
	}
	if err == syscall.EAGAIN || err == syscall.EINTR { //nolint:errorlint // a bare errno from syscall.Write
		return 0, nil
	}
	return max(n, 0), err
}

// close closes the socket; the reading goroutine then ends.
func (c *stream) close() {
	if c.closed.CompareAndSwap(false, true) {
		if err := c.nc.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			c.s.log.Debug("closing a connection", zap.Error(err))
		}
	}
}

// answer writes a word's answer. The connection is closed after it, by halves
// first: closing with unread bytes would reset it and take the answer along.
func (c *stream) answer(text []byte) {
	_ = c.nc.SetWriteDeadline(time.Now().Add(c.s.cfg.HandshakeTimeout))
	_, _ = c.nc.Write(text)
	if half, ok := c.nc.(*net.TCPConn); ok {
		_ = half.CloseWrite()
	}
}

// acceptFailed waits a moment after a failure to accept, most likely for want
// of file descriptors. It is false when the server stops.
func (s *Server) acceptFailed(err error) bool {
	if s.refusals.pass(s.mono()) {
		s.log.Warn("accepting a connection", zap.Error(err))
	}
	select {
	case <-time.After(20 * time.Millisecond):
		return true
	case <-s.stopping:
		return false
	}
}
