package transport

import (
	"bufio"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/quorate/quorate/zab"
)

// link is one connection of the election channel, with a reader and a writer.
type link struct {
	e     *election
	p     *peer
	nc    net.Conn
	since time.Time

	more chan struct{} // has room for one: look for something to write
	over chan struct{} // closed when the reader has ended

	received, sent atomic.Int64 // frames
	wrote          atomic.Int64 // bytes
}

func newLink(e *election, p *peer, nc net.Conn) *link {
	return &link{e: e, p: p, nc: nc, since: time.Now(), more: make(chan struct{}, 1), over: make(chan struct{})}
}

// wake lets the writer look.
func (l *link) wake() {
	select {
	case l.more <- struct{}{}:
	default:
	}
}

// lostWithin is how long ago a frame may have been written that was perhaps lost with its connection. Then the other side
// is looked for at once: it gets the frame again, or is known to be down. A leader that dies takes the votes with it that
// the others send before they know.
const lostWithin = time.Second

// write writes what waits, at first the last frame of the connection before if nothing does: the other side may not
// have got it.
func (l *link) write() {
	for first := true; ; first = false {
		if frame := l.next(first); frame != nil {
			_ = l.nc.SetWriteDeadline(time.Now().Add(l.e.t.o.handshakeLimit()))
			if _, err := l.nc.Write(frame); err != nil {
				l.nc.Close() // the reader finds out
				return
			}
			l.sent.Add(1)
			l.wrote.Add(int64(len(frame)))
			continue
		}
		select {
		case <-l.more:
		case <-l.over:
			return
		}
	}
}

// next takes the frame to write; nil: none.
func (l *link) next(first bool) []byte {
	l.e.mu.Lock()
	defer l.e.mu.Unlock()
	p := l.p
	switch {
	case p.link != l:
		return nil
	case p.pending != nil:
		p.last, p.pending, p.said = p.pending, nil, time.Now()
		return p.last
	case first:
		return p.last
	}
	return nil
}

// read hands notifications to the handler until the connection ends.
func (l *link) read() {
	err := l.readAll()
	close(l.over)
	l.e.t.discard(l.nc)
	addrs, _ := l.e.addresses(l.p.sid)
	l.e.mu.Lock()
	defer l.e.mu.Unlock()
	if l.p.link != l {
		return // another took its place
	}
	l.p.link = nil
	l.e.t.log.Info("election connection ended", zap.Int64("sid", l.p.sid), zap.Error(err))
	if l.p.pending != nil || time.Since(l.p.said) < lostWithin {
		l.e.call(l.p, addrs)
	}
}

func (l *link) readAll() error {
	r := bufio.NewReader(l.nc)
	for {
		frame, err := readFrame(r)
		if err != nil {
			return err
		}
		l.received.Add(1)
		l.e.mu.Lock()
		l.p.seen = time.Now()
		l.e.mu.Unlock()
		m, err := parseNotification(frame)
		if err != nil {
			l.e.t.log.Debug("a notification is dropped", zap.Int64("sid", l.p.sid), zap.Error(err))
			continue
		}
		m.From, m.To = l.p.sid, l.e.t.o.ID
		l.e.t.step(m)
	}
}

// loopbackMax bounds what this server has told itself and not heard yet; the oldest goes.
const loopbackMax = 100

// loopback carries notifications to oneself.
type loopback struct {
	mu      sync.Mutex
	queue   []zab.Message
	running bool
}

// loopBack gives m to the handler, from another goroutine.
func (t *Transport) loopBack(m zab.Message) {
	s := &t.self
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == loopbackMax {
		s.queue = s.queue[1:]
	}
	s.queue = append(s.queue, m)
	if !s.running {
		s.running = t.attach(t.drainLoopback)
	}
}

func (t *Transport) drainLoopback() {
	s := &t.self
	for {
		s.mu.Lock()
		ms := s.queue
		s.queue = nil
		s.running = len(ms) > 0
		s.mu.Unlock()
		if len(ms) == 0 {
			return
		}
		t.step(ms...)
	}
}
