package replica

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/quorate/quorate/znode"
)

func TestSummaryBuckets(t *testing.T) {
	for v := int64(1); v < 1<<20; v++ {
		i := bucketOf(v)
		if end := bucketEnd(i); end < v || i > 0 && bucketEnd(i-1) >= v || float64(end) > float64(v)*1.125 {
			t.Fatalf("%d is in bucket %d, which ends at %d", v, i, end)
		}
	}
	if i := bucketOf(math.MaxInt64); i != summaryBuckets-1 {
		t.Errorf("the largest value is in bucket %d of %d", i, summaryBuckets)
	}
}

func TestSummaryAgainstAList(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var s, other Summary
	var all []int64
	for range 20_000 {
		v := int64(math.Exp(r.Float64()*14)) - 1
		all = append(all, v)
		if r.IntN(2) == 0 {
			s.Add(v)
		} else {
			other.Add(v)
		}
	}
	slices.Sort(all)
	v := View2(&s, &other)
	sum := int64(0)
	for _, x := range all {
		sum += x
	}
	if v.Count != int64(len(all)) || v.Sum != sum || v.Min != all[0] || v.Max != all[len(all)-1] {
		t.Errorf("count %d sum %d min %d max %d", v.Count, v.Sum, v.Min, v.Max)
	}
	for _, q := range []float64{0, .5, .95, .99, .999, 1} {
		want := all[min(int(q*float64(len(all))), len(all)-1)]
		if got := v.Quantile(q); got < want || float64(got) > float64(want)*1.125+1 {
			t.Errorf("quantile %v is %d, want about %d", q, got, want)
		}
	}
}

func TestSummaryIsEmptyAtFirstAndAfterReset(t *testing.T) {
	var s Summary
	for range 2 {
		v := s.View()
		if v.Count != 0 || v.Sum != 0 || v.Min != 0 || v.Max != 0 || v.Avg() != 0 || v.Quantile(.5) != 0 {
			t.Fatalf("count %d sum %d min %d max %d", v.Count, v.Sum, v.Min, v.Max)
		}
		s.Add(5)
		s.Add(9)
		if v := s.View(); v.Min != 5 || v.Max != 9 || v.Avg() != 7 {
			t.Errorf("min %d max %d avg %v of 5 and 9", v.Min, v.Max, v.Avg())
		}
		s.Add(-3)
		if v := s.View(); v.Min != 0 || v.Count != 3 {
			t.Errorf("a negative value counts as min %d", v.Min)
		}
		s.Reset()
	}
}

func BenchmarkSummaryZero(b *testing.B) {
	var s Summary
	for b.Loop() {
		s.Add(0)
	}
}

func TestAgeOfATransaction(t *testing.T) {
	txn := znode.TxnHeader{Time: 1000}.Append(nil)
	for _, c := range []struct {
		name       string
		txn        []byte
		wall       int64
		count, sum int64
	}{
		{"older", txn, 1234, 1, 234},
		{"new", txn, 1000, 1, 0},
		{"of a clock ahead of this one", txn, 999, 0, 0},
		{"no header", txn[:len(txn)-1], 1234, 0, 0},
	} {
		var s Summary
		s.AddAge(c.txn, c.wall)
		if v := s.View(); v.Count != c.count || v.Sum != c.sum {
			t.Errorf("%s: %d counted, %d ms", c.name, v.Count, v.Sum)
		}
	}
}
