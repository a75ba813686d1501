package replica

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/quorate/quorate/wire"
)

// Limits bound the requests that are in a server at one time, for those who want
// ZooKeeper's bounds besides the ones of a single client. A zero field bounds
// nothing, and where all are zero nothing is counted.
type Limits struct {
	// Outstanding is how many requests may wait for their answers before clients
	// that wait for one are not read (globalOutstandingLimit). Every client has one
	// request read.
	Outstanding int
	// MaxRequests is how many requests may be under way before further ones wait for
	// their turn (request_throttle_max_requests).
	MaxRequests int
	// ThrottledMillis is the wait for that turn after which a request is refused with
	// -127 (throttled_op_wait_time).
	ThrottledMillis int64
	// StaleLatency takes a request as stale when it has waited longer than its
	// session's timeout, and DropStale ends the connection of one that is.
	StaleLatency, DropStale bool
	// LargeBytes is the length above which a request is large; LargeBytesMax bounds
	// the sum of all large ones under way, and the next costs its connection.
	LargeBytes, LargeBytesMax int
}

// limiter applies Limits. Any goroutine may use it.
type limiter struct {
	Limits
	on       bool         // any of them is set
	requests atomic.Int64 // received and not answered
	large    atomic.Int64 // bytes of the large ones among them

	// mu makes looking for room and taking it one step, for MaxRequests. It is
	// locked last of all locks.
	mu   sync.Mutex
	line []*Client // clients whose next request waits for its turn
}

func (l *limiter) init(o Limits) {
	l.Limits = o
	l.on = o.Outstanding > 0 || o.MaxRequests > 0 || o.LargeBytes > 0
}

// crowded says that clients which wait for an answer are not to be read.
func (l *limiter) crowded() bool {
	return l.Outstanding > 0 && l.requests.Load() > int64(l.Outstanding)
}

// errLarge ends the connection of a large request that comes while too many are under way.
var errLarge = fmt.Errorf("%w: too many bytes of large requests are under way", ErrProtocol)

// reserve counts a large request of n bytes, unless that is too much.
func (l *limiter) reserve(n int) bool {
	if l.large.Add(int64(n)) <= int64(l.LargeBytesMax) {
		return true
	}
	l.large.Add(-int64(n))
	return false
}

// wait puts a client into the line. l.mu is held.
func (l *limiter) wait(c *Client) {
	if !c.inLine {
		c.inLine = true
		l.line = append(l.line, c)
	}
}

// leave takes a client that is gone out of the line.
func (l *limiter) leave(c *Client) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, x := range l.line {
		if x == c {
			l.line = append(l.line[:i], l.line[i+1:]...)
			return
		}
	}
}

// next has as many of the line go on as there is room for. A client of which one asks
// for something that is answered at once leaves the room to others: the end of its
// Feed calls next again. No lock is held.
func (l *limiter) next() {
	l.mu.Lock()
	n := min(l.MaxRequests-int(l.requests.Load()), len(l.line))
	if n <= 0 {
		l.mu.Unlock()
		return
	}
	turn := append([]*Client(nil), l.line[:n]...)
	l.line = append(l.line[:0], l.line[n:]...)
	for _, c := range turn {
		c.inLine = false
	}
	l.mu.Unlock()
	for _, c := range turn {
		c.sink.Resume()
	}
}

// push queues one request that has to wait for its turn. c.mu is held.
func (c *Client) push(e entry, body []byte) {
	if l := &c.r.limits; l.on {
		l.requests.Add(1)
		e.large, c.reserved = c.reserved, 0
	}
	c.queue.push(e, body)
}

// pop drops the request that was answered. c.mu is held.
func (c *Client) pop() {
	if l := &c.r.limits; l.on {
		l.requests.Add(-1)
		l.large.Add(-int64(c.queue.front().large))
	}
	c.queue.pop()
}

