package znode

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"
)

// benchRecord fills rec with a node of 128 random bytes.
func benchRecord(rec *Record, path []byte, i int, rng *rand.ChaCha8) {
	if rec.Data == nil {
		rec.Data = make([]byte, 128)
	}
	for j := 0; j < len(rec.Data); j += 8 {
		binary.LittleEndian.PutUint64(rec.Data[j:], rng.Uint64())
	}
	zxid := int64(1)<<32 + int64(i) + 1
	rec.Stat = Stat{Czxid: zxid, Mzxid: zxid, Pzxid: zxid, Ctime: 1_790_000_000_000 + int64(i/10), Mtime: 1_790_000_000_000 + int64(i/10)}
	rec.ACL = OpenACLID
	rec.DataLength = int32(len(rec.Data))
	rec.Prefix = DataPrefix(path, rec.Data)
}

// benchSource yields n nodes in dirs directories, in storage order.
func benchSource(n, dirs int) func(*Change) (bool, error) {
	paths := benchPaths(n, dirs)
	rng := rand.NewChaCha8([32]byte{1})
	i := 0
	var rec Record
	return func(c *Change) (bool, error) {
		if i == len(paths) {
			return false, nil
		}
		c.Path = paths[i]
		benchRecord(&rec, c.Path, i, rng)
		c.Record = rec
		i++
		return true, nil
	}
}

func benchPaths(n, dirs int) [][]byte {
	paths := make([][]byte, 0, n+dirs)
	for d := range dirs {
		paths = append(paths, fmt.Appendf(nil, "/bench%04d", d))
	}
	for i := range n {
		paths = append(paths, fmt.Appendf(nil, "/bench%04d/node-%010d", i%dirs, i))
	}
	slices.SortFunc(paths, CompareKeys)
	return paths
}

// TestStoreSizes prints the figures of a tree of a million znodes when
// QUORATE_STORE_NODES asks for it.
func TestStoreSizes(t *testing.T) {
	var n int
	if fmt.Sscan(os.Getenv("QUORATE_STORE_NODES"), &n); n == 0 {
		t.Skip("QUORATE_STORE_NODES is not set")
	}
	s := benchStore(t)
	src := benchSource(n, 100)
	runtime.GC()
	peak := peakHeap(t)
	start := time.Now()
	if err := s.Checkpoint(Meta{Zxid: 1}, src); err != nil {
		t.Fatal(err)
	}
	t.Logf("checkpoint of %d: %v, heap grew by %d MB", n, time.Since(start), peak()>>20)
	t.Logf("disk %d MB\n%s", s.DiskBytes()>>20, s.db.Metrics())
	for round := range 5 {
		start = time.Now()
		if err := s.Checkpoint(Meta{Zxid: 2}, everyNth(benchSource(n, 100), 10, round)); err != nil {
			t.Fatal(err)
		}
		t.Logf("a tenth of them again: %v", time.Since(start))
	}
	for s.db.Metrics().Compact.NumInProgress > 0 {
		time.Sleep(100 * time.Millisecond)
	}
	t.Logf("disk %d MB\n%s", s.DiskBytes()>>20, s.db.Metrics())
	start = time.Now()
	tiny := 20
	for i := range tiny {
		if err := s.Checkpoint(Meta{Zxid: 3}, benchSource(5, 1+i)); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("tiny checkpoint: %v", time.Since(start)/time.Duration(tiny))
	start = time.Now()
	snap, _ := s.Snapshot()
	count := 0
	if err := snap.Walk(func([]byte, *Record) error { count++; return nil }); err != nil {
		t.Fatal(err)
	}
	snap.Close()
	t.Logf("walk of %d: %v", count, time.Since(start))
}

func everyNth(src func(*Change) (bool, error), n, offset int) func(*Change) (bool, error) {
	i := 0
	return func(c *Change) (bool, error) {
		for {
			more, err := src(c)
			i++
			if !more || err != nil || i%n == offset {
				return more, err
			}
		}
	}
}

// peakHeap samples how far the heap grows until the returned function is called.
func peakHeap(t *testing.T) func() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	base, peak := m.HeapAlloc, m.HeapAlloc
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapAlloc)
			}
		}
	}()
	return func() uint64 { close(stop); <-done; return peak - base }
}

func benchStore(tb testing.TB) *Store {
	s, err := OpenStore(StoreOptions{Dir: filepath.Join(tb.TempDir(), "tree"), Logger: tb.Logf})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	return s
}

func BenchmarkStoreCheckpoint(b *testing.B) {
	for _, n := range []int{1, 100, 10_000, 100_000} {
		b.Run(fmt.Sprintf("changes=%d", n), func(b *testing.B) {
			s := benchStore(b)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				src := benchSource(n, 1)
				b.StartTimer()
				if err := s.Checkpoint(Meta{Zxid: 1}, src); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/change")
		})
	}
}

func BenchmarkStoreGet(b *testing.B) {
	const nodes = 1_000_000
	s := benchStore(b)
	if err := s.Checkpoint(Meta{Zxid: 1}, benchSource(nodes, 100)); err != nil {
		b.Fatal(err)
	}
	paths := benchPaths(nodes, 100)
	get := func(b *testing.B, choose func(i int) []byte, want bool) {
		b.ReportAllocs()
		var buf []byte
		var rec Record
		var found bool
		var err error
		i := 0
		for b.Loop() {
			found, buf, err = s.Get(choose(i), buf, &rec)
			if err != nil || found != want {
				b.Fatal(found, err)
			}
			i++
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	b.Run("hit/blocks=cached", func(b *testing.B) {
		get(b, func(i int) []byte { return paths[i%1000] }, true)
	})
	b.Run("hit/blocks=cold", func(b *testing.B) {
		get(b, func(int) []byte { return paths[rng.IntN(len(paths))] }, true)
	})
	b.Run("miss", func(b *testing.B) {
		var path []byte
		get(b, func(int) []byte {
			path = append(append(path[:0], paths[rng.IntN(len(paths))]...), 'x')
			return path
		}, false)
	})
}

func BenchmarkStoreChildren(b *testing.B) {
	s := benchStore(b)
	if err := s.Checkpoint(Meta{Zxid: 1}, benchSource(10_000, 1)); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		err := s.Children([]byte("/bench0000"), func([]byte) bool { n++; return true })
		if err != nil || n != 10_000 {
			b.Fatal(n, err)
		}
	}
}
