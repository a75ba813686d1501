package transport

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/quorate/quorate/zab"
)

// A leader to which all packets are lost is elected again and again, if those from it arrive: its votes do. Who dials it
// then cannot tell a way that is cut from a machine that is slow, by the attempt alone: a packet may be lost. So two
// things have to fail together, on two ports: the attempt is not answered, not even by a refusal, and what was written to
// the election channel is not acknowledged either. That is the kernel's to do, whatever the process is busy with.

const (
	// unansweredAfter is for how long both have to fail. A first packet that is lost is sent again after a second.
	unansweredAfter = 1250 * time.Millisecond
	// answersEvery is how often they are looked at.
	answersEvery = 50 * time.Millisecond
)

// handshake is one attempt to connect.
type handshake struct{ since atomic.Int64 }

// begins notes when the first packet leaves: to find the address may have taken a while.
func (h *handshake) begins(_ context.Context, _, _ string, _ syscall.RawConn) error {
	h.since.CompareAndSwap(0, time.Now().UnixNano())
	return nil
}

// begun reports whether a packet has left.
func (h *handshake) begun() bool { return h.since.Load() != 0 }

// watchAnswers tells the handler when sid, whose quorum port is being dialled, has answered nothing for a while. It ends
// with ctx, which is the attempt's.
func (t *Transport) watchAnswers(ctx context.Context, sid int64, h *handshake) {
	tick := time.NewTicker(answersEvery)
	defer tick.Stop()
	since, before := time.Now(), int64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		owed, got := t.election.owed(sid)
		if now := time.Now(); !h.begun() || !owed || got != before {
			since, before = now, got
		} else if now.Sub(since) >= unansweredAfter && ctx.Err() == nil {
			t.log.Info("nothing that is sent to the leader is answered", zap.Int64("sid", sid))
			t.step(zab.Message{Type: zab.Unanswered, From: sid, To: t.o.ID})
			return
		}
	}
}

// owed reports whether the machine of sid has still to answer something on the election channel. What it has answered
// changes got.
func (e *election) owed(sid int64) (owed bool, got int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.peers[sid]
	switch {
	case p == nil:
		return false, 0
	case p.link != nil:
		wrote := p.link.wrote.Load()
		n := unacknowledged(p.link.nc)
		return n > 0, p.link.since.UnixNano() + wrote - int64(n)
	case p.dialing != nil:
		return p.asked.begun(), 0
	}
	return p.silent, 0
}

// timedOut reports whether err is of an attempt to which nothing was answered.
func timedOut(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout() || errors.Is(err, context.DeadlineExceeded)
}

// Reaches reports whether the machine at the other end of a connection of the quorum port acknowledges what is sent to
// it: whether it has within two ticks, while there is a ping in each half of one. That is the kernel's to do, also for a
// process that stands still. Where this cannot be known, and for a connection that is gone, it is false.
func (t *Transport) Reaches(id zab.ConnID) bool {
	t.mu.RLock()
	c := t.conns[id]
	t.mu.RUnlock()
	if c == nil {
		return false
	}
	d, known := sinceAck(c.nc)
	return known && d < 2*t.o.TickTime
}
