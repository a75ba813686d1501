package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// WriteJSON writes the report as one indented JSON object.
func (rep *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(rep)
}

// WriteText writes the report as tables.
func (rep *Report) WriteText(w io.Writer) error {
	if err := writeTable(w, rep.Results); err != nil || len(rep.Against) == 0 {
		return err
	}
	fmt.Fprintln(w)
	if err := writeTable(w, rep.Against); err != nil {
		return err
	}
	fmt.Fprintln(w)
	return writeRatios(w, rep.Results[0].Servers, rep.Against[0].Servers, rep.Ratios)
}

func newTable(w io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
}

// row writes cells; every cell of an AlignRight table ends in a tab.
func row(w io.Writer, cells ...string) { fmt.Fprintln(w, strings.Join(cells, "\t")+"\t") }

func writeTable(w io.Writer, results []*Result) error {
	if len(results) == 0 {
		return nil
	}
	fmt.Fprintf(w, "%s\n", strings.Join(results[0].Servers, ","))
	t := newTable(w)
	row(t, "workload", "conns", "in flight", "ops/s", "p50", "p90", "p99", "p99.9", "max", "server CPU/op", "server RSS", "own CPU/op", "errors")
	for _, r := range results {
		l := r.Latency
		row(t, string(r.Workload), strconv.Itoa(r.Connections), window(r.InFlight), thousands(r.Throughput),
			duration(l.P50), duration(l.P90), duration(l.P99), duration(l.P999), duration(l.Max),
			optional(r.ServerCPU, duration), optional(r.RSSBytes, bytesOf), optional(r.GeneratorCPU, duration), errorList(r.Errors))
	}
	return t.Flush()
}

func writeRatios(w io.Writer, a, b []string, ratios []Ratio) error {
	fmt.Fprintf(w, "%s divided by %s, median of the rounds [lowest, highest]\n", strings.Join(a, ","), strings.Join(b, ","))
	t := newTable(w)
	row(t, "workload", "in flight", "ops/s", "p50", "p99", "p99.9", "server CPU/op")
	for _, r := range ratios {
		row(t, string(r.Workload), window(r.InFlight), r.Throughput.String(), r.P50.String(), r.P99.String(),
			r.P999.String(), optional(r.ServerCPU, Spread.String))
	}
	return t.Flush()
}

// String writes the median with the lowest and highest figure.
func (s Spread) String() string { return fmt.Sprintf("%.2f [%.2f, %.2f]", s.Median, s.Min, s.Max) }

func window(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

func windowNote(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" with %d in flight", n)
}

// optional writes a figure that may not have been measured.
func optional[T any](v *T, format func(T) string) string {
	if v == nil {
		return "n/a"
	}
	return format(*v)
}

// duration writes microseconds with three digits and a unit.
func duration(us float64) string {
	switch {
	case us >= 999_500:
		return digits(us/1e6) + " s"
	case us >= 999.5:
		return digits(us/1e3) + " ms"
	default:
		return digits(us) + " us"
	}
}

// digits keeps three significant ones of numbers below 1000.
func digits(v float64) string {
	switch {
	case v >= 99.95:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
}

// thousands writes a whole number with separators.
func thousands(v float64) string {
	s := strconv.FormatInt(int64(v+0.5), 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func bytesOf(n int64) string { return strconv.FormatInt(n>>20, 10) + " MiB" }

// errorList writes the counts by name, the most frequent first.
func errorList(errs map[string]int64) string {
	if len(errs) == 0 {
		return "0"
	}
	names := make([]string, 0, len(errs))
	for name := range errs {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if errs[a] != errs[b] {
			return int(errs[b] - errs[a])
		}
		return strings.Compare(a, b)
	})
	for i, name := range names {
		names[i] = fmt.Sprintf("%d %s", errs[name], name)
	}
	return strings.Join(names, ", ")
}
