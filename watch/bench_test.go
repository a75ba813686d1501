package watch

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/quorate/quorate/wire"
)

// BenchmarkFire is the cost of a write that nobody watches, with and without
// recursive watches elsewhere that make it look at the ancestors.
func BenchmarkFire(b *testing.B) {
	for _, recursives := range []int{0, 1} {
		for _, typ := range []wire.EventType{wire.EventNodeDataChanged, wire.EventNodeDeleted} {
			b.Run(fmt.Sprintf("watchers=0/type=%d/recursive=%d", typ, recursives), func(b *testing.B) {
				t := NewTable()
				for i := range 10_000 {
					t.AddData(fmt.Appendf(nil, "/other/%d", i), 1)
				}
				for range recursives {
					t.AddPersistent([]byte("/elsewhere"), 2, true)
				}
				path := []byte("/some/where/down/below")
				var dst []Watcher
				b.ReportAllocs()
				for b.Loop() {
					dst = t.Fire(dst[:0], typ, path)
				}
			})
		}
	}
}

// BenchmarkFanout is one event and the registration of everybody anew, the
// loop of every client that waits for a change. Figures are per event.
func BenchmarkFanout(b *testing.B) {
	for _, n := range []int{1, 15, 500, 10_000} {
		b.Run(fmt.Sprintf("watchers=%d", n), func(b *testing.B) {
			t := NewTable()
			path := []byte("/some/where/down/below")
			for w := range n {
				t.AddData(path, Watcher(w))
			}
			var dst []Watcher
			b.ReportAllocs()
			for b.Loop() {
				dst = t.Fire(dst[:0], wire.EventNodeDataChanged, path)
				for _, w := range dst {
					t.AddData(path, w)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/watcher")
		})
	}
}

// BenchmarkPersistent is one event on a path with persistent watchers, which
// stay.
func BenchmarkPersistent(b *testing.B) {
	for _, below := range []bool{false, true} {
		b.Run(fmt.Sprintf("watchers=500/recursive=%v", below), func(b *testing.B) {
			t := NewTable()
			for w := range 500 {
				t.AddPersistent([]byte("/some/where"), Watcher(w), below)
			}
			var dst []Watcher
			b.ReportAllocs()
			for b.Loop() {
				dst = t.Fire(dst[:0], wire.EventNodeDataChanged, []byte("/some/where/down/below"))
				dst = t.Fire(dst, wire.EventNodeDataChanged, []byte("/some/where"))
			}
		})
	}
}

// BenchmarkAdd fills a table with a million watches on distinct paths, held by
// 100 connections, and reports what one of them costs.
func BenchmarkAdd(b *testing.B) {
	const n = 1_000_000
	b.Run(fmt.Sprintf("watches=%d", n), func(b *testing.B) {
		for b.Loop() {
			before := heapBytes()
			t := NewTable()
			fill(t, n)
			b.ReportMetric(float64(heapBytes()-before)/n, "B/watch")
			runtime.KeepAlive(t)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/watch")
	})
}

// BenchmarkDrop is a connection that goes, with all its watches.
func BenchmarkDrop(b *testing.B) {
	const n = 1000
	b.Run(fmt.Sprintf("watches=%d", n), func(b *testing.B) {
		t := NewTable()
		paths := make([][]byte, n)
		for i := range paths {
			paths[i] = fillPath(nil, i)
		}
		b.ReportAllocs()
		for b.Loop() {
			for _, p := range paths {
				t.AddData(p, 1)
			}
			t.Drop(1)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/watch")
	})
}
