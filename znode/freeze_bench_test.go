package znode

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quorate/quorate/wire"
)

// BenchmarkApplyPause measures how long transactions take while a checkpoint of
// 1,000,000 znodes is written to disk, the wait for the tree's lock included:
// alone, and with two goroutines that compute all the time. One operation is a
// checkpoint. For comparison: the same number of transactions without one.
func BenchmarkApplyPause(b *testing.B) {
	for _, busy := range []int{0, 2} {
		b.Run(fmt.Sprintf("busy=%d", busy), func(b *testing.B) { benchPause(b, busy) })
	}
}

func benchPause(b *testing.B, busy int) {
	const nodes = 1_000_000
	tree, err := Open(Options{Backend: benchStore(b)})
	if err != nil {
		b.Fatal(err)
	}
	defer tree.Close()
	a := benchApplier{b: b, tree: tree}
	for i := range nodes {
		if i%1000 == 0 {
			a.create(fmt.Appendf(nil, "/p%06d", i/1000), nil, -1)
		}
		a.create(pausePath(i), make([]byte, 128), -1)
	}
	var all, rest []time.Duration
	var took time.Duration
	for b.Loop() {
		b.StopTimer()
		for i := range nodes {
			a.set(i * 7919 % nodes)
		}
		stop := keepBusy(busy)
		b.StartTimer()
		var done atomic.Bool
		c := benchBegin(tree)
		begun := time.Now()
		go func() {
			err = c.Write()
			took += time.Since(begun)
			done.Store(true)
		}()
		before := len(all)
		all = a.pauses(all, func(int) bool { return !done.Load() })
		tree.Lock()
		tree.EndCheckpoint(c, err)
		tree.Unlock()
		b.StopTimer()
		if err != nil {
			b.Fatal(err)
		}
		rest = a.pauses(rest, func(n int) bool { return n < len(all)-before })
		stop()
		b.StartTimer()
	}
	b.ReportMetric(0, "ns/op")
	reportPauses(b, "", all)
	reportPauses(b, "idle-", rest)
	b.ReportMetric(float64(took.Milliseconds())/float64(b.N), "write-ms")
}

func benchBegin(t *Tree) *Checkpoint {
	t.Lock()
	defer t.Unlock()
	return t.BeginCheckpoint()
}

func pausePath(i int) []byte { return fmt.Appendf(nil, "/p%06d/n%09d", i/1000, i) }

var pauseData = make([]byte, 128)

func (a *benchApplier) set(i int) {
	a.body = SetDataTxn{Path: pausePath(i), Data: pauseData, Version: int32(i)}.Append(a.body[:0])
	a.apply(wire.OpSetData)
}

// pauses sets random znodes, about one in 100 us, while more says so.
func (a *benchApplier) pauses(out []time.Duration, more func(n int) bool) []time.Duration {
	rng := rand.New(rand.NewPCG(1, uint64(len(out))))
	for n := 0; more(n); n++ {
		i := rng.IntN(1_000_000)
		begun := time.Now()
		a.set(i)
		out = append(out, time.Since(begun))
		time.Sleep(100 * time.Microsecond)
	}
	return out
}

func reportPauses(b *testing.B, prefix string, all []time.Duration) {
	slices.Sort(all)
	at := func(q float64) float64 { return float64(all[int(q*float64(len(all)-1))].Nanoseconds()) / 1e3 }
	b.ReportMetric(at(0.5), prefix+"p50-us")
	b.ReportMetric(at(0.999), prefix+"p99.9-us")
	b.ReportMetric(at(1), prefix+"max-us")
}

// keepBusy has n goroutines compute until stop is called, each with a
// processor of the scheduler's own, as another process would.
func keepBusy(n int) (stop func()) {
	var done atomic.Bool
	var wg sync.WaitGroup
	was := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(was + n)
	for range n {
		wg.Go(func() {
			for x := uint64(1); !done.Load(); {
				for range 1000 {
					x = x*6364136223846793005 + 1
				}
				runtime.KeepAlive(x)
			}
		})
	}
	return func() {
		done.Store(true)
		wg.Wait()
		runtime.GOMAXPROCS(was)
	}
}
