package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/quorate/quorate/zab"
)

const (
	// batchMax is how many messages the handler is given at once.
	batchMax = 512
	// closeLimit bounds how long a connection that is to be closed may take to send what was sent before.
	closeLimit = 2 * time.Second
)

var (
	errTooSlow = errors.New("too many bytes wait for it")
	errClosing = errors.New("closed by this server")
	errCrowd   = errors.New("too many learners are connected")
)

// conn is one connection of the quorum port. Two goroutines serve it: the reader, which is also the one that tells of
// its end, and the writer.
type conn struct {
	t        *Transport
	nc       net.Conn
	id       zab.ConnID
	sid      int64
	dialled  bool // by this server, which is the learner then
	observer bool // the learner said so
	since    time.Time

	out      outbox
	direct   *direct     // for writes that do not wait; may be nil
	closing  atomic.Bool // by this server: nothing more is told of it
	failOnce sync.Once
	cause    error // of the end, once the reader is done

	// The reader's, which is readers where there is one.
	in    slab
	want  int // how long the packet under way is, as far as known
	batch []zab.Message
	snap  zab.Message   // a SNAP whose stream is next
	pause time.Duration // before the next read

	heard    atomic.Int64 // Unix ns of the last read
	received atomic.Int64 // packets
}

// newConn makes a connection of nc, which is the connection's from here on. in is what has been read from it.
func newConn(t *Transport, nc net.Conn, in slab, sid int64, dialled bool) *conn {
	c := &conn{t: t, nc: nc, sid: sid, dialled: dialled, since: time.Now(), in: in, want: packetLeastBytes}
	t.readers.takeOver(c)
	c.direct = newDirect(c.nc)
	c.out.init(!dialled)
	c.heard.Store(c.since.UnixNano())
	return c
}

// register gives c its number: from here on it can be sent on.
func (t *Transport) register(c *conn) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.conns) >= learnersMax {
		return errCrowd
	}
	t.lastID++
	c.id = t.lastID
	t.conns[c.id] = c
	return nil
}

// Connect orders a connection to the quorum port of server sid. It returns at once; the handler is told Connected, and
// then gets what comes on it, or ConnectFailed. An order takes the place of an older one for the same server that has
// not been answered: that one may be stuck with an address where nobody was.
func (t *Transport) Connect(sid int64) {
	ctx, cancel := context.WithCancel(t.ctx)
	d := &dialing{ctx: ctx, cancel: cancel}
	t.mu.Lock()
	old := t.dialing[sid]
	t.dialing[sid] = d
	t.mu.Unlock()
	if old != nil {
		old.cancel()
	}
	if !t.attach(func() { t.connect(sid, d) }) {
		cancel()
	}
}

// dialing is one Connect under way.
type dialing struct {
	ctx    context.Context
	cancel context.CancelFunc
}

func (t *Transport) connect(sid int64, d *dialing) {
	defer d.cancel()
	peer, _ := t.o.Lookup(sid)
	h := &handshake{}
	trying, tried := context.WithCancel(d.ctx)
	t.attach(func() { t.watchAnswers(trying, sid, h) })
	nc, err := t.dial(d.ctx, peer.Quorum, h)
	tried()
	t.mu.Lock()
	replaced := t.dialing[sid] != d
	if !replaced {
		delete(t.dialing, sid)
	}
	t.mu.Unlock()
	if replaced {
		if err == nil {
			t.discard(nc)
		}
		return
	}
	var c *conn
	if err == nil {
		c = newConn(t, nc, newSlab(nc), sid, true)
		if err = t.register(c); err != nil {
			t.discard(c.nc)
		}
	}
	if err != nil {
		t.log.Info("quorum port of the leader cannot be reached", zap.Int64("sid", sid), zap.Error(err))
		t.step(zab.Message{Type: zab.ConnectFailed, From: sid, To: t.o.ID})
		return
	}
	c.run(zab.Message{Type: zab.Connected, From: sid, To: t.o.ID, Conn: c.id})
}

// greetLearner takes a connection that was made to the quorum port.
func (t *Transport) greetLearner(nc net.Conn, introduced func()) {
	in := newSlab(nc)
	m, err := readIntroduction(&in)
	if err != nil {
		t.log.Debug("a stranger at the quorum port", zap.Stringer("from", nc.RemoteAddr()), zap.Error(err))
		t.discard(nc)
		return
	}
	introduced()
	c := newConn(t, nc, in, m.From, false)
	c.observer = m.Type == zab.ObserverInfo
	if err := t.register(c); err != nil {
		t.log.Warn("a learner is refused", zap.Int64("sid", m.From), zap.Stringer("from", c.nc.RemoteAddr()), zap.Error(err))
		t.discard(c.nc)
		return
	}
	setUserTimeout(c.nc, t.o.joinLimit())
	m.Conn, m.To = c.id, t.o.ID
	c.run(m)
}

