package watch

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/quorate/quorate/wire"
)

// TestFireNobodyAllocates nothing: the usual case of every write.
func TestFireNobodyAllocates(t *testing.T) {
	tb := NewTable()
	tb.AddData([]byte("/other"), 1)
	tb.AddPersistent([]byte("/elsewhere"), 2, true)
	path := []byte("/some/where/down/below")
	allocs := testing.AllocsPerRun(100, func() {
		for typ := wire.EventNodeCreated; typ <= wire.EventNodeChildrenChanged; typ++ {
			if got := tb.Fire(nil, typ, path); got != nil {
				t.Fatalf("event %d tells %v", typ, got)
			}
		}
	})
	if allocs != 0 {
		t.Errorf("four events allocate %v times, want 0", allocs)
	}
}

// TestFanoutReusesEntries: watchers of one path that register anew after every
// event cost the copy of the path, once for all of them.
func TestFanoutReusesEntries(t *testing.T) {
	const watchers = 500
	tb := NewTable()
	path := []byte("/a/path/that/is/watched")
	for w := range Watcher(watchers) {
		tb.AddData(path, w)
	}
	var dst []Watcher
	allocs := testing.AllocsPerRun(100, func() {
		dst = tb.Fire(dst[:0], wire.EventNodeDataChanged, path)
		for _, w := range dst {
			tb.AddData(path, w)
		}
	})
	if len(dst) != watchers {
		t.Errorf("told %d of %d watchers", len(dst), watchers)
	}
	if allocs > 2 {
		t.Errorf("an event and %d registrations allocate %v times, want at most 2", watchers, allocs)
	}
}

// TestMemoryShrinks: what a table needed for many watches is given back when
// they go, whichever way they go.
func TestMemoryShrinks(t *testing.T) {
	const n = 100_000
	ways := map[string]func(tb *Table){
		"drop": func(tb *Table) {
			for w := range Watcher(fillers) {
				tb.Drop(w)
			}
		},
		"fire": func(tb *Table) {
			for i := range n {
				tb.Fire(nil, wire.EventNodeDataChanged, fillPath(nil, i))
			}
		},
		"remove": func(tb *Table) {
			for i := range n {
				tb.Remove(fillPath(nil, i), wire.WatcherData, Watcher(i%fillers))
			}
		},
	}
	for name, empty := range ways {
		t.Run(name, func(t *testing.T) {
			tb := NewTable()
			base := heapBytes()
			fill(tb, n)
			full := heapBytes() - base
			empty(tb)
			if tb.Count() != 0 {
				t.Fatalf("%d watches are left", tb.Count())
			}
			if left := int64(heapBytes()) - int64(base); left > int64(full)/8 {
				t.Errorf("%d of %d bytes are still held", left, full)
			}
			runtime.KeepAlive(tb)
		})
	}
}

// TestCrowdShrinks: one persistent watcher that stays does not keep the room of
// the thousands that shared its path.
func TestCrowdShrinks(t *testing.T) {
	const n = 20_000
	tb := NewTable()
	for w := range Watcher(n) {
		tb.AddPersistent([]byte("/a"), w, true)
	}
	for w := range Watcher(n - 1) {
		tb.Drop(w)
	}
	checkInvariants(t, tb)
	if peak := tb.tables[dataTable].crowds["/a"].peak; peak >= shrinkMin {
		t.Errorf("a crowd of one has room for %d", peak)
	}
	if got := tb.Fire(nil, wire.EventNodeCreated, []byte("/a/b")); len(got) != 1 || got[0] != n-1 {
		t.Errorf("told %v, want [%d]", got, n-1)
	}
}

// fillers is how many connections hold the watches of fill.
const fillers = 100

// fill adds n data watches on distinct paths.
func fill(t *Table, n int) {
	var path []byte
	for i := range n {
		path = fillPath(path[:0], i)
		t.AddData(path, Watcher(i%fillers))
	}
}

func fillPath(dst []byte, i int) []byte {
	return fmt.Appendf(dst, "/app/service/node-%010d", i)
}

func heapBytes() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
