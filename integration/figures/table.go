//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/internal/bench/table"
)

// describeMachine says where and what is measured.
func describeMachine(ctx context.Context, o options) (table.Machine, error) {
	m := table.DescribeMachine(ctx, "scripts/compare-ensemble.sh")
	bin, err := integration.QuorateBinary()
	if err != nil {
		return m, err
	}
	m.Versions = []string{table.FirstLine(ctx, bin, "version"), o.zookeeper(), table.FirstLine(ctx, "java", "-version")}
	return m, nil
}

func (o options) zookeeper() string { return "ZooKeeper " + o.java }

// table writes everything as Markdown.
func (f *findings) table(o options) string {
	var w strings.Builder
	fmt.Fprintf(&w, "%v. Ensembles of %d servers, all on this machine and its one disk, with tickTime 2000, 128-byte values and default JVM settings.\n",
		f.Machine, servers)
	fmt.Fprintf(&w, "Workloads with both ensembles up, in turns, %d rounds of %v each; all else with one ensemble at a time.\n", o.rounds, o.duration)
	fmt.Fprintf(&w, "`%s`; %s.\n\n", f.Machine.Command, strings.Join(f.Machine.Versions, "; "))
	w.WriteString(table.Markdown(o.zookeeper(), slices.Concat(f.workloadRows(), f.failoverRows(o), f.bigRows(o))))
	return w.String()
}

// workloadRows leaves what has no target to the JSON.
func (f *findings) workloadRows() []table.Row {
	if f.Workloads == nil {
		return nil
	}
	var out []table.Row
	for _, w := range wants() {
		rows := slices.DeleteFunc(w.Rows(f.Workloads), func(r table.Row) bool { return r.Informative })
		out = append(append(out, rows...), f.floorRows(w)...)
	}
	return out
}

// floorRows tell what servers reach that do nothing but what a write needs, where that was measured: the figures that
// have a target.
func (f *findings) floorRows(w table.Want) []table.Row {
	if f.Floor == nil {
		return nil
	}
	least, z := w.Find(f.Floor.Results), w.Find(f.Workloads.Against)
	if least == nil || z == nil {
		return nil
	}
	row := func(figure string, least, z float64, format func(float64) string) table.Row {
		return table.Compare(w.Title, "a program that only passes on and syncs, in the place of Quorate: "+figure, nil, least, z, format)
	}
	var out []table.Row
	if w.Throughput != nil {
		out = append(out, row("operations/s", least.Throughput, z.Throughput, table.Count))
	}
	if w.P50 != nil {
		out = append(out, row("p50", least.Latency.P50, z.Latency.P50, table.Micros))
	}
	if w.P99 != nil {
		out = append(out, row("p99", least.Latency.P99, z.Latency.P99, table.Micros))
	}
	return append(out, table.Failures(w.Title, least, z)...)
}

const killed = "kill -9 of the leader to the first acknowledged write on a survivor"

func (f *findings) failoverRows(o options) []table.Row {
	if !o.failover {
		return nil
	}
	return killRows(killed, f.Failover.Quorate, f.Failover.ZooKeeper)
}

// killRows compares median and worst. The sides may have had different numbers
// of kills.
func killRows(what string, q, z []failover) []table.Row {
	of := fmt.Sprintf("of %d", max(len(q), len(z)))
	if len(z) != len(q) && len(q) > 0 && len(z) > 0 {
		of = fmt.Sprintf("of %d, ZooKeeper of %d", len(q), len(z))
	}
	third := table.AtMost(1.0 / 3)
	qMedian, qWorst := longest(q)
	zMedian, zWorst := longest(z)
	out := []table.Row{
		table.Compare(what, "median "+of, third, qMedian, zMedian, table.Seconds),
		table.Compare(what, "worst "+of, third, qWorst, zWorst, table.Seconds),
	}
	if lost := [2]int{sessionsLost(q), sessionsLost(z)}; lost != [2]int{} {
		out = append(out, table.Row{What: what, Figure: "sessions lost", Quorate: fmt.Sprint(lost[0]), ZooKeeper: fmt.Sprint(lost[1]), Target: "none", Met: lost[0] == 0})
	}
	return out
}