// readIntroduction reads a learner's first packet, and nothing that is not one.
func readIntroduction(in *slab) (zab.Message, error) {
	for want := packetLeastBytes; ; {
		if err := in.fill(want); err != nil {
			return zab.Message{}, err
		}
		if !introduces(in.unread()) {
			return zab.Message{}, errLearnerInfo
		}
		p, n, more, err := parsePacket(in.unread(), introductionBytesMax)
		switch {
		case err != nil:
			return zab.Message{}, err
		case more > slabFirstBytes:
			return zab.Message{}, fmt.Errorf("%w: %d bytes", errLearnerInfo, more)
		case n > 0:
			in.take(n)
			m, _, err := p.message()
			return m, err
		}
		want = more
	}
}

// run serves the connection to its end. It tells the handler first, whatever comes, and that it is gone, in this order.
func (c *conn) run(first zab.Message) {
	c.t.log.Info("quorum connection", zap.Int64("sid", c.sid), zap.Int64("conn", int64(c.id)),
		zap.Stringer("remote", c.nc.RemoteAddr()), zap.Bool("dialled", c.dialled))
	c.t.attach(c.write)
	c.t.step(first)
	c.fail(c.read())
	c.t.mu.Lock()
	delete(c.t.conns, c.id)
	c.t.mu.Unlock()
	c.t.discard(c.nc)
	c.t.log.Info("quorum connection ended", zap.Int64("sid", c.sid), zap.Int64("conn", int64(c.id)), zap.Error(c.cause))
	if !c.closing.Load() {
		c.t.step(zab.Message{Type: zab.Disconnected, From: c.sid, To: c.t.o.ID, Conn: c.id})
	}
}

// fail ends the connection at once; the first reason is the one that is told. Any goroutine may call it.
func (c *conn) fail(err error) {
	c.failOnce.Do(func() {
		c.cause = err
		c.out.kill()
		c.nc.Close()
	})
}

// close ends the connection when what was sent before has left, but soon.
func (c *conn) close() {
	c.closing.Store(true)
	_ = c.nc.SetDeadline(time.Now().Add(closeLimit))
	if !c.out.close() {
		c.fail(errClosing)
	}
}

// write is the writer.
func (c *conn) write() {
	for {
		buf, o, ok := c.out.take()
		if !ok {
			break
		}
		var err error
		switch {
		case buf != nil:
			_, err = c.nc.Write(buf)
		case o.data != nil:
			_, err = c.nc.Write(o.data)
		default:
			err = c.perform(o.m)
		}
		if err != nil {
			c.fail(err)
			return
		}
		c.out.done(buf, len(o.data))
	}
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok && c.closing.Load() {
		_ = half.CloseWrite() // the reader waits for the other side's end, or for the deadline
	}
}

var (
	errSnapComes = errors.New("a snapshot comes") // it is c.snap; its stream is next
	errPause     = errors.New("not to be read for a while")
)

// read gives the handler all messages, until the connection ends.
func (c *conn) read() error {
	for {
		err := c.serve()
		switch {
		case errors.Is(err, errSnapComes):
			if err := c.receiveSnapshot(c.snap); err != nil {
				return err
			}
		case errors.Is(err, errPause):
			if !pause(c.t.ctx, c.pause) {
				return ErrStopped
			}
			c.pause = 0
		default:
			return err
		}
	}
}

// serve gives the handler what comes, until the connection ends, a snapshot comes or the handler wants a pause.
func (c *conn) serve() error {
	err := c.look()
	c.t.settle()
	if err != nil {
		return err
	}
	if ok, err := c.t.readers.serve(c); ok {
		return err
	}
	for {
		if err := c.fill(); err != nil {
			return err
		}
		err := c.look()
		c.t.settle()
		if err != nil {
			return err
		}
	}
}

// fill reads once.
func (c *conn) fill() error {
	if err := c.in.fill(c.want); err != nil {
		return err
	}
	c.heard.Store(time.Now().UnixNano())
	return nil
}

// look gives the handler what has been read.
func (c *conn) look() error {
	more, err := c.digest()
	if more > 0 {
		c.want = more
	}
	if err == nil && c.pause > 0 {
		err = errPause
	}
	return err
}

// digest hands over all packets that are complete. more is how many bytes the next one takes at least.
func (c *conn) digest() (more int, err error) {
	defer c.flush()
	for {
		if c.closing.Load() {
			c.in.take(len(c.in.unread()))
			return packetLeastBytes, nil
		}
		p, n, more, err := parsePacket(c.in.unread(), c.t.o.readBytesMax())
		if err != nil || n == 0 {
			return more, err
		}
		c.in.take(n)
		c.received.Add(1)
		m, known, err := p.message()
		if err != nil {
			return 0, err
		}
		if !known {
			c.t.log.Debug("a packet of unknown type is ignored", zap.Int64("sid", c.sid), zap.Int32("type", p.typ))
			continue
		}
		m.From, m.To, m.Conn = c.sid, c.t.o.ID, c.id
		if m.Type == zab.Snap {
			c.snap = m
			return packetLeastBytes, errSnapComes
		}
		if c.batch = append(c.batch, m); len(c.batch) == batchMax {
			c.flush()
		}
	}
}

// flush gives the handler what has gathered.
func (c *conn) flush() {
	if len(c.batch) > 0 && !c.closing.Load() && c.t.ctx.Err() == nil {
		c.pause = max(c.pause, c.t.o.Handler.Step(c.batch))
	}
	clear(c.batch)
	c.batch = c.batch[:0]
}
