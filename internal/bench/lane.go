package bench

import (
	"fmt"
	"math"
	"net"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/wire"
)

// A script says what a lane asks for and what it expects. One script belongs
// to one lane.
type script interface {
	// next appends the frame of the request with the given xid, or returns
	// ok=false when there is nothing to send now.
	next(dst []byte, xid int32) (out []byte, op wire.Op, ok bool)
	// reply looks at the body of a successful answer. An error ends the run.
	reply(op wire.Op, body []byte) error
	// event looks at a notification that was read at the given time.
	event(l *lane, now int64) error
}

// clock is the run's time: nanoseconds since its base, monotonic.
type clock struct{ base time.Time }

func newClock() clock { return clock{time.Now()} }

func (c clock) now() int64 { return int64(time.Since(c.base)) }

// phase is one stretch of load (the warm-up, or what is measured).
type phase struct {
	clock    clock
	deadline int64 // no request is begun from here on
	record   bool
	stop     atomic.Bool // set: begin no more requests
}

// newPhase starts a stretch of the given length; 0 or less has no end.
func newPhase(d time.Duration, record bool) *phase {
	p := &phase{clock: newClock(), deadline: math.MaxInt64, record: record}
	if d > 0 {
		p.deadline = int64(d)
	}
	return p
}

// over reports whether no more requests may begin.
func (p *phase) over(now int64) bool { return now >= p.deadline || p.stop.Load() }

// tally is what one lane has measured.
type tally struct {
	hist   Histogram
	ok     int64
	errors map[wire.Code]int64
	last   int64 // when the last answer came
}

func (t *tally) add(now int64, latency int64) {
	t.ok++
	t.last = now
	t.hist.Record(time.Duration(latency))
}

func (t *tally) fail(now int64, code wire.Code) {
	if t.errors == nil {
		t.errors = map[wire.Code]int64{}
	}
	t.errors[code]++
	t.last = now
}

// lane is one session under load: up to window requests are in flight, and the
// answers are matched to them in order. It is driven by one goroutine at a
// time: fill and take produce bytes for the socket, consume takes what came.
type lane struct {
	addr   string
	conn   net.Conn // owned by the driver while it runs
	script script
	window int
	limit  int64 // requests still allowed in this phase; negative: no limit
	phase  *phase
	tally  tally
	// uncounted lanes (watchers) record only what their script tells them to.
	uncounted bool

	issued  int64 // requests begun; the xid of the next one is issued+1
	stamped int64 // of those, handed to the kernel
	settled int64 // of those, answered
	ops     []wire.Op
	sent    []int64 // when the request was handed to the kernel
	out     []byte  // bytes due, of which outOff have been written
	outOff  int
	rest    []byte // the beginning of a frame not yet whole
	frame   int    // the longest frame accepted, in bytes
}

func newLane(addr string, conn net.Conn, s script, window, frameBytes int) *lane {
	ring := 1
	for ring < window {
		ring *= 2
	}
	return &lane{
		addr: addr, conn: conn, script: s, window: window, limit: -1, frame: frameBytes,
		ops: make([]wire.Op, ring), sent: make([]int64, ring),
	}
}

// begin prepares the lane for a phase of at most limit requests, or of any
// number if limit is negative.
func (l *lane) begin(p *phase, limit int64) {
	l.phase, l.limit = p, limit
	l.tally = tally{}
}

func (l *lane) pending() int64 { return l.issued - l.settled }

// idle reports whether nothing is in flight and nothing more will be sent.
func (l *lane) idle(now int64) bool {
	return l.pending() == 0 && len(l.out) == 0 && (l.limit == 0 || l.phase.over(now))
}

// fill appends requests until the window is full.
func (l *lane) fill(now int64) {
	if l.phase.over(now) {
		return
	}
	for l.pending() < int64(l.window) && l.limit != 0 {
		out, op, ok := l.script.next(l.out, xidOf(l.issued))
		if !ok {
			return
		}
		l.out = out
		l.ops[l.slot(l.issued)] = op
		l.issued++
		if l.limit > 0 {
			l.limit--
		}
	}
}

