//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/internal/bench"
	"github.com/quorate/quorate/internal/bench/table"
)

// TestMain lets the test's binary be the floor, as the command's can be.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-floor" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestMetric(t *testing.T) {
	text := "zk_version\t3.8.0\nzk_cnt_snapshottime\t7\nzk_max_snapshottime\t9\nzk_bad\tx\n"
	for key, want := range map[string]int64{"zk_cnt_snapshottime": 7, "zk_max_snapshottime": 9, "zk_bad": -1, "zk_cnt": -1} {
		if got := metric(text, key); got != want {
			t.Errorf("%s is %d, want %d", key, got, want)
		}
	}
}

// row returns the cells of the table's only line that starts with the two given.
func row(t *testing.T, table, what, figure string) []string {
	t.Helper()
	var found []string
	for line := range strings.Lines(table) {
		if rest, ok := strings.CutPrefix(line, "| "+what+" | "+figure+" | "); ok {
			if found != nil {
				t.Fatalf("%s, %s is there twice", what, figure)
			}
			found = strings.Split(strings.TrimSuffix(strings.TrimSpace(rest), " |"), " | ")
		}
	}
	if found == nil {
		t.Fatalf("%s, %s is not in\n%s", what, figure, table)
	}
	return found
}

func smallReport() *bench.Report {
	cpuQ, cpuZ := 2.0, 20.0
	q := &bench.Result{Workload: bench.Get, InFlight: 16, Throughput: 700_000, Latency: bench.Latency{P50: 300, P99: 900}, ServerCPU: &cpuQ}
	z := &bench.Result{Workload: bench.Get, InFlight: 16, Throughput: 100_000, Latency: bench.Latency{P50: 2500, P99: 9000}, ServerCPU: &cpuZ}
	return &bench.Report{
		Results: []*bench.Result{q}, Against: []*bench.Result{z},
		Ratios: []bench.Ratio{{
			Workload: bench.Get, InFlight: 16, Throughput: bench.Spread{Median: 7, Min: 6, Max: 8},
			P50: bench.Spread{Median: 0.12}, P99: bench.Spread{Median: 0.1}, ServerCPU: &bench.Spread{Median: 0.13},
		}},
	}
}

func TestTableOfWorkloads(t *testing.T) {
	f := findings{Small: smallReport()}
	table := f.table(options{rounds: 3, duration: time.Second})
	got := fmt.Sprintf("%q", row(t, table, "getData, 16 in flight", "operations/s"))
	if want := `["100,000" "700,000" "7.00 [6.00, 8.00]" "at least 6 x" "yes"]`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if cells := row(t, table, "getData, 16 in flight", "server CPU per operation"); cells[4] != "**no**" {
		t.Errorf("a ratio of 0.13 meets a target of 0.125: %q", cells)
	}
	f.Small.Results[0].Errors = map[string]int64{"NoNode": 3}
	if cells := row(t, f.table(options{}), "getData, 16 in flight", "errors"); cells[1] != "map[NoNode:3]" || cells[4] != "**no**" {
		t.Errorf("errors: %q", cells)
	}
}

func TestTableOfBigTree(t *testing.T) {
	res := func(p999 float64) *bench.Result {
		return &bench.Result{Throughput: 1000, Latency: bench.Latency{P999: p999}}
	}
	q := bigTree{
		Name: "Quorate", Load: res(1), RSSBytes: 200 << 20, DiskBytes: 1 << 30, Restarts: []float64{0.3, 0.1, 0.2},
		Idle: res(100), Tail: res(250), Snapshots: -1,
	}
	z := bigTree{Name: "ZooKeeper", Load: res(1), RSSBytes: 1000 << 20, DiskBytes: 2 << 30, Restarts: []float64{10}, Idle: res(100), Tail: res(100), Snapshots: 2}
	f := findings{Big: []bigTree{q, z}}
	table := f.table(options{nodes: 1_000_000})
	const tree = "1,000,000 znodes of 128 bytes"
	for figure, want := range map[string]string{
		"resident after loading":                `["1,000 MiB" "200 MiB" "0.200" "at most 0.25 x" "yes"]`,
		"on disk":                               `["2,048 MiB" "1,024 MiB" "0.500" "at most 0.333 x" "**no**"]`,
		"restart until the first answered read": `["10.00 s" "0.20 s" "0.020" "at most 0.05 x" "yes"]`,
	} {
		if got := fmt.Sprintf("%q", row(t, table, tree, figure)); got != want {
			t.Errorf("%s: got  %s\nwant %s", figure, got, want)
		}
	}
	cells := row(t, table, "setData, 1 in flight, while "+tree+" are checkpointed", "times the small tree's")
	if cells[0] != "1.00" || cells[1] != "2.50" || cells[4] != "**no**" {
		t.Errorf("tail: %q", cells)
	}
}

