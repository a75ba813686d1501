package transport

import (
	"bytes"
	"context"
	"errors"
	"math"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/quorate/quorate/zab"
)

const (
	// strangersMax bounds the servers on the election channel that the configuration does not know: observers and
	// joiners before they are configured, and whoever else.
	strangersMax = 128
	// ringPause is how long a server with a higher sid is given to call back before it is rung again: every ring ends the
	// connection it may just have made.
	ringPause = 200 * time.Millisecond
	// anonymous is the sid of observers without one; the listener gives them one below 0.
	anonymous = math.MaxInt64
)

// election is the election channel: one connection for each pair of servers, kept open, used both ways, and always made
// by the server with the higher sid. A server with a lower sid rings: it connects and says who it is, the other closes and
// calls back.
type election struct {
	t *Transport

	mu        sync.Mutex
	peers     map[int64]*peer
	anonymous int64 // the last sid given to an observer without one

	// text is the last configuration's text that was looked at, and what was found.
	text    []byte
	textErr error
}

// peer is another server, as the election channel knows it. All is guarded by election.mu.
type peer struct {
	sid     int64
	known   bool      // by the configuration, when last asked
	told    []string  // where it said it listens
	pending []byte    // the frame that waits: the newest takes the place of an older one
	last    []byte    // the last frame written, which is repeated on a new connection
	said    time.Time // when that was written, if it was news
	link    *link
	dialing context.CancelFunc // of the attempt under way; nil: none
	asked   *handshake         // that attempt
	silent  bool               // nothing was answered to the last one
	again   []string           // it rang meanwhile, and is to be called back there
	rung    time.Time
	unheard int       // calls in a row that it took and reset
	seen    time.Time // last sign of life
}

func (e *election) init(t *Transport) {
	e.t, e.peers = t, map[int64]*peer{}
}

// send queues a notification for its receiver, and sees to a connection.
func (e *election) send(m *zab.Message) {
	if m.To == e.t.o.ID {
		e.t.loopBack(*m)
		return
	}
	text := e.t.o.ConfigText()
	if err := e.checkText(text); err != nil {
		e.t.log.Error("a notification is not sent", zap.Int64("to", m.To), zap.Error(err))
		return
	}
	frame := appendNotification(make([]byte, 0, 4+notificationBytes+len(text)), m, text)
	addrs, known := e.addresses(m.To)
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.peer(m.To, known)
	p.pending = frame
	if p.link != nil {
		p.link.wake()
		return
	}
	e.call(p, addrs)
}

// checkText is CheckConfigText, remembered.
func (e *election) checkText(text []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.text == nil || !bytes.Equal(e.text, text) {
		e.text, e.textErr = append([]byte{}, text...), CheckConfigText(text)
	}
	return e.textErr
}

// addresses returns where the configuration says that sid listens. e.mu is not held: Lookup may take a while.
func (e *election) addresses(sid int64) (addrs []string, known bool) {
	p, known := e.t.o.Lookup(sid)
	return p.Election, known
}

// peer returns the peer with that sid. A new stranger takes the place of the one that has been silent for longest, if
// there are too many. e.mu is held.
func (e *election) peer(sid int64, known bool) *peer {
	p := e.peers[sid]
	if p == nil {
		if !known {
			e.makeRoom()
		}
		p = &peer{sid: sid, seen: time.Now()}
		e.peers[sid] = p
	}
	p.known = known
	return p
}

func (e *election) makeRoom() {
	var oldest *peer
	n := 0
	for _, p := range e.peers {
		if !p.known {
			n++
			if oldest == nil || p.seen.Before(oldest.seen) {
				oldest = p
			}
		}
	}
	if n < strangersMax {
		return
	}
	delete(e.peers, oldest.sid)
	oldest.pending = nil
	oldest.cut()
}

// call sees to it that p is dialled, unless it is, or has just been rung. e.mu is held, and p has no link.
func (e *election) call(p *peer, addrs []string) {
	if p.dialing != nil || p.sid > e.t.o.ID && time.Since(p.rung) < ringPause {
		return
	}
	ctx, cancel := context.WithCancel(e.t.ctx)
	p.dialing, p.again, p.asked = cancel, nil, &handshake{}
	h := p.asked
	if !e.t.attach(func() { e.dial(ctx, p, addrs, h) }) {
		cancel()
	}
}

// unheardMax is how many calls in a row may be taken and reset before the next one waits for something to say.
const unheardMax = 3

// dial makes one attempt to reach p, and another if it rang meanwhile: the first is cut short then, because it may be
// stuck with an address where p is no more.
func (e *election) dial(ctx context.Context, p *peer, addrs []string, h *handshake) {
	nc, err := e.reach(ctx, p, addrs, h)
	if err != nil {
		e.t.log.Debug("election port cannot be reached", zap.Int64("sid", p.sid), zap.Error(err))
	}
	e.mu.Lock()
	p.dialing()
	p.dialing, p.silent = nil, h.begun() && timedOut(err)
	down := false
	switch {
	case err != nil && p.again != nil:
		e.call(p, p.again)
	case err != nil:
		down = p.link == nil && refused(err)
		if reset(err) {
			e.callUnheard(p, addrs)
		}
	case p.sid > e.t.o.ID:
		p.rung = time.Now()
	default:
		e.adopt(p, nc)
		nc = nil
	}
	e.mu.Unlock()
	if down {
		e.t.step(zab.Message{Type: zab.Unreachable, From: p.sid, To: e.t.o.ID})
	}
	if nc != nil {
		e.awaitHeard(nc, p, addrs)
	}
}

