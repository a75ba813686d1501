//go:build unix

package znode

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"
)

// cpuTime is what the process has used of all processors.
func cpuTime(tb testing.TB) time.Duration {
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// lifePath names znode i: a thousand to a directory.
func lifePath(i int) []byte {
	return fmt.Appendf(nil, "/bench-0123456789ab/load/p%06d/n%09d", i/1000, i)
}

// lifeChanges yields the znodes with these numbers, in storage order.
func lifeChanges(numbers []int, rng *rand.ChaCha8) func(*Change) (bool, error) {
	paths := make([][]byte, len(numbers))
	for i, n := range numbers {
		paths[i] = lifePath(n)
	}
	slices.SortFunc(paths, CompareKeys)
	var rec Record
	i := 0
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

// BenchmarkStoreLife measures what a change costs in all, compactions
// included: of sixteen clients that create znodes in directories of their own,
// and of changes to znodes at random. One operation is a checkpoint. As in a
// server, what works in the background has threads of its own.
func BenchmarkStoreLife(b *testing.B) {
	const nodes, each = 1_000_000, 72_000
	rng := rand.NewChaCha8([32]byte{1})
	draw := rand.New(rng)
	next := make([]int, 16)
	for i := range next {
		next[i] = i * 1000
	}
	creations := func() (out []int) {
		for range each {
			l := draw.IntN(len(next))
			if draw.IntN(10*len(next)) < l { // some are slower than others
				l = draw.IntN(len(next))
			}
			out = append(out, next[l])
			if next[l]++; next[l]%1000 == 0 {
				next[l] += 1000 * (len(next) - 1)
			}
		}
		return out
	}
	sets := func() []int {
		out := make([]int, each)
		for i := range out {
			out[i] = draw.IntN(nodes)
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	s := benchStore(b, func(o *StoreOptions) { o.Background, o.Yield = runtime.LockOSThread, func() {} })
	b.Run("work=create", func(b *testing.B) { benchLife(b, s, rng, creations) })
	for slices.Min(next) < nodes { // some are behind
		if err := s.Checkpoint(Meta{}, lifeChanges(creations(), rng)); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("work=set", func(b *testing.B) { benchLife(b, s, rng, sets) })
	var rec Record
	var buf []byte
	read := func(b *testing.B, tail string, want bool) {
		const reads = 5000
		begun := cpuTime(b)
		for b.Loop() {
			for range reads {
				found, out, err := s.Get(append(lifePath(draw.IntN(nodes)), tail...), buf, &rec)
				if buf = out; err != nil || found != want {
					b.Fatal(found, err)
				}
			}
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64((cpuTime(b)-begun).Nanoseconds())/float64(b.N)/reads, "cpu-ns/read")
	}
	b.Run("work=hit", func(b *testing.B) { read(b, "", true) })
	b.Run("work=miss", func(b *testing.B) { read(b, "x", false) })
}

func benchLife(b *testing.B, s *Store, rng *rand.ChaCha8, numbers func() []int) {
	changes := 0
	settleStore(s)
	var cpu time.Duration
	for b.Loop() {
		list := numbers()
		src := lifeChanges(list, rng)
		changes += len(list)
		begun := cpuTime(b)
		done := make(chan error)
		go func() {
			runtime.LockOSThread()
			done <- s.Checkpoint(Meta{}, src)
		}()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		settleStore(s)
		cpu += cpuTime(b) - begun
	}
	m := s.db.Metrics()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(cpu.Nanoseconds())/float64(changes), "cpu-ns/change")
	b.ReportMetric(float64(m.DiskSpaceUsage())/(1<<20), "disk-MB")
	b.ReportMetric(float64(tableCount(s)), "tables")
}

func tableCount(s *Store) (n int64) {
	for _, tables := range tablesPerLevel(s.db.Metrics()) {
		n += tables
	}
	return n
}

// settleStore waits until Pebble has nothing to do.
func settleStore(s *Store) {
	for idle := 0; idle < 10; idle++ {
		if s.db.Metrics().Compact.NumInProgress > 0 {
			idle = 0
		}
		time.Sleep(2 * time.Millisecond)
	}
}
