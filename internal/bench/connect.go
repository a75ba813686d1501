package bench

import (
	"context"
	"sync"
	"sync/atomic"
)

// connect measures how fast sessions are opened and closed: every connection
// is a goroutine that does nothing else.
func (b *bench) connect(ctx context.Context, on side) (*Result, error) {
	if b.Warmup > 0 {
		if _, err := b.cycles(ctx, on, newPhase(b.Warmup, false), -1); err != nil {
			return nil, err
		}
	}
	if b.Ops > 0 {
		return b.cycles(ctx, on, newPhase(0, true), b.Ops)
	}
	return b.cycles(ctx, on, newPhase(b.Duration, true), -1)
}

// cycles runs one phase; left bounds the sessions if it is not negative.
func (b *bench) cycles(ctx context.Context, on side, p *phase, left int64) (*Result, error) {
	before, err := takeMeter(on)
	if err != nil {
		return nil, err
	}
	var budget atomic.Int64
	budget.Store(left)
	tallies := make([]tally, b.Connections)
	errs := make([]error, b.Connections)
	p.clock = newClock()
	var wg sync.WaitGroup
	for i := range b.Connections {
		wg.Go(func() {
			if errs[i] = b.cycle(ctx, on.server(i), p, &tallies[i], &budget); errs[i] != nil {
				p.stop.Store(true)
			}
		})
	}
	wg.Wait()
	if err := firstError(errs); err != nil {
		return nil, err
	}
	r := &Result{Servers: on.servers, Workload: Connect, Connections: b.Connections}
	for i := range tallies {
		r.addTally(&tallies[i])
	}
	return r, before.account(on, r)
}

// cycle opens and closes sessions until the phase or the budget is over.
func (b *bench) cycle(ctx context.Context, addr string, p *phase, t *tally, budget *atomic.Int64) error {
	for {
		begun := p.clock.now()
		if p.over(begun) {
			return nil
		}
		if budget.Load() >= 0 && budget.Add(-1) < 0 {
			budget.Store(0)
			return nil
		}
		s, err := Dial(ctx, addr, b.Dial)
		if err != nil {
			return err
		}
		if err := s.end(); err != nil {
			return err
		}
		t.add(p.clock.now(), p.clock.now()-begun)
	}
}