// take returns the bytes to write now and notes the time for the requests that
// begin in them.
func (l *lane) take(now int64) []byte {
	for ; l.stamped < l.issued; l.stamped++ {
		l.sent[l.slot(l.stamped)] = now
	}
	return l.out[l.outOff:]
}

// wrote is told how many of the bytes from take the kernel accepted.
func (l *lane) wrote(n int) {
	if l.outOff += n; l.outOff == len(l.out) {
		l.out, l.outOff = l.out[:0], 0
	}
}

func (l *lane) slot(i int64) int { return int(i) & (len(l.ops) - 1) }

// xidOf returns the xid of the i-th request: 1, 2, ..., and after 2^31-1
// again from 0, which servers echo like any other.
func xidOf(i int64) int32 { return int32((i + 1) & math.MaxInt32) }

// consume handles every whole frame in b, which was read at the given time,
// and returns how many bytes that was.
func (l *lane) consume(b []byte, now int64) (int, error) {
	off := 0
	for len(b)-off >= wire.FrameHeaderBytes {
		n := int(wire.FrameLength(b[off:]))
		if n < wire.ReplyHeaderBytes || n > l.frame {
			return off, l.unexpected(fmt.Sprintf("a frame of %d bytes", n))
		}
		end := off + wire.FrameHeaderBytes + n
		if end > len(b) {
			break
		}
		if err := l.handle(b[off+wire.FrameHeaderBytes:end], now); err != nil {
			return off, err
		}
		off = end
	}
	return off, nil
}

// handle takes one frame: a notification, or the answer to the oldest request.
func (l *lane) handle(frame []byte, now int64) error {
	r := wire.NewReader(frame)
	var h wire.ReplyHeader
	h.Decode(&r)
	if h.Xid == wire.XidNotification {
		return l.script.event(l, now)
	}
	if l.pending() == 0 || h.Xid != xidOf(l.settled) {
		return l.unexpected(fmt.Sprintf("xid %d, error %d", h.Xid, h.Err))
	}
	slot := l.slot(l.settled)
	if h.Err == wire.ErrSessionExpired {
		return fmt.Errorf("%s: %w (at %v with xid %d)", l.addr, ErrExpired, l.ops[slot], h.Xid)
	}
	if h.Err == wire.OK {
		if err := l.script.reply(l.ops[slot], r.Remaining()); err != nil {
			return l.unexpected(err.Error())
		}
	}
	l.settled++
	l.count(h.Err, now, now-l.sent[slot])
	return nil
}

func (l *lane) count(code wire.Code, now, latency int64) {
	switch {
	case !l.phase.record:
	case code != wire.OK:
		l.tally.fail(now, code)
	case !l.uncounted:
		l.tally.add(now, latency)
	}
}

func (l *lane) unexpected(what string) error {
	op, xid := l.oldest()
	if l.pending() == 0 {
		return fmt.Errorf("%s: %w: %s, with no request in flight", l.addr, ErrUnexpected, what)
	}
	return fmt.Errorf("%s: %w to %v with xid %d: %s", l.addr, ErrUnexpected, op, xid, what)
}

// oldest returns the unanswered request that has waited longest.
func (l *lane) oldest() (wire.Op, int32) { return l.ops[l.slot(l.settled)], xidOf(l.settled) }

// failed wraps a socket's error.
func (l *lane) failed(err error) error {
	op, xid := l.oldest()
	return ioError(l.addr, readError(err), int(l.pending()), op, xid)
}

// stalled reports a request that was handed over longer than limit ago.
func (l *lane) stalled(now int64, limit time.Duration) error {
	if l.pending() == 0 || l.stamped == l.settled || now-l.sent[l.slot(l.settled)] < int64(limit) {
		return nil
	}
	op, xid := l.oldest()
	return fmt.Errorf("%s: %w to %v with xid %d within %v", l.addr, ErrStalled, op, xid, limit)
}

// closeLanes ends the sessions of all lanes, together rather than in turn.
func closeLanes(lanes []*lane, patience time.Duration) {
	for _, l := range lanes {
		if len(l.out) > 0 {
			l.conn.Close() // half a request is out: the server could not read on
			continue
		}
		endSession(l.conn, xidOf(l.issued), patience)
	}
	for _, l := range lanes {
		drainUntilClosed(l.conn)
		l.conn.Close()
	}
}
