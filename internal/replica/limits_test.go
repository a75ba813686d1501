package replica_test

import (
	"errors"
	"testing"

	"github.com/quorate/quorate/internal/replica"
	"github.com/quorate/quorate/wire"
)

// detach ends a peer's connection.
func (w *world) detach(p *peer) {
	w.t.Helper()
	if err := w.r.Submit(&w.log, &replica.Submission{Kind: replica.SubmitDetach, Client: p.c}, w.time); err != nil {
		w.t.Fatal(err)
	}
	w.r.Flush()
}

// TestLargeRequests: one is admitted while all of them fit, and ends its
// connection, unanswered, when they do not; what is answered makes room.
func TestLargeRequests(t *testing.T) {
	w := newWorld(t, func(o *replica.Options) { o.Limits = replica.Limits{LargeBytes: 1000, LargeBytesMax: 3000} })
	a, b, c := w.connected(10000), w.connected(10000), w.connected(10000)
	a.must(wire.OpCreate, create("/a", "", 0))
	large := request(1, wire.OpSetData, setData("/a", string(make([]byte, 1900))))
	if _, err := a.send(large); err != nil {
		t.Fatalf("the first: %v", err)
	}
	if _, err := b.send(large); !errors.Is(err, replica.ErrProtocol) {
		t.Fatalf("the second while the first is under way: %v", err)
	}
	if _, err := c.send(request(1, wire.OpSetData, setData("/a", string(make([]byte, 900))))); err != nil {
		t.Fatalf("a small one: %v", err)
	}
	w.commit()
	if out := a.answers(); len(out) != 1 || out[0].Err != wire.OK {
		t.Fatalf("%+v", out)
	}
	for range 3 { // each is over when the next comes
		c.must(wire.OpSetData, setData("/a", string(make([]byte, 1900))))
	}
	if n := w.r.Stats.LargeRejected.Load(); n != 1 {
		t.Errorf("%d rejected", n)
	}
}

// TestLargeRequestIsRefusedByItsLength: the rest of it is not waited for, and a
// packet that was let begin is not refused half-way.
func TestLargeRequestIsRefusedByItsLength(t *testing.T) {
	w := newWorld(t, func(o *replica.Options) { o.Limits = replica.Limits{LargeBytes: 1000, LargeBytesMax: 3000} })
	a := w.connected(10000)
	if _, err := a.send(wire.AppendInt(nil, 3001)); !errors.Is(err, replica.ErrProtocol) {
		t.Errorf("a length that never fits: %v", err)
	}
	b, c := w.connected(10000), w.connected(10000)
	large := request(1, wire.OpCreate, create("/b", string(make([]byte, 1900)), 0))
	if _, err := b.send(large[:10]); err != nil {
		t.Fatal(err)
	}
	if _, err := c.send(request(1, wire.OpCreate, create("/c", string(make([]byte, 2000)), 0))); err != nil {
		t.Fatal(err)
	}
	if _, err := b.send(large[10:20]); err != nil {
		t.Errorf("in the middle: %v", err)
	}
	w.commit()
	if _, err := b.send(large[20:]); err != nil {
		t.Errorf("the end: %v", err)
	}
}

// TestLargeRequestsOfTheGoneAreForgotten: a connection that ends gives back what its
// requests held.
func TestLargeRequestsOfTheGoneAreForgotten(t *testing.T) {
	w := newWorld(t, func(o *replica.Options) {
		o.Limits = replica.Limits{LargeBytes: 1000, LargeBytesMax: 3000, MaxRequests: 1}
	})
	a := w.connected(10000)
	if _, err := a.send(request(1, wire.OpCreate, create("/a", string(make([]byte, 1900)), 0))); err != nil {
		t.Fatal(err)
	}
	w.detach(a)
	b := w.connected(10000)
	b.must(wire.OpCreate, create("/b", string(make([]byte, 1900)), 0))
}

