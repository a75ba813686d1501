package replica_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/quorate/quorate/internal/replica"
	"github.com/quorate/quorate/wire"
)

// TestWatchesOfAConnectionAreBounded: each request that would register one too many is
// refused; what takes nothing more is not.
func TestWatchesOfAConnectionAreBounded(t *testing.T) {
	w := newWorld(t, func(o *replica.Options) { o.WatchBytesMax = 1 << 20 })
	p, other := w.connected(4000), w.connected(4000)
	p.must(wire.OpCreate, create("/a", "", 0))
	long := "/" + strings.Repeat("x", 100_000)
	refused := 0
	for i := range 20 {
		a := p.ask(1, wire.OpExists, watched(fmt.Sprint(long, i)))
		if a.Err == wire.ErrBadArguments {
			refused++
		} else if a.Err != wire.ErrNoNode {
			t.Fatal(a.Err)
		}
	}
	if sum := w.r.WatchSummary(); refused != 10 || sum.Watches != 10 {
		t.Fatalf("%d of 20 are refused, %+v", refused, sum)
	}
	for i := range 400 { // what is left of it
		p.ask(1, wire.OpExists, watched(fmt.Sprint("/missing", i)))
	}
	p.ask(1, wire.OpExists, watched("/1"))
	for _, c := range []struct {
		op   wire.Op
		body []byte
	}{
		{wire.OpGetData, watched("/a")},
		{wire.OpGetChildren, watched("/a")},
		{wire.OpGetChildren2, watched("/a")},
		{wire.OpExists, watched("/a")},
		{wire.OpAddWatch, wire.PathType{Path: []byte("/a")}.Append(nil)},
		{wire.OpAddWatch, wire.PathType{Path: []byte("/a"), Type: wire.AddWatchPersistentRecursive}.Append(nil)},
	} {
		if a := p.ask(1, c.op, c.body); a.Err != wire.ErrBadArguments || len(a.body) != 0 {
			t.Errorf("%v: %v, %d bytes", c.op, a.Err, len(a.body))
		}
		if a := other.ask(1, c.op, c.body); a.Err != wire.OK {
			t.Errorf("%v of another connection: %v", c.op, a.Err)
		}
	}
	p.must(wire.OpGetData, unwatched("/a"))
	if a := p.ask(1, wire.OpExists, watched(long+"0")); a.Err != wire.ErrNoNode {
		t.Errorf("a watch that is there: %v", a.Err)
	}
	// One that is removed makes room.
	p.must(wire.OpRemoveWatches, wire.PathType{Path: []byte(long + "0"), Type: int32(wire.WatcherAny)}.Append(nil))
	p.must(wire.OpAddWatch, wire.PathType{Path: []byte("/a")}.Append(nil))
}

// TestSetWatchesBeyondTheBoundEndsTheConnection: clients do not look at its answer.
func TestSetWatchesBeyondTheBoundEndsTheConnection(t *testing.T) {
	w := newWorld(t, func(o *replica.Options) { o.WatchBytesMax = 10_000 })
	p := w.connected(4000)
	var req wire.SetWatchesRequest
	req.Lists[0] = [][]byte{[]byte("/gone")}
	for i := range 100 {
		req.Lists[1] = append(req.Lists[1], fmt.Appendf(nil, "/missing%d", i))
	}
	if _, err := p.send(request(wire.XidSetWatches, wire.OpSetWatches, req.Append(nil, wire.OpSetWatches))); err != nil {
		t.Fatal(err)
	}
	list := p.answers()
	if len(list) != 2 || list[0].event().Type != wire.EventNodeDeleted || list[1].Err != wire.ErrBadArguments {
		t.Errorf("answers %+v", list)
	}
	if p.c.State() != replica.StateClosed {
		t.Error("the connection goes on")
	}
}
