package server

import (
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/quorate/quorate/internal/replica"
	"github.com/quorate/quorate/wire"
)

const (
	// readBytesMin is a connection's first read buffer: small, because most of
	// ten thousand connections are idle. It doubles while reads fill it.
	readBytesMin = 4 << 10
	// readBytesKeep is the largest buffer an idle connection keeps.
	readBytesKeep = 64 << 10
)

// conn is one client's connection. Its own goroutine reads and feeds; whoever
// has output to write becomes the writer, one at a time (see flush).
type conn struct {
	s      *Server
	nc     net.Conn
	raw    syscall.RawConn // nil when the connection is not a plain socket
	client *replica.Client
	since  time.Time

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

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{s: s, nc: nc, since: time.Now(), resume: make(chan struct{}, 1)}
	if sc, ok := nc.(syscall.Conn); ok {
		c.raw, _ = sc.SyscallConn()
	}
	c.client = s.rep.NewClient(ipOf(nc.RemoteAddr()), c)
	return c
}

// run serves the connection until it ends.
func (c *conn) run() {
	err := c.serve()
	if err != nil && !errors.Is(err, errConnEnds) {
		c.s.log.Debug("connection ends", zap.Stringer("remote", c.nc.RemoteAddr()), zap.Error(err))
	}
	c.close()
	c.s.loop.submit([]replica.Submission{{Kind: replica.SubmitDetach, Client: c.client}})
}

// errConnEnds says that the connection ends as it should.
var errConnEnds = errors.New("connection ends")

func (c *conn) serve() error {
	c.buf = make([]byte, readBytesMin)
	if err := c.nc.SetReadDeadline(c.since.Add(c.s.cfg.HandshakeTimeout)); err != nil {
		return err
	}
	if err := c.readAtLeast(wire.FrameHeaderBytes); err != nil {
		return err
	}
	if word, ok := c.s.wordOf(c.buf[:c.end]); ok {
		c.answerWord(word)
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
func (c *conn) readAtLeast(n int) error {
	for c.end < n {
		if err := c.read(); err != nil {
			return err
		}
	}
	return nil
}

// read makes room and reads once.
func (c *conn) read() error {
	switch {
	case c.start == c.end:
		c.start, c.end = 0, 0
		if len(c.buf) > readBytesKeep {
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
	if c.end == len(c.buf) && len(c.buf) < readBytesKeep {
		c.buf = append(c.buf, make([]byte, len(c.buf))...)
	}
	return err
}

// feed gives the replica what was read, for as long as it takes any of it.
func (c *conn) feed() error {
	for {
		n, subs, status, err := c.client.Feed(c.buf[c.start:c.end], c.s.mono(), c.subs[:0])
		if len(subs) > 0 {
			c.s.loop.submit(subs)
			clear(subs)
		}
		c.subs = subs
		c.start += n
		c.flush()
		if err != nil {
			return err
		}
		if c.client.State() == replica.StateClosed {
			return errConnEnds
		}
		if status != replica.Wait {
			return nil
		}
		select {
		case <-c.resume:
		case <-c.s.stopped:
			return errConnEnds
		}
	}
}

// Resume implements [replica.Sink].
func (c *conn) Resume() {
	select {
	case c.resume <- struct{}{}:
	default:
	}
}

// become makes the caller the writer. If there is one already, it is told to
// look again, and the caller has nothing to do.
func (c *conn) become() bool {
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
func (c *conn) resign() bool {
	if c.writer.CompareAndSwap(writerBusy, writerNone) {
		return true
	}
	c.writer.Store(writerBusy)
	return false
}

// flush writes the client's output, waiting for the peer if need be. It is
// called on the connection's own goroutine.
func (c *conn) flush() {
	if out, _ := c.client.Pending(); out == 0 && c.client.State() != replica.StateClosed {
		return
	}
	if c.become() {
		c.write(nil)
	}
}

// write is the writer's work: rest first, then all output there is.
func (c *conn) write(rest []byte) {
	for {
		if len(rest) > 0 {
			if _, err := c.nc.Write(rest); err != nil {
				c.close()
			}
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
func (c *conn) takeSpare() []byte {
	if cap(c.spare) > readBytesKeep {
		return nil
	}
	return c.spare
}

// Flush implements [replica.Sink]: it writes what the socket takes at once and
// leaves the rest to a goroutine of its own.
func (c *conn) Flush() {
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
func (c *conn) writeSome(b []byte) (n int, err error) {
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
func (c *conn) close() {
	if c.closed.CompareAndSwap(false, true) {
		if err := c.nc.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			c.s.log.Debug("closing a connection", zap.Error(err))
		}
	}
}

// String names the connection as ZooKeeper's words do.
func (c *conn) String() string { return fmt.Sprintf("/%s", c.nc.RemoteAddr()) }
