//go:build linux && !quorate_stream

package server

import (
	"sync/atomic"
	"testing"
	"time"
)

// TestStalledReadersExpireNobody: what clients send waits in the sockets, because nobody
// reads it, while the loop goes on, or is the first to go on again.
func TestStalledReadersExpireNobody(t *testing.T) {
	var gate atomic.Pointer[chan struct{}]
	r, c := startShort(t, func(c *Config) {
		c.hooks.polled = func() {
			if g := gate.Load(); g != nil {
				<-*g
			}
		}
	})
	for _, loop := range []bool{false, true} {
		release := func() {}
		if loop {
			release = r.block()
		}
		g := make(chan struct{})
		gate.Store(&g)
		sent := c.pinger(50*time.Millisecond, 1200*time.Millisecond)
		release()
		sent += c.pinger(50*time.Millisecond, 600*time.Millisecond)
		gate.Store(nil)
		close(g)
		c.wantPongs(sent)
		c.wantData("/e", "")
	}
	r.wantExpiry()
}
