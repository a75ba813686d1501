package server

import (
	"sync/atomic"
	"time"
)

// bellState is the state of a bell, which wakes one goroutine: whoever has left work for it rings; it looks for work and
// waits when there is none. A ring in between is not lost, several are one. The zero value is ready.
//
// On Linux the goroutine waits in the kernel, with the place of a processor that it had, and that is its own again when it
// is woken. The scheduler, asked to find a thread for a goroutine, wakes one or two more to look for work that there is
// not: that would be half of all changes of threads of a write with nothing else in flight.
type bellState struct{ atomic.Int32 }

const (
	bellQuiet int32 = iota
	bellRung
	bellAwaited // the goroutine waits
)

// forever is how long wait waits for a ring if there is nothing else to wait for.
const forever time.Duration = -1

// ring has the goroutine that waits, or the next wait, return. Any goroutine may call it.
func (b *bell) ring() {
	if b.state.Swap(bellRung) == bellAwaited {
		b.strike()
	}
}

// isRung reports whether the next wait returns at once.
func (b *bell) isRung() bool { return b.state.Load() == bellRung }

// wait returns when the bell has been rung since it last returned, after d at the latest; it may return for no reason. One
// goroutine calls it.
func (b *bell) wait(d time.Duration) {
	if b.state.CompareAndSwap(bellQuiet, bellAwaited) {
		b.await(d)
	}
	b.state.Store(bellQuiet)
}
