//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/quorate/quorate/internal/bench"
)

// machine is what the figures depend on.
type machine struct {
	CPU        string   `json:"cpu"`
	Processors int      `json:"processors"`
	Kernel     string   `json:"kernel"`
	Date       string   `json:"date"`
	Command    string   `json:"command"`
	Versions   []string `json:"versions"`
}

// describeMachine says where and what is measured; what it cannot find out it
// leaves empty.
func describeMachine(ctx context.Context, sides []contender) machine {
	m := machine{Processors: runtime.NumCPU(), Date: time.Now().UTC().Format("2006-01-02 15:04 UTC"), Command: "go run ./internal/bench/compare"}
	for _, arg := range os.Args[1:] {
		m.Command += " " + arg
	}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if _, model, ok := strings.Cut(line, ": "); ok && strings.HasPrefix(line, "model name") {
				m.CPU = strings.TrimSpace(model)
			}
		}
	}
	m.Kernel = firstLine(ctx, "uname", "-sr")
	m.Versions = append(m.Versions, firstLine(ctx, sides[0].command[0], "version"), firstLine(ctx, sides[1].command[0], "-version"))
	return m
}

func firstLine(ctx context.Context, name string, args ...string) string {
	out, _ := exec.CommandContext(ctx, name, args...).CombinedOutput()
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

// goal is one line of the table.
type goal struct {
	what, target string
	quorate, zk  string
	ratio        string
	met          bool
	informative  bool // there is no target
}

// bound is a target for a ratio: at least or at most a number.
type bound struct {
	atMost bool
	value  float64
}

func atLeast(v float64) bound { return bound{false, v} }
func atMost(v float64) bound  { return bound{true, v} }

func (b bound) met(v float64) bool {
	if v <= 0 {
		return false // not measured
	}
	return b.atMost && v <= b.value || !b.atMost && v >= b.value
}

func (b bound) String() string {
	if b.atMost {
		return fmt.Sprintf("at most %.3g x", b.value)
	}
	return fmt.Sprintf("at least %.3g x", b.value)
}

// want is a target of one workload on the small tree; a nil bound asks for
// nothing.
type want struct {
	workload   bench.Workload
	inFlight   int
	title      string
	throughput *bound
	p50, p99   *bound
	cpu        *bound
}

func wants() []want {
	b := func(b bound) *bound { return &b }
	lower := b(atMost(1))
	return []want{
		{bench.Get, 16, "getData, 16 in flight", b(atLeast(6)), nil, nil, b(atMost(1.0 / 8))},
		{bench.Set, 16, "setData, 16 in flight", b(atLeast(4)), nil, nil, b(atMost(1.0 / 5))},
		{bench.Create, 16, "create, 16 in flight", b(atLeast(4)), nil, nil, b(atMost(1.0 / 5))},
		{bench.Mixed, 16, "90/10 mixed, 16 in flight", b(atLeast(5)), nil, nil, nil},
		{bench.Get, 1, "getData, 1 in flight", b(atLeast(2.5)), lower, lower, b(atMost(1.0 / 3))},
		{bench.Set, 1, "setData, 1 in flight", b(atLeast(1.4)), lower, lower, b(atMost(1.0 / 2))},
		{bench.Watch, 0, "one change to 500 watchers (notifications)", b(atLeast(8)), nil, nil, nil},
		{bench.WatchPersistent, 0, "the same, persistent watches", nil, nil, nil, nil},
		{bench.Connect, 0, "open a session, close it", b(atLeast(8)), nil, nil, nil},
	}
}

// table writes everything as Markdown.
func (f *findings) table(o options) string {
	var w strings.Builder
	fmt.Fprintf(&w, "%s, %d processors, %s; %s. 128-byte values, 1,000 keys, 16 connections, both servers standalone on the same disk, in turns: %d rounds of %v each.\n",
		f.Machine.CPU, f.Machine.Processors, f.Machine.Kernel, f.Machine.Date, o.rounds, o.duration)
	fmt.Fprintf(&w, "`%s`; %s.\n\n", f.Machine.Command, strings.Join(f.Machine.Versions, "; "))
	w.WriteString("| workload | figure | ZooKeeper | Quorate | Quorate / ZooKeeper | target | met |\n|---|---|---|---|---|---|---|\n")
	for _, g := range append(f.smallGoals(), f.bigGoals(o)...) {
		met := "**no**"
		switch {
		case g.informative:
			met = ""
		case g.met:
			met = "yes"
		}
		what, figure, _ := strings.Cut(g.what, "|")
		fmt.Fprintf(&w, "| %s | %s | %s | %s | %s | %s | %s |\n", what, figure, g.zk, g.quorate, g.ratio, g.target, met)
	}
	return w.String()
}

func (f *findings) smallGoals() []goal {
	if f.Small == nil {
		return nil
	}
	var out []goal
	for _, w := range wants() {
		for i, r := range f.Small.Ratios {
			if r.Workload == w.workload && r.InFlight == w.inFlight {
				out = append(out, w.goals(f.Small.Results[i], f.Small.Against[i], r)...)
			}
		}
	}
	return out
}

// goals compares every figure of one workload.
func (w want) goals(q, z *bench.Result, r bench.Ratio) []goal {
	line := func(figure string, b *bound, spread bench.Spread, zk, quorate string) goal {
		g := goal{what: w.title + "|" + figure, zk: zk, quorate: quorate, ratio: spread.String(), informative: b == nil}
		if b != nil {
			g.target, g.met = b.String(), b.met(spread.Median)
		}
		return g
	}
	out := []goal{
		line("operations/s", w.throughput, r.Throughput, count(z.Throughput), count(q.Throughput)),
		line("p50", w.p50, r.P50, micros(z.Latency.P50), micros(q.Latency.P50)),
		line("p99", w.p99, r.P99, micros(z.Latency.P99), micros(q.Latency.P99)),
	}
	if r.ServerCPU != nil && z.ServerCPU != nil && q.ServerCPU != nil {
		out = append(out, line("server CPU per operation", w.cpu, *r.ServerCPU, micros(*z.ServerCPU), micros(*q.ServerCPU)))
	}
	return append(out, failuresOf(w.title, q, z)...)
}

// failuresOf is a line only when something failed: figures of a run with errors
// prove nothing.
func failuresOf(title string, q, z *bench.Result) []goal {
	if len(q.Errors) == 0 && len(z.Errors) == 0 {
		return nil
	}
	return []goal{{what: title + "|errors", zk: fmt.Sprint(z.Errors), quorate: fmt.Sprint(q.Errors), target: "none"}}
}

func (f *findings) bigGoals(o options) []goal {
	if len(f.Big) != 2 {
		return nil
	}
	q, z := f.Big[0], f.Big[1]
	title := fmt.Sprintf("%s znodes of 128 bytes", count(float64(o.nodes)))
	line := func(figure string, b *bound, quorate, zk float64, format func(float64) string) goal {
		g := goal{what: title + "|" + figure, zk: format(zk), quorate: format(quorate), informative: b == nil}
		ratio := 0.0
		if zk > 0 {
			ratio = quorate / zk
			g.ratio = fmt.Sprintf("%.3f", ratio)
		}
		if b != nil {
			g.target, g.met = b.String(), b.met(ratio)
		}
		return g
	}
	quarter, third, twentieth := atMost(1.0/4), atMost(1.0/3), atMost(1.0/20)
	out := []goal{
		line("loading, creates/s", nil, q.Load.Throughput, z.Load.Throughput, count),
		line("resident after loading", &quarter, float64(q.RSSBytes), float64(z.RSSBytes), mebibytes),
		line("resident at most", nil, float64(q.PeakBytes), float64(z.PeakBytes), mebibytes),
		line("on disk", &third, float64(q.DiskBytes), float64(z.DiskBytes), mebibytes),
		line("restart until the first answered read", &twentieth, median(q.Restarts), median(z.Restarts), seconds),
		line("the same after kill -9", nil, median(q.Recoveries), median(z.Recoveries), seconds),
		line("stopping on SIGTERM", nil, median(q.Stops), median(z.Stops), seconds),
		line("resident after a restart", nil, float64(q.RestartedRSSBytes), float64(z.RestartedRSSBytes), mebibytes),
	}
	out = append(out, failuresOf(title, q.Load, z.Load)...)
	return append(out, tailGoals(title, q, z)...)
}

// tailGoals compares each server with itself at rest: the target is about what
// writing the tree out does to the requests.
func tailGoals(title string, q, z bigTree) []goal {
	slowdown := func(b bigTree) float64 {
		if b.Idle.Latency.P999 <= 0 {
			return 0
		}
		return b.Tail.Latency.P999 / b.Idle.Latency.P999
	}
	twice := atMost(2)
	what := "setData, 1 in flight, while " + title + " are checkpointed"
	note := func(b bigTree) string {
		if b.Snapshots < 0 {
			return "not told"
		}
		return fmt.Sprint(b.Snapshots)
	}
	return []goal{
		{what: what + "|p99.9 on a small tree", zk: micros(z.Idle.Latency.P999), quorate: micros(q.Idle.Latency.P999), informative: true},
		{what: what + "|p99.9", zk: micros(z.Tail.Latency.P999), quorate: micros(q.Tail.Latency.P999), informative: true},
		{
			what: what + "|times the small tree's", zk: fmt.Sprintf("%.2f", slowdown(z)), quorate: fmt.Sprintf("%.2f", slowdown(q)),
			target: "Quorate " + twice.String(), met: twice.met(slowdown(q)),
		},
		{what: what + "|longest", zk: micros(z.Tail.Latency.Max), quorate: micros(q.Tail.Latency.Max), informative: true},
		{what: what + "|operations/s", zk: count(z.Tail.Throughput), quorate: count(q.Tail.Throughput), informative: true},
		{what: what + "|snapshots finished meanwhile", zk: note(z), quorate: note(q), informative: true},
	}
}

func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}

// count writes a whole number with separators.
func count(v float64) string {
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func mebibytes(v float64) string { return count(v/(1<<20)) + " MiB" }

func seconds(v float64) string { return fmt.Sprintf("%.2f s", v) }

func micros(us float64) string {
	if us >= 1000 {
		return fmt.Sprintf("%.3g ms", us/1000)
	}
	return fmt.Sprintf("%.3g us", us)
}
