//go:build linux

package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/quorate/quorate/integration/ensemble"
)

// clientsPerSide is how many clients write to one server. Each has one write in
// flight.
const clientsPerSide = 4

// sideOfLoad is what the clients of one server saw.
type sideOfLoad struct {
	// Writes were acknowledged in so many seconds.
	Writes  int     `json:"writes"`
	Seconds float64 `json:"seconds"`
	// GapMs is the longest time in which none of the clients was acknowledged a
	// write, GapAt when it began, in seconds since the load did.
	GapMs float64 `json:"longest_gap_ms"`
	GapAt float64 `json:"longest_gap_at_seconds"`
	// AwayGapMs is the same in the time in which the follower was away.
	AwayGapMs float64 `json:"longest_gap_while_away_ms"`
	// WriteMs is the longest that a client waited for one write.
	WriteMs float64 `json:"longest_write_ms"`
	// Reconnects counts connections that were lost.
	Reconnects int `json:"reconnects"`
}

// steadyLoad writes at a constant rate to some servers: a client that is held
// up goes on at once, and does not make up for what it could not send.
type steadyLoad struct {
	begun time.Time
	stop  context.CancelFunc
	done  sync.WaitGroup
	sides []*writers
}

// writers are the clients of one server.
type writers struct {
	addr  string
	mu    sync.Mutex
	acks  []time.Duration // since the load began
	worst time.Duration
	lost  int
	err   error
}

// beginLoad starts clients on each of the members; rate is the number of writes
// a second on each, path names the znode of one.
func beginLoad(ctx context.Context, rate int, path func(i int) string, members ...*ensemble.Member) *steadyLoad {
	ctx, stop := context.WithCancel(ctx)
	l := &steadyLoad{begun: time.Now(), stop: stop}
	interval := time.Second * clientsPerSide / time.Duration(rate)
	for i, m := range members {
		w := &writers{addr: m.Addr()}
		l.sides = append(l.sides, w)
		for j := range clientsPerSide {
			first := l.begun.Add(interval * time.Duration(j) / clientsPerSide)
			l.done.Go(func() {
				l.client(ctx, w, first, interval, func(n int) string { return path(n*1009 + i*clientsPerSide + j) })
			})
		}
	}
	return l
}

// client writes until ctx ends.
func (l *steadyLoad) client(ctx context.Context, w *writers, next time.Time, interval time.Duration, path func(n int) string) {
	c := newClient([]string{w.addr})
	defer c.close()
	for n := 0; sleep(ctx, time.Until(next)) == nil; n++ {
		begun := time.Now()
		err := c.write(ctx, path(n), value(n))
		if now := time.Now(); next.Add(interval).Before(now) {
			next = now
		} else {
			next = next.Add(interval)
		}
		if ctx.Err() == nil {
			w.note(time.Since(l.begun), time.Since(begun), err)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lost += max(c.connections-1, 0)
}

// note counts one write.
func (w *writers) note(at, took time.Duration, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.err = errors.Join(w.err, err)
		return
	}
	w.acks = append(w.acks, at)
	w.worst = max(w.worst, took)
}

func (l *steadyLoad) lasted() time.Duration { return time.Since(l.begun) }

func (l *steadyLoad) seconds() float64 { return l.lasted().Seconds() }

// end stops the clients and returns what they saw, in the order of the members.
// The follower was away from and to these times in seconds.
func (l *steadyLoad) end(from, to float64) ([]sideOfLoad, error) {
	lasted := l.lasted()
	l.stop()
	l.done.Wait()
	var out []sideOfLoad
	var errs []error
	for _, w := range l.sides {
		s := w.sum(lasted)
		s.AwayGapMs, _ = w.longestGap(seconds(from), seconds(to))
		out = append(out, s)
		errs = append(errs, w.err)
	}
	return out, errors.Join(errs...)
}

func (w *writers) sum(lasted time.Duration) sideOfLoad {
	s := sideOfLoad{Writes: len(w.acks), Seconds: lasted.Seconds(), WriteMs: milliseconds(w.worst), Reconnects: w.lost}
	s.GapMs, s.GapAt = w.longestGap(0, lasted)
	return s
}

// longestGap finds the longest time without an acknowledgement between two
// times, which count as one each, in milliseconds, and when it began, in
// seconds.
func (w *writers) longestGap(from, to time.Duration) (ms, at float64) {
	slices.Sort(w.acks)
	last := from
	for _, ack := range append(slices.Clone(w.acks), to) {
		if ack = min(ack, to); ack < from {
			continue
		}
		if gap := milliseconds(ack - last); gap > ms {
			ms, at = gap, last.Seconds()
		}
		last = ack
	}
	return ms, at
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
