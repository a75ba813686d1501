package table

import (
	"fmt"
	"slices"

	"github.com/quorate/quorate/internal/bench"
)

// Want is what is asked of one workload; a nil bound asks for nothing.
type Want struct {
	Workload bench.Workload
	// Connections, if not 0, tells apart runs of the same workload.
	Connections int
	InFlight    int
	Title       string
	Throughput  *Bound
	P50, P99    *Bound
	CPU         *Bound
	// CPUFigure names the CPU time; empty is that of one server.
	CPUFigure string
}

// measures tells whether a result is of this workload.
func (w Want) measures(r *bench.Result) bool {
	return r.Workload == w.Workload && r.InFlight == w.InFlight && (w.Connections == 0 || r.Connections == w.Connections)
}

// Find returns the result of this workload, nil if there is none.
func (w Want) Find(all []*bench.Result) *bench.Result {
	if i := slices.IndexFunc(all, w.measures); i >= 0 {
		return all[i]
	}
	return nil
}

// Rows compares every figure of the workload on both sides, if the report has
// it.
func (w Want) Rows(rep *bench.Report) []Row {
	var out []Row
	for i, r := range rep.Ratios {
		if w.measures(rep.Results[i]) {
			out = append(out, w.rows(rep.Results[i], rep.Against[i], r)...)
		}
	}
	return out
}

func (w Want) rows(q, z *bench.Result, r bench.Ratio) []Row {
	line := func(figure string, b *Bound, spread bench.Spread, zk, quorate string) Row {
		row := Row{What: w.Title, Figure: figure, ZooKeeper: zk, Quorate: quorate, Ratio: spread.String(), Informative: b == nil}
		if b != nil {
			row.Target, row.Met = b.String(), b.Met(spread.Median)
		}
		return row
	}
	out := []Row{
		line("operations/s", w.Throughput, r.Throughput, Count(z.Throughput), Count(q.Throughput)),
		line("p50", w.P50, r.P50, Micros(z.Latency.P50), Micros(q.Latency.P50)),
		line("p99", w.P99, r.P99, Micros(z.Latency.P99), Micros(q.Latency.P99)),
	}
	if r.ServerCPU != nil && z.ServerCPU != nil && q.ServerCPU != nil {
		figure := w.CPUFigure
		if figure == "" {
			figure = "server CPU per operation"
		}
		out = append(out, line(figure, w.CPU, *r.ServerCPU, Micros(*z.ServerCPU), Micros(*q.ServerCPU)))
	}
	return append(out, Failures(w.Title, q, z)...)
}

// Failures is a row only when something failed: figures of a run with errors
// prove nothing.
func Failures(title string, q, z *bench.Result) []Row {
	if len(q.Errors) == 0 && len(z.Errors) == 0 {
		return nil
	}
	return []Row{{What: title, Figure: "errors", ZooKeeper: fmt.Sprint(z.Errors), Quorate: fmt.Sprint(q.Errors), Target: "none"}}
}