// awaitHeard keeps a ring's connection until the other side closes it, as it does when it has read who rings. A reset says
// that nobody has: the kernel takes connections for a process that is being killed until it comes to close its port. Then
// it is called again at once, to learn that it is down.
func (e *election) awaitHeard(nc net.Conn, p *peer, addrs []string) {
	_ = nc.SetReadDeadline(time.Now().Add(ringPause))
	_, err := nc.Read(make([]byte, 1))
	e.t.discard(nc)
	e.mu.Lock()
	defer e.mu.Unlock()
	if !reset(err) {
		p.unheard = 0
	} else if p.link == nil {
		p.rung = time.Time{}
		e.callUnheard(p, addrs)
	}
}

// callUnheard calls again a peer that has taken a call and reset it, a few times. e.mu is held.
func (e *election) callUnheard(p *peer, addrs []string) {
	if p.unheard++; p.unheard > unheardMax {
		p.unheard = 0
		return
	}
	e.call(p, addrs)
}

// reset reports whether a connection was made and then ended without ceremony.
func reset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// refused reports whether every attempt that err tells of was refused: there is a machine, and no process that listens.
func refused(err error) bool {
	var many interface{ Unwrap() []error }
	if errors.As(err, &many) {
		return !slices.ContainsFunc(many.Unwrap(), func(err error) bool { return !refused(err) })
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

var errMeanwhile = errors.New("it has connected meanwhile")

// reach connects to p and says who this server is: at addrs, and if none answers, where p said last that it listens.
func (e *election) reach(ctx context.Context, p *peer, addrs []string, h *handshake) (net.Conn, error) {
	nc, err := e.t.dial(ctx, addrs, h)
	e.mu.Lock()
	told, linked := p.told, p.link != nil
	e.mu.Unlock()
	if err != nil && len(told) > 0 && ctx.Err() == nil {
		var again error
		if nc, again = e.t.dial(ctx, told, h); again == nil {
			err = nil
		} else {
			err = errors.Join(err, again)
		}
	}
	switch {
	case err != nil:
		return nil, err
	case linked: // to ring now would end that connection
		err = errMeanwhile
	default:
		err = e.introduce(nc)
	}
	if err != nil {
		e.t.discard(nc)
		return nil, err
	}
	return nc, nil
}

// introduce says who this server is, in one write.
func (e *election) introduce(nc net.Conn) error {
	_ = nc.SetWriteDeadline(time.Now().Add(e.t.o.handshakeLimit()))
	_, err := nc.Write(encodeInitial(e.t.o.ID, e.t.advertise))
	return err
}

// greet takes a connection that was made to the election port.
func (e *election) greet(nc net.Conn, introduced func()) {
	m, err := readInitial(nc)
	if err == nil && m.sid == e.t.o.ID {
		e.t.log.Error("another server uses the sid of this one", zap.Stringer("from", nc.RemoteAddr()))
		err = errInitial
	}
	if err != nil {
		e.t.log.Debug("a stranger at the election port", zap.Stringer("from", nc.RemoteAddr()), zap.Error(err))
		e.t.discard(nc)
		return
	}
	introduced()
	configured, known := e.addresses(m.sid)
	e.mu.Lock()
	if m.sid == anonymous {
		e.anonymous--
		m.sid = e.anonymous
	}
	p := e.peer(m.sid, known)
	p.told, p.seen = m.addrs, time.Now()
	if m.sid > e.t.o.ID {
		e.adopt(p, nc)
		e.mu.Unlock()
		return
	}
	e.answerRing(p, configured)
	e.mu.Unlock()
	e.t.discard(nc)
}

// answerRing calls p back. What connection there was may be to a process that is gone. e.mu is held.
func (e *election) answerRing(p *peer, configured []string) {
	p.cut()
	addrs := p.told
	if len(addrs) == 0 {
		addrs = configured
	}
	if p.dialing != nil {
		p.again = addrs
		p.dialing()
		return
	}
	e.call(p, addrs)
}

// adopt makes nc the connection to p, in the place of an older one. e.mu is held.
func (e *election) adopt(p *peer, nc net.Conn) {
	p.cut()
	p.unheard = 0
	if p.dialing != nil {
		p.dialing()
	}
	if e.peers[p.sid] != p { // too many strangers came meanwhile
		nc.Close()
	}
	_ = nc.SetDeadline(time.Time{})
	l := newLink(e, p, nc)
	p.link, p.silent = l, false
	e.t.log.Info("election connection", zap.Int64("sid", p.sid), zap.Stringer("remote", nc.RemoteAddr()))
	if !e.t.attach(l.read) || !e.t.attach(l.write) {
		nc.Close()
	}
}

// cut ends the connection to p, if there is one. e.mu is held.
func (p *peer) cut() {
	if p.link != nil {
		p.link.nc.Close()
		p.link = nil
	}
}
