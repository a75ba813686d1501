package replica

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/quorate/quorate/zab"
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

func ages(times ...int64) (entries []zab.Entry) {
	for _, t := range times {
		entries = append(entries, zab.Entry{Data: znode.TxnHeader{Time: t}.Append(nil)})
	}
	return entries
}

// Equal ages in a row are told at once, and none is left out.
func TestEachAge(t *testing.T) {
	entries := append(ages(995, 995, 993, 1001, 995, 1000), zab.Entry{Data: []byte("no header")})
	var got [][2]int64
	EachAge(entries, 1000, func(age, n int64) { got = append(got, [2]int64{age, n}) })
	if want := [][2]int64{{5, 2}, {7, 1}, {5, 1}, {0, 1}}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	EachAge(nil, 1000, func(age, n int64) { t.Errorf("of nothing: %d, %d times", age, n) })
}

func BenchmarkAges(b *testing.B) {
	entries := ages(make([]int64, 64)...)
	var s Summary
	b.Run("one by one", func(b *testing.B) {
		for b.Loop() {
			for i := range entries {
				s.AddAge(entries[i].Data, 1)
			}
		}
	})
	b.Run("each", func(b *testing.B) {
		for b.Loop() {
			EachAge(entries, 1, s.AddMany)
		}
	})
}