// uncount forgets the requests of a client that is gone. Nothing is queued and nothing
// dropped any more. c.mu is held.
func (c *Client) uncount() {
	l := &c.r.limits
	if !l.on {
		return
	}
	l.requests.Add(-int64(c.queue.len()))
	for i := c.queue.head; i < len(c.queue.entries); i++ {
		l.large.Add(-int64(c.queue.entries[i].large))
	}
	l.leave(c)
}

// announced looks at the length of a packet when it begins, before its bytes are
// gathered: one that is large and has no room is refused.
func (f *feed) announced(size int) error {
	c, l := f.c, &f.c.r.limits
	if c.announced || size <= l.LargeBytes {
		return nil
	}
	if l.large.Load()+int64(size) > int64(l.LargeBytesMax) {
		c.r.Stats.LargeRejected.Add(1)
		return errLarge
	}
	c.announced = true
	return nil
}

// within handles a request as the limits allow. Feed's status is Wait afterwards if it
// has to wait for its turn.
func (f *feed) within(h wire.RequestHeader, body []byte) (demand, error) {
	c, l := f.c, &f.c.r.limits
	credentials := h.Op == wire.OpAuth || h.Op == wire.OpSASL
	if l.MaxRequests > 0 && !credentials {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.requests.Load() >= int64(l.MaxRequests) {
			f.stall()
			return demand{}, nil
		}
	}
	if l.LargeBytes > 0 && len(body) > l.LargeBytes && !credentials {
		if !l.reserve(len(body)) {
			c.r.Stats.LargeRejected.Add(1)
			return demand{}, errLarge
		}
		c.reserved = int32(len(body))
	}
	need, err := f.inTurn(h, body)
	l.large.Add(-int64(c.reserved)) // nothing was queued
	c.reserved = 0
	return need, err
}

// stall has the rest of what was received wait. The limiter is locked.
func (f *feed) stall() {
	c := f.c
	if c.stalledBytes == 0 {
		c.stalledAt = f.now
	}
	c.stalledBytes = len(f.buf) - f.n
	c.r.limits.wait(c)
	c.r.Stats.ThrottleWaits.Add(1)
	f.status = Wait
}

// inTurn handles a request whose turn has come, unless it has come too late.
func (f *feed) inTurn(h wire.RequestHeader, body []byte) (demand, error) {
	c, l := f.c, &f.c.r.limits
	if l.MaxRequests == 0 {
		return f.request(h, body), nil
	}
	now := f.now
	if c.stalledBytes > 0 {
		f.now = c.stalledAt // when it was received
	}
	waited := now - f.now
	defer func() { f.now = now }()
	if l.StaleLatency && h.Op != wire.OpCloseSession && waited > int64(c.session.TimeoutMillis()) {
		if l.DropStale {
			c.r.Stats.StaleDropped.Add(1)
			return demand{}, fmt.Errorf("%w: a request waited for %d ms", ErrProtocol, waited)
		}
		c.r.Stats.Stale.Add(1)
	}
	var need demand
	if l.ThrottledMillis > 0 && waited > l.ThrottledMillis && throttlable(h.Op) && c.authenticated(h.Op) {
		c.r.Stats.ThrottledOps.Add(1)
		f.touch = true
		c.answerInTurn(entry{xid: h.Xid, op: h.Op, kind: entryReply, code: wire.ErrThrottledOp, zxid: zxidOfReply})
	} else if need = f.request(h, body); need.kind != needNothing {
		return need, nil
	}
	c.r.Stats.ThrottleTimes.Add(waited)
	c.stalledBytes = max(c.stalledBytes-wire.FrameHeaderBytes-wire.RequestHeaderBytes-len(body), 0)
	return need, nil
}

// throttlable reports whether a request may be refused for its wait.
func throttlable(op wire.Op) bool {
	return op != wire.OpPing && op != wire.OpCloseSession && op != wire.OpCreateSession && served(op)
}

// yield ends a Feed: what is left begins a packet that was not received yet, and others
// may have their turn.
func (f *feed) yield() {
	if f.status == More {
		f.c.stalledBytes = 0
	}
	f.c.r.limits.next()
}