// A server that ends at once is reported with what it printed.
func TestServerThatDoesNotStart(t *testing.T) {
	c := contender{name: "broken", command: []string{"sh", "-c", "echo no such luck; exit 3"}, dir: t.TempDir(), log: io.Discard}
	p, err := c.start(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	defer p.kill()
	err = p.waitReady(t.Context(), "")
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "no such luck") {
		t.Errorf("error %v", err)
	}
}

func TestDiskBytesCountsWhatIsOccupied(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "full"), make([]byte, 100_000), 0o600); err != nil {
		t.Fatal(err)
	}
	sparse, err := os.Create(filepath.Join(dir, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(sparse.Truncate(1<<30), sparse.Close()); err != nil {
		t.Fatal(err)
	}
	if n, err := diskBytes(dir); err != nil || n >= 1<<30 {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// The whole comparison runs with a ZooKeeper on both sides, and leaves neither
// files nor processes behind.
func TestCompareZooKeeperWithItself(t *testing.T) {
	const classpath = "/etc/zookeeper/conf_example:/usr/share/java/zookeeper.jar"
	_, noJava := exec.LookPath("java")
	_, noJar := os.Stat("/usr/share/java/zookeeper.jar")
	if err := errors.Join(noJava, noJar); err != nil {
		if os.Getenv("QUORATE_INTEROP") == "required" {
			t.Fatal("Debian's ZooKeeper is required: ", err)
		}
		t.Skip("Debian's ZooKeeper is not installed: ", err)
	}
	dir := t.TempDir()
	script := filepath.Join(t.TempDir(), "quorate")
	text := "#!/bin/sh\n[ \"$1\" = version ] && exec echo stand-in\nexec java -cp " + classpath + " org.apache.zookeeper.server.quorum.QuorumPeerMain \"$2\"\n"
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	var written, log strings.Builder
	o := options{
		quorate: script, classpath: classpath, rounds: 1, duration: 300 * time.Millisecond, warmup: time.Millisecond,
		nodes: 1500, restarts: 1, small: true, big: true,
		Output: table.Output{Dir: dir, Markdown: &written, Log: &log, JSON: filepath.Join(t.TempDir(), "figures")},
	}
	if err := run(t.Context(), o); err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	for _, w := range wants() {
		if cells := row(t, written.String(), w.Title, "operations/s"); cells[0] == "0" || cells[1] == "0" {
			t.Errorf("%s: %q", w.Title, cells)
		}
	}
	row(t, written.String(), "1,500 znodes of 128 bytes", "restart until the first answered read")
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if b, err := os.ReadFile(o.JSON); err != nil || !strings.Contains(string(b), `"restart_seconds"`) {
		t.Errorf("figures: %v", err)
	}
}

func TestFloorRows(t *testing.T) {
	f := findings{
		Small: &bench.Report{Against: []*bench.Result{{Workload: bench.Connect, Throughput: 5000}}},
		Floor: &bench.Report{Results: []*bench.Result{{Workload: bench.Connect, Throughput: 20_000}}},
	}
	rows := f.floorRows(table.Want{Workload: bench.Connect})
	if len(rows) != 1 || rows[0].Quorate != "20,000" || rows[0].Ratio != "4.000" || !rows[0].Informative {
		t.Errorf("%+v", rows)
	}
	if rows := f.floorRows(table.Want{Workload: bench.Get, InFlight: 16}); rows != nil {
		t.Errorf("what was not measured has rows: %+v", rows)
	}
}
