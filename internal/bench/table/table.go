package table

import (
	"fmt"
	"slices"
	"strings"
)

// Row is one line of a table. Empty cells were not measured.
type Row struct {
	What, Figure       string
	Quorate, ZooKeeper string
	Ratio, Target      string
	Met                bool
	Informative        bool // there is no target
}

// Bound is a target for a number: at least or at most another.
type Bound struct {
	atMost bool
	value  float64
}

// AtLeast is met by v and more.
func AtLeast(v float64) *Bound { return &Bound{false, v} }

// AtMost is met by v and less.
func AtMost(v float64) *Bound { return &Bound{true, v} }

// Met tells whether v, a ratio or a figure, meets the bound. Nothing measured,
// which is 0, never does.
func (b Bound) Met(v float64) bool {
	if v <= 0 {
		return false
	}
	return b.atMost && v <= b.value || !b.atMost && v >= b.value
}

// String writes the bound of a ratio.
func (b Bound) String() string {
	if b.atMost {
		return fmt.Sprintf("at most %.3g x", b.value)
	}
	return fmt.Sprintf("at least %.3g x", b.value)
}

// Compare returns the row of one figure on both sides, with Quorate's divided by
// ZooKeeper's and judged by b, or without a target if that is nil. A figure of 0
// was not measured.
func Compare(what, figure string, b *Bound, quorate, zk float64, format func(float64) string) Row {
	r := Row{What: what, Figure: figure, Quorate: cell(quorate, format), ZooKeeper: cell(zk, format), Informative: b == nil}
	ratio := 0.0
	if zk > 0 && quorate > 0 {
		ratio = quorate / zk
		r.Ratio = fmt.Sprintf("%.3f", ratio)
	}
	if b != nil {
		r.Target, r.Met = b.String(), b.Met(ratio)
	}
	return r
}

func cell(v float64, format func(float64) string) string {
	if v == 0 {
		return ""
	}
	return format(v)
}

// Markdown writes the rows, with the column of the Java servers named as given.
func Markdown(zookeeper string, rows []Row) string {
	var w strings.Builder
	fmt.Fprintf(&w, "| workload | figure | %s | Quorate | ratio | target | met |\n|---|---|---|---|---|---|---|\n", zookeeper)
	for _, r := range rows {
		met := "**no**"
		switch {
		case r.Informative:
			met = ""
		case r.Met:
			met = "yes"
		}
		fmt.Fprintf(&w, "| %s | %s | %s | %s | %s | %s | %s |\n", r.What, r.Figure, r.ZooKeeper, r.Quorate, r.Ratio, r.Target, met)
	}
	return w.String()
}

// Median returns the middle one of the given figures, the higher of two, and 0
// of none.
func Median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}

// Count writes a whole number with separators.
func Count(v float64) string {
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Mebibytes writes a number of bytes.
func Mebibytes(v float64) string { return Count(v/(1<<20)) + " MiB" }

// Seconds writes a number of seconds.
func Seconds(v float64) string { return fmt.Sprintf("%.2f s", v) }

// Micros writes a number of microseconds.
func Micros(us float64) string {
	switch {
	case us >= 999_500:
		return Seconds(us / 1e6)
	case us >= 999.5:
		return fmt.Sprintf("%.3g ms", us/1000)
	}
	return fmt.Sprintf("%.3g us", us)
}