// TestOutstandingLimitHoldsReading: above the limit a client that waits for an
// answer is not read, one that does not is, and nothing is refused.
func TestOutstandingLimitHoldsReading(t *testing.T) {
	w := newWorld(t, func(o *replica.Options) { o.Limits.Outstanding = 1 })
	a, b := w.connected(10000), w.connected(10000)
	a.must(wire.OpCreate, create("/a", "", 0))
	var three []byte
	for xid := range int32(3) {
		three = append(three, request(xid+10, wire.OpSetData, setData("/a", "x"))...)
	}
	if s, _ := a.send(three); s != replica.Wait {
		t.Fatalf("status %v", s)
	}
	if _, n := a.c.Pending(); n != 2 {
		t.Errorf("%d requests of a are read", n)
	}
	if s, _ := b.send(three); s != replica.Wait {
		t.Fatalf("status %v", s)
	}
	if _, n := b.c.Pending(); n != 1 {
		t.Errorf("%d requests of b are read", n)
	}
	for range 4 {
		w.commit()
		for _, p := range []*peer{a, b} {
			if _, err := p.send(nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.commit()
	for _, p := range []*peer{a, b} {
		if out := p.answers(); len(out) != 3 || out[2].Xid != 12 || out[2].Err != wire.OK || p.resumes == 0 {
			t.Errorf("%+v, %d resumes", out, p.resumes)
		}
	}
}

// TestThrottle: beyond the limit requests wait, reads and pings too, and are served
// in the order of the clients that wait.
func TestThrottle(t *testing.T) {
	w := newWorld(t, func(o *replica.Options) { o.Limits.MaxRequests = 1 })
	a, b, c := w.connected(10000), w.connected(10000), w.connected(10000)
	a.must(wire.OpCreate, create("/a", "", 0))
	a.resumes, b.resumes, c.resumes = 0, 0, 0
	for _, send := range []struct {
		p    *peer
		b    []byte
		want replica.Status
	}{
		{a, request(1, wire.OpSetData, setData("/a", "1")), replica.More},
		{b, request(1, wire.OpGetData, unwatched("/a")), replica.Wait},
		{c, request(1, wire.OpSetData, setData("/a", "2")), replica.Wait},
		{b, request(2, wire.OpPing, nil), replica.Wait},
	} {
		if s, err := send.p.send(send.b); err != nil || s != send.want {
			t.Fatalf("status %v, %v", s, err)
		}
	}
	if b.resumes+c.resumes != 0 || len(b.take())+len(c.take()) != 0 {
		t.Fatal("somebody did not wait")
	}
	w.commit()
	if b.resumes != 1 || c.resumes != 0 {
		t.Fatalf("%d and %d resumes when there is room for one", b.resumes, c.resumes)
	}
	if s, _ := b.send(nil); s != replica.More || c.resumes != 1 {
		t.Fatalf("status %v, and %d resumes of the next", s, c.resumes)
	}
	if out := b.answers(); len(out) != 2 || out[0].data() != "1" {
		t.Errorf("%+v", out)
	}
	if s, _ := c.send(nil); s != replica.More {
		t.Fatalf("status %v", s)
	}
	w.commit()
	if out := c.answers(); len(out) != 1 || out[0].Err != wire.OK {
		t.Errorf("%+v", out)
	}
	if n := w.r.Stats.ThrottleWaits.Load(); n != 3 {
		t.Errorf("%d waits", n)
	}
}

// TestThrottleForgetsTheGone: neither the requests of a connection that ends nor its
// place in the line hold up others.
func TestThrottleForgetsTheGone(t *testing.T) {
	w := newWorld(t, func(o *replica.Options) { o.Limits.MaxRequests = 2 })
	a, b, c := w.connected(10000), w.connected(10000), w.connected(10000)
	two := append(request(1, wire.OpCreate, create("/a", "", 0)), request(2, wire.OpCreate, create("/b", "", 0))...)
	if s, err := a.send(two); err != nil || s != replica.More {
		t.Fatalf("status %v, %v", s, err)
	}
	for _, p := range []*peer{b, c} {
		p.resumes = 0
		if s, err := p.send(request(1, wire.OpPing, nil)); err != nil || s != replica.Wait {
			t.Fatalf("status %v, %v", s, err)
		}
	}
	w.detach(b)
	w.detach(a)
	if b.resumes != 0 || c.resumes != 1 {
		t.Errorf("%d and %d resumes", b.resumes, c.resumes)
	}
	w.commit()
	c.must(wire.OpExists, unwatched("/b"))
}

// TestThrottledOps: a request that waited too long is refused in its turn and not
// executed; pings and the end of a session are served however long they waited.
func TestThrottledOps(t *testing.T) {
	w := newWorld(t, func(o *replica.Options) { o.Limits = replica.Limits{MaxRequests: 1, ThrottledMillis: 5} })
	a, b := w.connected(10000), w.connected(10000)
	a.must(wire.OpCreate, create("/a", "", 0))
	wait := func(b *peer, pass int64, frames ...[]byte) []answer {
		t.Helper()
		if _, err := a.send(request(1, wire.OpSetData, setData("/a", "a"))); err != nil {
			t.Fatal(err)
		}
		for _, f := range frames {
			if s, err := b.send(f); err != nil || s != replica.Wait {
				t.Fatalf("status %v, %v", s, err)
			}
		}
		w.time.Mono += pass
		w.commit()
		if _, err := b.send(nil); err != nil {
			t.Fatal(err)
		}
		w.commit()
		return b.answers()
	}
	set := request(3, wire.OpSetData, setData("/a", "b"))
	if out := wait(b, 5, set); len(out) != 1 || out[0].Err != wire.OK {
		t.Errorf("after 5 ms: %+v", out)
	}
	a.must(wire.OpSetData, setData("/a", "a"))
	out := wait(b, 6, set, request(4, wire.OpGetData, unwatched("/a")), request(-2, wire.OpPing, nil))
	if len(out) != 3 || out[0].Err != wire.ErrThrottledOp || out[1].Err != wire.ErrThrottledOp || out[2].Err != wire.OK {
		t.Errorf("after 6 ms: %+v", out)
	}
	if got := a.must(wire.OpGetData, unwatched("/a")); got.data() != "a" || out[0].Zxid != got.Zxid {
		t.Errorf("data %q at zxid %x, the refusal's is %x", got.data(), got.Zxid, out[0].Zxid)
	}
	if out := wait(b, 600, request(5, wire.OpCloseSession, nil)); len(out) != 1 || out[0].Err != wire.OK {
		t.Errorf("closeSession: %+v", out)
	}
	if n, m := w.r.Stats.ThrottledOps.Load(), w.r.Stats.ThrottleTimes.View().Max; n != 2 || m != 600 {
		t.Errorf("%d refused, the longest wait %d ms", n, m)
	}
}

// TestStaleRequests: one that waited for longer than its session's timeout ends its
// connection, or is served all the same.
func TestStaleRequests(t *testing.T) {
	for _, drop := range []bool{true, false} {
		w := newWorld(t, func(o *replica.Options) {
			o.Limits = replica.Limits{MaxRequests: 1, StaleLatency: true, DropStale: drop}
		})
		a, b := w.connected(10000), w.connected(4000)
		if _, err := a.send(request(1, wire.OpCreate, create("/a", "", 0))); err != nil {
			t.Fatal(err)
		}
		if s, err := b.send(request(1, wire.OpGetData, unwatched("/a"))); err != nil || s != replica.Wait {
			t.Fatalf("status %v, %v", s, err)
		}
		w.time.Mono += 4001
		w.commit()
		_, err := b.send(nil)
		if errors.Is(err, replica.ErrProtocol) != drop {
			t.Errorf("dropped %v: %v", drop, err)
		}
		if n, m := w.r.Stats.StaleDropped.Load(), w.r.Stats.Stale.Load(); n+m != 1 || (n == 1) != drop {
			t.Errorf("dropped %v: %d dropped, %d stale", drop, n, m)
		}
	}
}
