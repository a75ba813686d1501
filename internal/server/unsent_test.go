package server

import (
	"io"
	"testing"
	"time"

	"github.com/quorate/quorate/wire"
)

// readsBody is a multiRead of the same znode again and again.
func readsBody(path string, n int) (body []byte) {
	for range n {
		body = wire.MultiHeader{Op: wire.OpGetData, Err: -1}.Append(body)
		body = wire.PathWatch{Path: []byte(path)}.Append(body)
	}
	return wire.MultiEnd.Append(body)
}

// TestUnsentAnswers: clients ask for much and take nothing. When the memory for what waits is used up, the one that asks
// next is closed, and the others get their answers whole when they come to read.
func TestUnsentAnswers(t *testing.T) {
	const size, reads, fit = 1_000_000, 30, 3
	cfg := testConfig(t.TempDir())
	cfg.UnsentBytesMax = (2*fit + 1) * size * reads / 2
	r := start(t, cfg)
	r.client().create("/big", string(make([]byte, size)))
	var waiting []*rawClient
	for closed := false; !closed; {
		if len(waiting) > 3*fit { // sockets hold a few megabytes of each answer
			t.Fatalf("%d clients have %d bytes waiting for them", len(waiting), r.s.unsent.Load())
		}
		c := r.client()
		conns, before := r.s.connCount(), r.s.unsent.Load()
		if _, err := c.send(wire.OpMultiRead, readsBody("/big", reads)); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() bool {
			closed = r.s.connCount() < conns
			return closed || r.s.unsent.Load() > before+size
		})
		if !closed {
			waiting = append(waiting, c)
		} else if n, _ := io.Copy(io.Discard, c.nc); n >= size*reads {
			t.Errorf("the client that is closed got %d bytes", n)
		}
	}
	if len(waiting) < fit {
		t.Errorf("only %d clients have an answer waiting", len(waiting))
	}
	for _, c := range waiting {
		if h, body, err := c.recv(); err != nil || h.Err != wire.OK || len(body) < size*reads {
			t.Errorf("%+v, %d bytes, %v", h, len(body), err)
		}
	}
	eventually(t, func() bool { return r.s.unsent.Load() == 0 })
}

// eventually waits until something holds.
func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it never came to hold")
		}
	}
}
