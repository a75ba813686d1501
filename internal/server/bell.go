package server

import "sync/atomic"

// bell wakes one goroutine. Whoever has left work for it rings; it looks for work and
// waits when there is none. A ring in between is not lost, several are one. The hammer is opened
// before the goroutine begins, and closed when it has ended; until then and after that nobody waits.
type bell struct {
	state atomic.Int32
	hammer
}

const (
	bellQuiet int32 = iota
	bellRung
	bellAwaited // the goroutine waits
)

// ring has the goroutine that waits, or the next wait, return. Any goroutine may call it.
func (b *bell) ring() {
	if b.state.Swap(bellRung) == bellAwaited {
		b.strike()
	}
}

// wait returns when the bell has been rung since it last returned. One goroutine calls it.
func (b *bell) wait() {
	if b.state.CompareAndSwap(bellQuiet, bellAwaited) {
		b.await()
	}
	b.state.Store(bellQuiet)
}
