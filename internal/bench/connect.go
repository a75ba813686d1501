package bench

import (
	"context"
	"sync"
	"sync/atomic"
)

// connectJob is one phase of the connect workload: sessions are opened and
// closed until the phase is over or the budget is used up.
type connectJob struct {
	phase  *phase
	addrs  []string // of the connections, one entry each
	budget *atomic.Int64
	dial   DialOptions
	hello  []byte // the connect request, framed
}

// more reports whether another session may be opened, and takes it from the
// budget.
func (j *connectJob) more(now int64) bool {
	return !j.phase.over(now) && j.budget.Add(-1) >= 0
}

// connect measures how fast sessions are opened and closed: each connection
// does so again and again.
func (b *bench) connect(ctx context.Context, on side) (*Result, error) {
	if b.Warmup > 0 {
		if _, err := b.cycles(ctx, on, newPhase(b.Warmup, false), forever); err != nil {
			return nil, err
		}
	}
	if b.Ops > 0 {
		return b.cycles(ctx, on, newPhase(0, true), b.Ops)
	}
	return b.cycles(ctx, on, newPhase(b.Duration, true), forever)
}

// cycles runs one phase of at most the given number of sessions, its
// connections shared out among the threads.
func (b *bench) cycles(ctx context.Context, on side, p *phase, most int64) (*Result, error) {
	defer context.AfterFunc(ctx, func() { p.stop.Store(true) })()
	before, err := takeMeter(on)
	if err != nil {
		return nil, err
	}
	var budget atomic.Int64
	budget.Store(most)
	threads := min(max(b.Threads, 1), b.Connections)
	tallies := make([]tally, threads)
	errs := make([]error, threads)
	p.clock = newClock()
	var wg sync.WaitGroup
	for t := range threads {
		j := &connectJob{phase: p, budget: &budget, dial: b.Dial, hello: appendConnect(nil, b.Dial.SessionTimeout)}
		for i := t; i < b.Connections; i += threads {
			j.addrs = append(j.addrs, on.server(i))
		}
		wg.Go(func() {
			if errs[t] = b.connector(ctx, j, &tallies[t]); errs[t] != nil {
				p.stop.Store(true)
			}
		})
	}
	wg.Wait()
	if err := firstError(append(errs, context.Cause(ctx))); err != nil {
		return nil, err
	}
	r := &Result{Servers: on.servers, Workload: Connect, Connections: b.Connections}
	for i := range tallies {
		r.addTally(&tallies[i])
	}
	return r, before.account(on, r)
}

// A connector runs a job until it is over.
type connector func(ctx context.Context, j *connectJob, t *tally) error

// connectPerGoroutine is the connector for any system.
func connectPerGoroutine(ctx context.Context, j *connectJob, t *tally) error {
	errs := make([]error, len(j.addrs))
	tallies := make([]tally, len(j.addrs))
	var wg sync.WaitGroup
	for i, addr := range j.addrs {
		wg.Go(func() {
			if errs[i] = j.cycle(ctx, addr, &tallies[i]); errs[i] != nil {
				j.phase.stop.Store(true)
			}
		})
	}
	wg.Wait()
	for i := range tallies {
		t.ok += tallies[i].ok
		t.last = max(t.last, tallies[i].last)
		t.hist.Merge(&tallies[i].hist)
	}
	return firstError(errs)
}

// cycle opens and closes sessions, one at a time.
func (j *connectJob) cycle(ctx context.Context, addr string, t *tally) error {
	for {
		begun := j.phase.clock.now()
		if !j.more(begun) {
			return nil
		}
		s, err := Dial(ctx, addr, j.dial)
		if err != nil {
			return err
		}
		if err := s.end(); err != nil {
			return err
		}
		now := j.phase.clock.now()
		t.add(now, now-begun)
	}
}

// sessionStage is how far a session of the connect workload has come.
type sessionStage int

const (
	stageNone       sessionStage = iota // not begun, or not to be begun again
	stageConnecting                     // the TCP connection is not there yet
	stageOpening                        // the connect request is out
	stageClosing                        // closeSession is out
	stageHangup                         // it is answered: the server must hang up
)

func (s sessionStage) String() string {
	return [...]string{"not begun", "connecting", "opening a session", "closing the session", "waiting for the server to hang up"}[s]
}

// late reports whether something begun then has taken longer than allowed.
func (j *connectJob) late(begun int64) bool {
	return j.phase.clock.now()-begun > int64(j.dial.ReplyTimeout)
}
