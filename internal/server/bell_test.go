package server

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// Whoever leaves work and rings has it seen to, however that falls together with the other's going to wait.
func TestBell(t *testing.T) {
	const rounds = 20_000
	var b bell
	var left, seen atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for seen.Load() < rounds {
			if n := left.Load(); n > seen.Load() {
				seen.Store(n)
				continue
			}
			b.wait(forever)
		}
	}()
	for i := range int64(rounds) {
		left.Add(1)
		b.ring()
		if i%3 == 0 {
			b.ring() // several are one
		}
		for i%2 == 0 && seen.Load() <= i {
			runtime.Gosched()
		}
	}
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatalf("%d of %d were seen", seen.Load(), rounds)
	}
}

// A ring that came before the wait is not lost, and only one wait returns for it.
func TestBellBeforeTheWait(t *testing.T) {
	var b bell
	b.ring()
	b.ring()
	b.wait(forever)
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		b.wait(forever)
	}()
	for b.state.Load() != bellAwaited {
		runtime.Gosched()
	}
	select {
	case <-returned:
		t.Fatal("it did not wait")
	default:
	}
	b.ring()
	<-returned
}

// A wait with an end returns without a ring, and the next ring is for the next wait.
func TestBellInTime(t *testing.T) {
	var b bell
	b.wait(0)
	b.wait(time.Millisecond)
	if s := b.state.Load(); s != bellQuiet {
		t.Errorf("state %d, but nobody waits", s)
	}
	b.ring()
	b.wait(forever)
}
