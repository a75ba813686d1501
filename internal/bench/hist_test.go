package bench

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestHistogramBuckets(t *testing.T) {
	last := -1
	for i := range histBuckets {
		upper := histUpper(i)
		if got := histIndex(upper); got != i {
			t.Fatalf("bucket %d ends at %d, which falls into bucket %d", i, upper, got)
		}
		if i > 0 && histIndex(histUpper(i-1)+1) != i {
			t.Fatalf("there is a gap below bucket %d", i)
		}
		if i <= last {
			t.Fatal("buckets are not in order")
		}
		last = i
	}
	if got := histIndex(1 << 63); got != histBuckets-1 {
		t.Fatalf("a huge value falls into bucket %d of %d", got, histBuckets)
	}
}

// The histogram is compared with sorting all values.
func TestHistogramQuantiles(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 3, 10, 1000, 20000} {
		var h, odd Histogram
		all := make([]time.Duration, n)
		for i := range all {
			all[i] = time.Duration(rnd.Int64N(1 << (4 + rnd.IntN(32))))
			if i%2 == 1 {
				odd.Record(all[i])
			} else {
				h.Record(all[i])
			}
		}
		h.Merge(&odd)
		slices.Sort(all)
		for _, q := range []float64{0, 0.1, 0.5, 0.9, 0.99, 0.999, 1} {
			rank := max(1, int(q*float64(n)+0.999999))
			want := all[min(rank, n)-1]
			got := h.Quantile(q)
			if got < want || float64(got) > float64(want)*(1+1.0/histSub)+1 {
				t.Errorf("n=%d: quantile %v is %v, exactly %v", n, q, got, want)
			}
		}
		if h.Max() != all[n-1] || h.Count() != uint64(n) {
			t.Errorf("n=%d: max %v of %d, exactly %v", n, h.Max(), h.Count(), all[n-1])
		}
	}
}

func TestHistogramEdges(t *testing.T) {
	var h Histogram
	if h.Quantile(0.5) != 0 || h.Max() != 0 {
		t.Error("an empty histogram is not all zero")
	}
	h.Record(-5)
	if h.Quantile(1) != 0 || h.Count() != 1 {
		t.Error("a negative duration does not count as zero")
	}
	h.Record(24 * time.Hour)
	if h.Max() != 24*time.Hour || h.Quantile(1) > h.Max() {
		t.Errorf("a day: max %v, p100 %v", h.Max(), h.Quantile(1))
	}
}