func sessionsLost(all []failover) (n int) {
	for _, f := range all {
		if f.SessionLost {
			n++
		}
	}
	return n
}

func (f *findings) bigRows(o options) []table.Row {
	q, z := f.Big.Quorate, f.Big.ZooKeeper
	if q == nil && z == nil {
		return nil
	}
	q, z = orEmpty(q), orEmpty(z)
	tree := table.Count(float64(o.nodes)) + " znodes"
	what := killed + ", " + tree
	out := killRows(what, q.Kills, z.Kills)
	if o.failover {
		out = append(out, timesSmall(what, f.Failover, both[[]failover]{q.Kills, z.Kills}))
	}
	loaded := func(b *bigTree) float64 {
		if b.Load == nil {
			return 0
		}
		return b.Load.Throughput
	}
	out = append(out,
		table.Compare("restart of a follower with "+tree, "process start to the first answered read", table.AtMost(1.0/10), restarted(q), restarted(z), table.Seconds),
		table.Compare(tree+" created, 15 x 16", "operations/s", nil, loaded(q), loaded(z), table.Count),
		table.Compare(tree+" created, 15 x 16", "resident, all servers", nil, float64(q.RSSBytes), float64(z.RSSBytes), table.Mebibytes))
	return append(out, snapRows(o, tree, q.Snap, z.Snap)...)
}

func orEmpty(b *bigTree) *bigTree {
	if b == nil {
		return &bigTree{}
	}
	return b
}

// timesSmall shows whether a kill lasts longer with more data.
func timesSmall(what string, small, big both[[]failover]) table.Row {
	times := func(small, big []failover) string {
		s, _ := longest(small)
		b, _ := longest(big)
		if s == 0 || b == 0 {
			return ""
		}
		return fmt.Sprintf("%.2f", b/s)
	}
	return table.Row{
		What: what, Figure: "median, times the small tree's", Informative: true,
		Quorate: times(small.Quorate, big.Quorate), ZooKeeper: times(small.ZooKeeper, big.ZooKeeper),
	}
}

func restarted(b *bigTree) float64 {
	var all []float64
	for _, r := range b.Restarts {
		all = append(all, r.Seconds)
	}
	return table.Median(all)
}

// gapMsMax is the target for the longest time without an acknowledged write.
const gapMsMax = 100

// snapRows tells what clients noticed of a snapshot. Figures of a follower that
// was synchronized otherwise, or of a leader that was lost, prove nothing.
func snapRows(o options, tree string, q, z *snapSync) []table.Row {
	if q == nil && z == nil {
		return nil
	}
	what := fmt.Sprintf("%.0f s of steady writes while an emptied follower is sent %s", o.steady.Seconds(), tree)
	line := func(figure string, informative bool, value func(*snapSync) float64, format func(float64) string) table.Row {
		of := func(s *snapSync) float64 {
			if s == nil {
				return 0
			}
			return value(s)
		}
		r := table.Compare(what, figure, nil, of(q), of(z), format)
		if !informative {
			r.Informative, r.Target = false, fmt.Sprintf("Quorate under %d ms", gapMsMax)
			r.Met = q != nil && q.Leader.GapMs < gapMsMax && q.Snapshots > 0 && !q.LeaderChanged
		}
		return r
	}
	ms := func(v float64) string { return table.Micros(v * 1000) }
	out := []table.Row{
		line("longest without an acknowledged write, clients of the leader", false, func(s *snapSync) float64 { return s.Leader.GapMs }, ms),
		line("the same until the follower served", true, func(s *snapSync) float64 { return s.Leader.AwayGapMs }, ms),
		line("the longest of all, clients of the other follower", true, func(s *snapSync) float64 { return s.Other.GapMs }, ms),
		line("the follower's start to its first answered read", true, func(s *snapSync) float64 { return s.Served - s.Started }, table.Seconds),
	}
	sent := table.Row{What: what, Figure: "snapshots sent", Quorate: sent(q), ZooKeeper: sent(z), Informative: true}
	return append(out, sent)
}

func sent(s *snapSync) string {
	switch {
	case s == nil:
		return ""
	case s.LeaderChanged:
		return fmt.Sprintf("%d, and the leader changed", s.Snapshots)
	}
	return fmt.Sprint(s.Snapshots)
}
