package znode

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
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
	paths := append(make([][]byte, 0, n+dirs+1), []byte("/"))
	for d := range dirs {
		paths = append(paths, fmt.Appendf(nil, "/bench%04d", d))
	}
	for i := range n {
		paths = append(paths, fmt.Appendf(nil, "/bench%04d/node-%010d", i%dirs, i))
	}
	slices.SortFunc(paths, CompareKeys)
	return paths
}

// TestStoreSizes holds a tree of 128 random bytes a znode to 250 bytes of disk
// per znode, and its checkpoint to 64 MB of memory. QUORATE_STORE_NODES sets
// another number of znodes than the default.
func TestStoreSizes(t *testing.T) {
	nodes := 100_000
	if n, err := strconv.Atoi(os.Getenv("QUORATE_STORE_NODES")); err == nil {
		nodes = n
	}
	s := benchStore(t)
	sources := []func(*Change) (bool, error){benchSource(nodes, 100)}
	for round := range 5 {
		sources = append(sources, everyNth(benchSource(nodes, 100), 10, round))
	}
	for i, src := range sources {
		start := time.Now()
		src, heap := heapWatch(src)
		if err := s.Checkpoint(Meta{Zxid: int64(i)}, src); err != nil {
			t.Fatal(err)
		}
		t.Logf("checkpoint %d: %v, heap grew by %d MB", i, time.Since(start), *heap>>20)
		if *heap > 64<<20 {
			t.Errorf("checkpoint %d: heap grew by %d bytes", i, *heap)
		}
	}
	s.merger.begin()
	settleStore(s)
	m := s.db.Metrics()
	var live int64
	for _, l := range m.Levels {
		live += l.TablesSize
	}
	t.Logf("%d bytes a znode when compacted, tables per level %v", live/int64(nodes), tablesPerLevel(m))
	if live/int64(nodes) > 250 {
		t.Errorf("%d znodes take %d bytes", nodes, live)
	}
}

func tablesPerLevel(m *pebble.Metrics) (n []int64) {
	for _, l := range m.Levels {
		n = append(n, l.TablesCount)
	}
	return n
}

// heapWatch samples how far the heap grows while src is drained.
func heapWatch(src func(*Change) (bool, error)) (_ func(*Change) (bool, error), grown *int64) {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	base, i := int64(m.HeapAlloc), 0
	grown = new(int64)
	return func(c *Change) (bool, error) {
		if i++; i%5000 == 0 {
			runtime.ReadMemStats(&m)
			*grown = max(*grown, int64(m.HeapAlloc)-base)
		}
		return src(c)
	}, grown
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

func benchStore(tb testing.TB, adjust ...func(*StoreOptions)) *Store {
	o := StoreOptions{Dir: filepath.Join(tb.TempDir(), "tree"), Logger: tb.Logf}
	for _, f := range adjust {
		f(&o)
	}
	s, err := OpenStore(o)
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

func BenchmarkImportJava(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprintf("znodes=%d", n), func(b *testing.B) {
			src := benchStore(b)
			if err := src.Checkpoint(Meta{Zxid: 1}, benchSource(n, 100)); err != nil {
				b.Fatal(err)
			}
			view, err := src.Snapshot()
			if err != nil {
				b.Fatal(err)
			}
			defer view.Close()
			dir := b.TempDir()
			if _, err := ExportJava(view, ExportOptions{DataDir: dir}); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				res, err := ImportJava(ImportOptions{DataDir: dir}, benchStore(b))
				if err != nil || res.Meta.NodeCount != int64(n)+101 {
					b.Fatal(res, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/znode")
		})
	}
}

func BenchmarkStoreWalk(b *testing.B) {
	const nodes = 100_000
	s := benchStore(b)
	if err := s.Checkpoint(Meta{Zxid: 1}, benchSource(nodes, 100)); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		view, err := s.Snapshot()
		if err != nil {
			b.Fatal(err)
		}
		if err := view.Walk(func([]byte, *Record) error { return nil }); err != nil {
			b.Fatal(err)
		}
		view.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/nodes, "ns/znode")
}
