//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/integration/ensemble"
	"github.com/quorate/quorate/internal/bench/table"
)

// TestMain lets the test's binary be a floor, as the command's can be.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-floor" {
		main()
		return
	}
	code := m.Run()
	integration.RemoveBuild()
	os.Exit(code)
}

func TestFlags(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"-only zookeeper -kills 0 -steady 0", ""},
		{"-only both", "-only is"},
		{"-nodes 0", "must be positive"},
		{"-big-kills -1", "negative"},
		{"more", "unexpected"},
	} {
		_, err := parseFlags(strings.Fields(c.args))
		if got := fmt.Sprint(err); c.want == "" && err != nil || !strings.Contains(got, c.want) {
			t.Errorf("%s: %v, want %q", c.args, err, c.want)
		}
	}
}

// cells returns the cells of the only row with a title and a figure that begin
// so.
func cells(t *testing.T, table, what, figure string) []string {
	t.Helper()
	var found []string
	for line := range strings.Lines(table) {
		all := strings.Split(strings.Trim(line, "|\n"), "|")
		for i := range all {
			all[i] = strings.TrimSpace(all[i])
		}
		if len(all) == 7 && all[0] == what && strings.HasPrefix(all[1], figure) {
			if found != nil {
				t.Fatalf("%s, %s is there twice", what, figure)
			}
			found = all[1:]
		}
	}
	if found == nil {
		t.Fatalf("%s, %s is not in\n%s", what, figure, table)
	}
	return found
}

func wantCells(t *testing.T, table, what, figure, want string) {
	t.Helper()
	if got := strings.Join(cells(t, table, what, figure), "|"); got != want {
		t.Errorf("%s\ngot  %s\nwant %s", what, got, want)
	}
}

func kills(seconds ...float64) (all []failover) {
	for _, s := range seconds {
		all = append(all, failover{Seconds: s})
	}
	return all
}

func TestTable(t *testing.T) {
	o := options{java: "3.8", nodes: 1_000_000, failover: true, steady: time.Minute}
	f := findings{Failover: both[[]failover]{kills(0.2, 0.1, 0.5), kills(0.9, 0.6, 0.8)}}
	f.Big = both[*bigTree]{
		&bigTree{Kills: kills(0.3, 0.2, 0.1), Restarts: []restart{{Seconds: 0.2}}, Snap: &snapSync{Leader: sideOfLoad{GapMs: 99}, Snapshots: 1}},
		&bigTree{Kills: kills(2), Restarts: []restart{{Seconds: 4}}, Snap: &snapSync{Leader: sideOfLoad{GapMs: 1980}, Snapshots: 1, LeaderChanged: true}},
	}
	text := f.table(o)
	wantCells(t, text, killed, "median", "median of 3|0.80 s|0.20 s|0.250|at most 0.333 x|yes")
	wantCells(t, text, killed, "worst", "worst of 3|0.90 s|0.50 s|0.556|at most 0.333 x|**no**")
	wantCells(t, text, killed+", 1,000,000 znodes", "worst", "worst of 3, ZooKeeper of 1|2.00 s|0.30 s|0.150|at most 0.333 x|yes")
	wantCells(t, text, killed+", 1,000,000 znodes", "median, times", "median, times the small tree's|2.50|1.00|||")
	wantCells(t, text, "restart of a follower with 1,000,000 znodes", "process", "process start to the first answered read|4.00 s|0.20 s|0.050|at most 0.1 x|yes")
	const steady = "60 s of steady writes while an emptied follower is sent 1,000,000 znodes"
	wantCells(t, text, steady, "longest", "longest without an acknowledged write, clients of the leader|1.98 s|99 ms|0.050|Quorate under 100 ms|yes")
	wantCells(t, text, steady, "snapshots", "snapshots sent|1, and the leader changed|1|||")
	f.Big.Quorate.Snap.Snapshots = 0
	if got := cells(t, f.table(o), steady, "longest"); got[5] != "**no**" {
		t.Errorf("met without a snapshot: %q", got)
	}
	f.Failover.Quorate[0].SessionLost = true
	wantCells(t, f.table(o), killed, "sessions lost", "sessions lost|0|1||none|**no**")
}

// The longest gap counts from the beginning of the load to its end.
func TestGaps(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		acks     []time.Duration
		gap, at0 float64
	}{
		{nil, 100, 0},
		{[]time.Duration{90 * ms}, 90, 0},
		{[]time.Duration{10 * ms}, 90, 0.01},
		{[]time.Duration{70 * ms, 10 * ms, 20 * ms}, 50, 0.02}, // of several clients
	} {
		s := (&writers{acks: c.acks}).sum(100 * ms)
		if s.GapMs != c.gap || s.GapAt != c.at0 || s.Writes != len(c.acks) {
			t.Errorf("%v: %+v", c.acks, s)
		}
	}
	w := &writers{acks: []time.Duration{10 * ms, 60 * ms, 65 * ms, 99 * ms}}
	if gap, at := w.longestGap(40*ms, 80*ms); gap != 20 || at != 0.04 {
		t.Errorf("%v ms at %v s", gap, at)
	}
}

// Everything runs on small ensembles, and leaves neither files nor processes
// behind.
func TestFigures(t *testing.T) {
	spec := ensemble.Spec{Voters: []ensemble.Kind{integration.ZooKeeper38}}
	integration.NeedPeer(t, "Debian's ZooKeeper", spec.Available())
	dir := t.TempDir()
	var text, log strings.Builder
	o := options{
		java: string(integration.ZooKeeper38), small: true, failover: true, big: true, rounds: 1, duration: 100 * time.Millisecond,
		warmup: time.Millisecond, kills: 1, nodes: 1500, restarts: 1, bigKills: 1, javaBig: 1, steady: time.Second, rate: 50,
		settle: time.Second,
		Output: table.Output{Dir: dir, Markdown: &text, Log: &log, JSON: filepath.Join(t.TempDir(), "figures")},
	}
	err := run(t.Context(), o)
	t.Log("\n" + log.String() + text.String())
	if err != nil {
		t.Fatal(err)
	}
	least := "a program that only passes on and syncs, in the place of Quorate: "
	for _, f := range []struct{ title, figure string }{{"setData, 15 x 16", "operations/s"}, {"setData, 1 in flight, 15 clients", "p99"}} {
		positive(t, text.String(), f.title, least+f.figure)
	}
	for _, w := range wants() {
		for _, figure := range []string{"operations/s", "p50"} {
			if figure == "operations/s" && w.Throughput != nil || figure == "p50" && w.P50 != nil {
				positive(t, text.String(), w.Title, figure)
			}
		}
	}
	positive(t, text.String(), killed, "median of 1")
	positive(t, text.String(), killed+", 1,500 znodes", "worst of 1")
	positive(t, text.String(), "restart of a follower with 1,500 znodes", "process start")
	positive(t, text.String(), "1 s of steady writes while an emptied follower is sent 1,500 znodes", "longest")
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if b, err := os.ReadFile(o.JSON); err != nil || !strings.Contains(string(b), `"longest_gap_ms"`) {
		t.Errorf("figures: %v", err)
	}
}

// positive wants both sides to have a figure.
func positive(t *testing.T, table, what, figure string) {
	t.Helper()
	for _, v := range cells(t, table, what, figure)[1:3] {
		if v == "" || strings.HasPrefix(v, "0 ") || v == "0" {
			t.Errorf("%s, %s: %q", what, figure, v)
		}
	}
}
