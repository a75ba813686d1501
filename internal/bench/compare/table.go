//go:build linux

package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/quorate/quorate/internal/bench"
	"github.com/quorate/quorate/internal/bench/table"
)

// describeMachine says where and what is measured.
func describeMachine(ctx context.Context, sides []contender) table.Machine {
	m := table.DescribeMachine(ctx, "go run ./internal/bench/compare")
	m.Versions = []string{table.FirstLine(ctx, sides[0].command[0], "version"), table.FirstLine(ctx, sides[1].command[0], "-version")}
	return m
}

// wants are the targets of the workloads on the small tree.
func wants() []table.Want {
	atLeast, atMost := table.AtLeast, table.AtMost
	lower := atMost(1)
	return []table.Want{
		{Workload: bench.Get, InFlight: 16, Title: "getData, 16 in flight", Throughput: atLeast(6), CPU: atMost(1.0 / 8)},
		{Workload: bench.Set, InFlight: 16, Title: "setData, 16 in flight", Throughput: atLeast(4), CPU: atMost(1.0 / 5)},
		{Workload: bench.Create, InFlight: 16, Title: "create, 16 in flight", Throughput: atLeast(4), CPU: atMost(1.0 / 5)},
		{Workload: bench.Mixed, InFlight: 16, Title: "90/10 mixed, 16 in flight", Throughput: atLeast(5)},
		{Workload: bench.Get, InFlight: 1, Title: "getData, 1 in flight", Throughput: atLeast(2.5), P50: lower, P99: lower, CPU: atMost(1.0 / 3)},
		{Workload: bench.Set, InFlight: 1, Title: "setData, 1 in flight", Throughput: atLeast(1.4), P50: lower, P99: lower, CPU: atMost(1.0 / 2)},
		{Workload: bench.Watch, Title: "one change to 500 watchers (notifications)", Throughput: atLeast(8)},
		{Workload: bench.WatchPersistent, Title: "the same, persistent watches"},
		{Workload: bench.Connect, Title: "open a session, close it", Throughput: atLeast(8)},
	}
}

// table writes everything as Markdown.
func (f *findings) table(o options) string {
	var w strings.Builder
	fmt.Fprintf(&w, "%v. 128-byte values, 1,000 keys, 16 connections, both servers standalone on the same disk, in turns: %d rounds of %v each.\n",
		f.Machine, o.rounds, o.duration)
	fmt.Fprintf(&w, "`%s`; %s.\n\n", f.Machine.Command, strings.Join(f.Machine.Versions, "; "))
	w.WriteString(table.Markdown("ZooKeeper", append(f.smallRows(), f.bigRows(o)...)))
	return w.String()
}

func (f *findings) smallRows() []table.Row {
	if f.Small == nil {
		return nil
	}
	var out []table.Row
	for _, w := range wants() {
		out = append(out, w.Rows(f.Small)...)
		out = append(out, f.floorRows(w)...)
	}
	return out
}

// floorRows tell what a server that only answers reaches, if that was measured.
func (f *findings) floorRows(w table.Want) []table.Row {
	if f.Floor == nil {
		return nil
	}
	least, z := w.Find(f.Floor.Results), w.Find(f.Small.Against)
	if least == nil || z == nil {
		return nil
	}
	r := table.Compare(w.Title, "operations/s of a program that answers and keeps nothing, in the place of Quorate", nil, least.Throughput, z.Throughput, table.Count)
	return append([]table.Row{r}, table.Failures(w.Title, least, z)...)
}

func (f *findings) bigRows(o options) []table.Row {
	if len(f.Big) != 2 {
		return nil
	}
	q, z := f.Big[0], f.Big[1]
	title := fmt.Sprintf("%s znodes of 128 bytes", table.Count(float64(o.nodes)))
	line := func(figure string, b *table.Bound, quorate, zk float64, format func(float64) string) table.Row {
		return table.Compare(title, figure, b, quorate, zk, format)
	}
	median := table.Median
	out := []table.Row{
		line("loading, creates/s", nil, q.Load.Throughput, z.Load.Throughput, table.Count),
		line("resident after loading", table.AtMost(1.0/4), float64(q.RSSBytes), float64(z.RSSBytes), table.Mebibytes),
		line("resident at most", nil, float64(q.PeakBytes), float64(z.PeakBytes), table.Mebibytes),
		line("on disk", table.AtMost(1.0/3), float64(q.DiskBytes), float64(z.DiskBytes), table.Mebibytes),
		line("restart until the first answered read", table.AtMost(1.0/20), median(q.Restarts), median(z.Restarts), table.Seconds),
		line("the same after kill -9", nil, median(q.Recoveries), median(z.Recoveries), table.Seconds),
		line("stopping on SIGTERM", nil, median(q.Stops), median(z.Stops), table.Seconds),
		line("resident after a restart", nil, float64(q.RestartedRSSBytes), float64(z.RestartedRSSBytes), table.Mebibytes),
	}
	out = append(out, table.Failures(title, q.Load, z.Load)...)
	return append(out, tailRows(title, q, z)...)
}

// tailRows compares each server with itself at rest: the target is about what
// writing the tree out does to the requests.
func tailRows(title string, q, z bigTree) []table.Row {
	slowdown := func(b bigTree) float64 {
		if b.Idle.Latency.P999 <= 0 {
			return 0
		}
		return b.Tail.Latency.P999 / b.Idle.Latency.P999
	}
	twice := table.AtMost(2)
	note := func(b bigTree) string {
		if b.Snapshots < 0 {
			return "not told"
		}
		return fmt.Sprint(b.Snapshots)
	}
	out := []table.Row{
		{Figure: "p99.9 on a small tree", ZooKeeper: table.Micros(z.Idle.Latency.P999), Quorate: table.Micros(q.Idle.Latency.P999), Informative: true},
		{Figure: "p99.9", ZooKeeper: table.Micros(z.Tail.Latency.P999), Quorate: table.Micros(q.Tail.Latency.P999), Informative: true},
		{
			Figure: "times the small tree's", ZooKeeper: fmt.Sprintf("%.2f", slowdown(z)), Quorate: fmt.Sprintf("%.2f", slowdown(q)),
			Target: "Quorate " + twice.String(), Met: twice.Met(slowdown(q)),
		},
		{Figure: "longest", ZooKeeper: table.Micros(z.Tail.Latency.Max), Quorate: table.Micros(q.Tail.Latency.Max), Informative: true},
		{Figure: "operations/s", ZooKeeper: table.Count(z.Tail.Throughput), Quorate: table.Count(q.Tail.Throughput), Informative: true},
		{Figure: "snapshots finished meanwhile", ZooKeeper: note(z), Quorate: note(q), Informative: true},
	}
	for i := range out {
		out[i].What = "setData, 1 in flight, while " + title + " are checkpointed"
	}
	return out
}
