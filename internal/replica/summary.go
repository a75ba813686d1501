package replica

import (
	"math/bits"
	"sync/atomic"

	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/znode"
)

// Summary counts values that are not negative, milliseconds mostly: how many
// there were, their sum, the smallest, the largest, and how they are spread. Any
// goroutine may call its methods. The zero value is ready.
//
// Updates are not atomic as a whole: who looks may see one half done, which a
// statistic can bear. Most values are 0, so that counting one costs a single
// addition.
type Summary struct {
	zeros atomic.Int64
	// sum, lowest (plus one; 0 = none) and highest are of the others.
	sum, lowest, highest atomic.Int64
	buckets              [summaryBuckets]atomic.Int64
}

const (
	// summaryExact is below which each value has a bucket of its own; above it
	// there are eight for each doubling, so that a quantile is off by an eighth at
	// most.
	summaryExact   = 16
	summaryBuckets = summaryExact + 8*(32-4)
)

// Add counts v; negative values count as 0.
func (s *Summary) Add(v int64) { s.AddMany(v, 1) }

// AddAge counts for how many ms there has been a transaction, by the time its leader gave it and wall, this server's wall
// clock. As in ZooKeeper (Request.logLatency) those of a clock ahead of this one are not counted.
func (s *Summary) AddAge(txn []byte, wall int64) {
	if t, ok := znode.TxnTime(txn); ok && t <= wall {
		s.Add(wall - t)
	}
}

// EachAge tells the ages of transactions, see AddAge: n in a row that are as old as each other at once, which most of those
// are that come together.
func EachAge(entries []zab.Entry, wall int64, count func(age, n int64)) {
	var age, n int64
	for i := range entries {
		t, ok := znode.TxnTime(entries[i].Data)
		if !ok || t > wall {
			continue
		}
		if v := wall - t; v != age && n > 0 {
			count(age, n)
			n = 0
		}
		age = wall - t
		n++
	}
	if n > 0 {
		count(age, n)
	}
}

// AddMany counts v n times.
func (s *Summary) AddMany(v, n int64) {
	if v <= 0 {
		s.zeros.Add(n)
		return
	}
	s.sum.Add(v * n)
	if l := s.lowest.Load(); l == 0 || v < l-1 {
		s.lowest.Store(v + 1)
	}
	if v > s.highest.Load() {
		s.highest.Store(v)
	}
	s.buckets[bucketOf(v)].Add(n)
}

// bucketOf is the index of the bucket of a value above 0.
func bucketOf(v int64) int {
	if v < summaryExact {
		return int(v)
	}
	top := bits.Len64(uint64(v)) // at least 5
	i := summaryExact + 8*(top-5) + int(v>>(top-4)&7)
	return min(i, summaryBuckets-1)
}

// bucketEnd is the largest value of a bucket.
func bucketEnd(i int) int64 {
	if i < summaryExact {
		return int64(i)
	}
	i -= summaryExact
	top := i/8 + 5
	return (int64(8+i%8)+1)<<(top-4) - 1
}

// Reset forgets all.
func (s *Summary) Reset() {
	for _, a := range []*atomic.Int64{&s.zeros, &s.sum, &s.lowest, &s.highest} {
		a.Store(0)
	}
	for i := range s.buckets {
		s.buckets[i].Store(0)
	}
}

// SummaryView is a look at a Summary.
type SummaryView struct {
	Count, Sum, Min, Max int64
	buckets              [summaryBuckets]int64
}

// View returns the present state.
func (s *Summary) View() SummaryView {
	var v SummaryView
	v.add(s)
	return v
}

// View2 returns the state of two together.
func View2(a, b *Summary) SummaryView {
	var v SummaryView
	v.add(a)
	v.add(b)
	return v
}

func (v *SummaryView) add(s *Summary) {
	zeros, lowest := s.zeros.Load(), s.lowest.Load()-1
	count := zeros
	v.buckets[0] += zeros
	for i := range s.buckets {
		n := s.buckets[i].Load()
		v.buckets[i] += n
		count += n
	}
	if zeros > 0 {
		lowest = 0
	}
	if count > 0 && lowest >= 0 && (v.Count == 0 || lowest < v.Min) {
		v.Min = lowest
	}
	v.Count += count
	v.Sum += s.sum.Load()
	v.Max = max(v.Max, s.highest.Load())
}

// Avg is the mean; 0 without values.
func (v *SummaryView) Avg() float64 {
	if v.Count == 0 {
		return 0
	}
	return float64(v.Sum) / float64(v.Count)
}

// Quantile returns a value that a share q (0 to 1) of all do not exceed; 0
// without values.
func (v *SummaryView) Quantile(q float64) int64 {
	want := int64(q * float64(v.Count))
	for i, n := range v.buckets {
		if want -= n; want < 0 && n > 0 {
			return min(bucketEnd(i), v.Max)
		}
	}
	return v.Max
}
