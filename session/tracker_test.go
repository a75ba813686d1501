package session

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func TestNewTrackerPanicsWithoutTick(t *testing.T) {
	for _, tick := range []int64{0, -1} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a tick of %d was accepted", tick)
				}
			}()
			NewTracker(tick)
		}()
	}
}

// TestLifetime is the promise to clients: a session that is never touched again
// lives longer than its timeout, and not more than one tick longer.
func TestLifetime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tick := rapid.Int64Range(1, 5000).Draw(t, "tick")
		timeout := rapid.Int32Range(0, 1<<31-1).Draw(t, "timeout")
		now := rapid.Int64Range(-1<<40, 1<<60).Draw(t, "now")
		tr := NewTracker(tick)
		tr.Add(1, timeout, now)
		deadline, ok := tr.NextDeadline()
		if life := deadline - now; !ok || life <= int64(timeout) || life > int64(timeout)+tick {
			t.Fatalf("timeout %d at %d: it lives for %d ms", timeout, now, life)
		}
		if early := tr.Due(deadline - 1); early != nil {
			t.Fatalf("%v expire before their deadline", early)
		}
		if due := tr.Due(deadline); len(due) != 1 {
			t.Fatalf("%v expire at the deadline", due)
		}
	})
}

// TestTouchAllocatesNothing over many ticks, for a session alone in its bucket
// and for a crowd.
func TestTouchAllocatesNothing(t *testing.T) {
	for _, n := range []int64{1, 1000} {
		tr := NewTracker(10)
		now := int64(0)
		touchAll := func() {
			for id := range n {
				tr.Touch(id, 100, now)
			}
			now += 7
		}
		for id := range n {
			tr.Add(id, 100, now)
		}
		for range 100 {
			touchAll()
		}
		if allocs := testing.AllocsPerRun(100, touchAll); allocs != 0 {
			t.Errorf("touching %d sessions allocates %v times, want 0", n, allocs)
		}
		if got := tr.Len(); got != int(n) {
			t.Errorf("%d sessions, want %d", got, n)
		}
	}
}

func BenchmarkTouch(b *testing.B) {
	for _, n := range []int64{1, 1000, 100_000} {
		for _, move := range []bool{false, true} {
			b.Run(fmt.Sprintf("sessions=%d/move=%v", n, move), func(b *testing.B) {
				tr := NewTracker(2000)
				for id := range n {
					tr.Add(id, 30_000, id%2000)
				}
				now, id := int64(2000), int64(0)
				b.ReportAllocs()
				for b.Loop() {
					tr.Touch(id, 30_000, now)
					if id++; id == n {
						id = 0
						if move {
							now += 2000
						}
					}
				}
			})
		}
	}
}

// BenchmarkExpire adds sessions and lets all of them expire; per session.
func BenchmarkExpire(b *testing.B) {
	const n = 100_000
	b.Run(fmt.Sprintf("sessions=%d", n), func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			tr := NewTracker(2000)
			for id := range int64(n) {
				tr.Add(id, 30_000, id%20_000)
			}
			for _, id := range tr.Due(100_000) {
				tr.SetClosing(id)
				tr.Remove(id)
			}
			if tr.Len() != 0 {
				b.Fatalf("%d sessions are left", tr.Len())
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/session")
	})
}

func BenchmarkPassword(b *testing.B) {
	var sink [PasswordBytes]byte
	b.ReportAllocs()
	for b.Loop() {
		sink = Password(0x01019a0c5d2b0000)
	}
	_ = sink
}
