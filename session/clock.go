package session

import "sync/atomic"

// Clock is the time by which sessions age. It follows a monotonic clock for as long as
// the server runs, which a regular Tick shows. While the server stands still, because
// its loop is held up, or the whole process stopped, this clock stands still too, a
// short while after the last Tick.
//
// By the monotonic clock itself such a pause would age sessions although nothing that
// keeps them alive could be asked for or read meanwhile, and the first thing that a
// server did after it would be to expire sessions whose clients had never been silent.
// A session that nobody keeps lives longer by the pause.
//
// Tick belongs to one goroutine; any may call At. All times are milliseconds.
type Clock struct {
	most  int64        // how far this clock goes on without a Tick
	last  int64        // of the monotonic clock, at the last Tick
	lost  atomic.Int64 // how much this clock is behind the monotonic one
	limit atomic.Int64 // where it stops if no Tick comes
}

// NewClock returns a clock that shows what the monotonic one does, mono, and goes on
// without a Tick for at most that long.
func NewClock(most, mono int64) *Clock {
	c := &Clock{most: most, last: mono}
	c.limit.Store(mono + most)
	return c
}

// Tick tells that the server runs, and returns the time.
func (c *Clock) Tick(mono int64) int64 {
	mono = max(mono, c.last)
	if gap := mono - c.last; gap > c.most {
		c.lost.Add(gap - c.most)
	}
	c.last = mono
	now := mono - c.lost.Load()
	c.limit.Store(now + c.most)
	return now
}

// At returns the time at mono, which is read from the monotonic clock about now. It is
// never later than what a Tick would return, and of a mono from before a pause that a
// Tick has ended meanwhile it is from about then.
func (c *Clock) At(mono int64) int64 {
	limit := c.limit.Load() // before lost: then what is lost never counts as passed
	return min(max(mono-c.lost.Load(), limit-2*c.most), limit)
}

// Mono returns when the monotonic clock will show, or has shown, what this one shows at
// t, if the server does not stand still again.
func (c *Clock) Mono(t int64) int64 { return t + c.lost.Load() }
