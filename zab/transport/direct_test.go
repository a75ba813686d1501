package transport

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/quorate/quorate/zab"
)

// TestBorrowKeepsTheOrder has a sender write parts of what it queues while the writer writes the rest: what leaves is
// what was queued, in its order.
func TestBorrowKeepsTheOrder(t *testing.T) {
	var q outbox
	q.init(false)
	var mu sync.Mutex
	var out, want []byte
	var direct, byWriter int
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			buf, o, ok := q.take()
			if !ok {
				return
			}
			mu.Lock()
			out = append(append(out, buf...), o.data...)
			byWriter++
			mu.Unlock()
			q.done(buf, len(o.data))
		}
	}()
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test
	for i := range 20_000 {
		m := zab.Message{Type: zab.Commit, Zxid: int64(i)}
		if i%500 == 0 {
			m = zab.Message{Type: zab.Proposal, Zxid: int64(i), Data: make([]byte, referBytes)}
		}
		want = appendPacket(want, &m, false)
		turn := i%100 == 99 // however busy the machine is, the sender gets its turn
		if turn {
			eventually(t, "the writer waits", func() bool {
				q.mu.Lock()
				defer q.mu.Unlock()
				return q.parked
			})
		}
		q.add(&m, false, 1<<30)
		if !turn && rng.IntN(3) > 0 {
			continue
		}
		buf := q.borrow()
		if buf == nil {
			q.wake()
			continue
		}
		n := len(buf)
		if rng.IntN(2) == 0 {
			n = rng.IntN(n + 1)
		}
		mu.Lock()
		out = append(out, buf[:n]...)
		direct++
		mu.Unlock()
		q.repay(buf, n)
	}
	q.close()
	<-done
	if !bytes.Equal(out, want) {
		t.Fatalf("%d bytes left, %d were queued, or their order is another", len(out), len(want))
	}
	if direct == 0 || byWriter == 0 {
		t.Fatalf("%d writes by the sender, %d by the writer: both are to be tried", direct, byWriter)
	}
	if n, p, _ := q.stat(); n != 0 || p != 0 {
		t.Fatalf("%d bytes in %d packets are said to wait", n, p)
	}
}
