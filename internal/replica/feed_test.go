package replica_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/quorate/quorate/wire"
)

// cachedReads are requests for znodes that are in memory, as a client sends them over and
// over. Watches stay, so only the first request registers one.
func cachedReads() map[string][]byte {
	return map[string][]byte{
		"getData":      request(1, wire.OpGetData, unwatched("/a")),
		"getDataWatch": request(1, wire.OpGetData, watched("/a")),
		"exists":       request(1, wire.OpExists, unwatched("/a")),
		"existsNot":    request(1, wire.OpExists, unwatched("/none")),
		"getChildren":  request(1, wire.OpGetChildren, unwatched("/a")),
		"getChildren2": request(1, wire.OpGetChildren2, unwatched("/a")),
		"getACL":       request(1, wire.OpGetACL, wire.AppendString(nil, "/a")),
		"multiRead":    request(1, wire.OpMultiRead, readList(wire.OpGetData, "/a", "/a/0", "/none")),
		"ping":         request(wire.XidPing, wire.OpPing, nil),
	}
}

// reader is a client of a world with some znodes, whose output is taken into one buffer,
// as a connection does it.
func reader(t testing.TB) (feed func(b []byte)) {
	w := newWorld(t, nil)
	p := w.connected(40000)
	p.must(wire.OpCreate, create("/a", "some data, as short as most of it is", 0))
	for i := range 10 {
		p.must(wire.OpCreate, create(fmt.Sprintf("/a/%d", i), "", 0))
	}
	var spare []byte
	return func(b []byte) {
		n, subs, _, err := p.c.Feed(b, w.time.Mono, nil)
		if err != nil || n != len(b) || subs != nil {
			t.Fatalf("%d of %d bytes, %d submissions, %v", n, len(b), len(subs), err)
		}
		if spare, _ = p.c.TakeOut(spare); len(spare) == 0 {
			t.Fatal("no answer")
		}
	}
}

// TestCachedReadsAllocateNothing per request, from its bytes to those of its answer.
func TestCachedReadsAllocateNothing(t *testing.T) {
	feed := reader(t)
	for name, b := range cachedReads() {
		if n := testing.AllocsPerRun(200, func() { feed(b) }); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

// BenchmarkFeed is the server's own part of a read, without sockets.
func BenchmarkFeed(b *testing.B) {
	reads := cachedReads()
	for _, name := range slices.Sorted(maps.Keys(reads)) {
		request := reads[name]
		b.Run("op="+name, func(b *testing.B) {
			feed := reader(b)
			b.ReportAllocs()
			for b.Loop() {
				feed(request)
			}
		})
	}
}

// TestReadsAreCounted by namespace, also those that a client has put off, and when it goes.
func TestReadsAreCounted(t *testing.T) {
	w := newWorld(t, nil)
	p := w.connected(40000)
	p.must(wire.OpCreate, create("/a", "data", 0))
	p.must(wire.OpCreate, create("/a/child", "", 0))
	p.must(wire.OpCreate, create("/b", "", 0))
	counted := func(want string) {
		t.Helper()
		text := ""
		for _, ns := range w.r.Stats.ReadBytes.All() {
			v := ns.View()
			text += fmt.Sprintf("%s: %d, %d bytes; ", ns.Name, v.Count, v.Sum)
		}
		if text != want {
			t.Errorf("%q, want %q", text, want)
		}
	}
	for range 3 {
		p.must(wire.OpGetData, unwatched("/a"))
	}
	p.must(wire.OpGetChildren, unwatched("/"))
	w.r.CountReads()
	counted(fmt.Sprintf("a: 3, %d bytes; ", 3*(2+4+68)))
	p.must(wire.OpGetChildren2, unwatched("/a"))
	p.must(wire.OpExists, unwatched("/b"))
	p.must(wire.OpGetData, unwatched("/a/child"))
	w.detach(p)
	counted(fmt.Sprintf("a: 5, %d bytes; b: 1, 70 bytes; ", 3*(2+4+68)+2+5+68+8+68))
}
