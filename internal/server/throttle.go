package server

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/quorate/quorate/internal/replica"
)

// ConnThrottle bounds the rate at which clients may open or resume sessions
// (connection_throttle_* keys, BlueThrottle in ZooKeeper): each draws tokens from
// a bucket that is filled at a steady pace, and is closed when there are too few.
type ConnThrottle struct {
	// Tokens is the size of the bucket; 0 = no throttle.
	Tokens int
	// FillTime lies between two fills, FillCount is what each adds; 0 = 1 ms and 1.
	FillTime  time.Duration
	FillCount int
	// FreezeTime is how often the probability is adapted by which clients are
	// closed at random beforehand; 0 or less = they never are. It grows by
	// DropIncrease while the bucket is empty, and falls by DropDecrease while at
	// least a share of 1-DecreaseRatio of it is there.
	FreezeTime                                time.Duration
	DropIncrease, DropDecrease, DecreaseRatio float64
	// GlobalWeight, RenewWeight and LocalWeight are what a new session, one that is
	// resumed and a new local one draw; 0 = 1.
	GlobalWeight, RenewWeight, LocalWeight int
}

// connBucket is the throttle at work. Any goroutine may use it.
type connBucket struct {
	c     ConnThrottle
	local bool // new sessions are local

	mu       sync.Mutex
	tokens   int
	filled   int64 // monotonic ms of the last fill
	frozen   int64 // and of the last change of drop
	drop     float64
	chance   func() float64 // from 0 to 1
	deficits replica.Summary
}

// newConnBucket returns nil for a throttle that is off.
func newConnBucket(c *ConnThrottle, local bool, now int64) *connBucket {
	if c == nil || c.Tokens <= 0 {
		return nil
	}
	b := &connBucket{c: *c, local: local, tokens: c.Tokens, filled: now, frozen: now, chance: rand.Float64}
	setDefault(&b.c.FillTime, time.Millisecond)
	setDefault(&b.c.FillCount, 1)
	for _, w := range []*int{&b.c.GlobalWeight, &b.c.RenewWeight, &b.c.LocalWeight} {
		setDefault(w, 1)
	}
	return b
}

// admit draws what a session costs. now is the monotonic clock in ms.
func (b *connBucket) admit(renewed bool, now int64) bool {
	need := b.c.GlobalWeight
	switch {
	case renewed:
		need = b.c.RenewWeight
	case b.local:
		need = b.c.LocalWeight
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fill(now)
	b.deficits.Add(int64(b.c.Tokens - b.tokens))
	if b.dropped(now) || b.tokens < need {
		return false
	}
	b.tokens -= need
	return true
}

func (b *connBucket) fill(now int64) {
	step := max(b.c.FillTime.Milliseconds(), 1)
	if steps := (now - b.filled) / step; steps > 0 {
		if steps > int64(b.c.Tokens) {
			b.tokens = b.c.Tokens // full, whatever the product
		} else {
			b.tokens = min(b.tokens+int(steps)*b.c.FillCount, b.c.Tokens)
		}
		b.filled += steps * step
	}
}

// dropped adapts the probability, and decides by it.
func (b *connBucket) dropped(now int64) bool {
	if b.c.FreezeTime <= 0 {
		return false
	}
	if now-b.frozen > b.c.FreezeTime.Milliseconds() {
		missing := b.c.Tokens - b.tokens
		switch {
		case missing == b.c.Tokens:
			b.drop = min(b.drop+b.c.DropIncrease, 1)
		case float64(missing) <= float64(b.c.Tokens)*b.c.DecreaseRatio:
			b.drop = max(b.drop-b.c.DropDecrease, 0)
		}
		b.frozen = now
	}
	return b.chance() < b.drop
}

// admitSession decides whether a client may ask for a session.
func (s *Server) admitSession(renewed bool, now int64) bool {
	ok := s.bucket.admit(renewed, now)
	if !ok {
		s.stats.rejected.Add(1)
	}
	return ok
}

// metrics are what ZooKeeper tells of the throttle.
func (b *connBucket) metrics(m *metricSet) {
	if b == nil {
		return
	}
	b.mu.Lock()
	drop := b.drop
	b.mu.Unlock()
	m.fraction("connection_drop_probability", drop)
	m.summary("connection_token_deficit", simple, &b.deficits)
}
