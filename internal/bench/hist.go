package bench

import (
	"math/bits"
	"time"
)

const (
	histSubBits = 6                // 64 buckets per power of two: at most 1.6 % off
	histSub     = 1 << histSubBits //
	histMaxBits = 40               // longer than 18 minutes counts as 18 minutes
	histBuckets = (histMaxBits - histSubBits + 1) * histSub
)

// Histogram counts durations in buckets whose width grows with the value, so
// that a fixed 18 KiB holds anything from a nanosecond to 18 minutes with an
// error of at most 1/64. Its zero value is empty and ready. It is for one
// goroutine; several are merged when their owners are done.
type Histogram struct {
	counts [histBuckets]uint64
	total  uint64
	max    uint64
}

// histIndex returns the bucket of v: values below 128 have one each, larger
// ones share theirs with the values that agree in the 7 leading bits.
func histIndex(v uint64) int {
	if v >= 1<<histMaxBits {
		v = 1<<histMaxBits - 1
	}
	shift := bits.Len64(v) - (histSubBits + 1)
	if shift <= 0 {
		return int(v)
	}
	return shift<<histSubBits + int(v>>uint(shift))
}

// histUpper returns the largest value that falls into bucket i.
func histUpper(i int) uint64 {
	if i < 2*histSub {
		return uint64(i)
	}
	shift := uint(i>>histSubBits - 1)
	lead := uint64(i&(histSub-1) + histSub)
	return (lead+1)<<shift - 1
}

// Record adds one duration; a negative one counts as zero.
func (h *Histogram) Record(d time.Duration) {
	v := uint64(max(d, 0))
	h.counts[histIndex(v)]++
	h.total++
	h.max = max(h.max, v)
}

// Merge adds everything o has counted.
func (h *Histogram) Merge(o *Histogram) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.total += o.total
	h.max = max(h.max, o.max)
}

// Count returns how many durations were recorded.
func (h *Histogram) Count() uint64 { return h.total }

// Max returns the longest duration, exactly.
func (h *Histogram) Max() time.Duration { return time.Duration(h.max) }

// Quantile returns the smallest duration that at least the share q (0 to 1) of
// the recorded ones do not exceed, rounded up to its bucket's end and never
// above Max. An empty histogram answers 0.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := uint64(q*float64(h.total) + 0.999999)
	rank = min(max(rank, 1), h.total)
	var seen uint64
	for i, n := range h.counts {
		if seen += n; n > 0 && seen >= rank {
			return time.Duration(min(histUpper(i), h.max))
		}
	}
	return 0
}
