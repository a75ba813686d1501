//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/quorate/quorate/internal/bench"
)

// bigTree is what one server does with many znodes.
type bigTree struct {
	Name string `json:"name"`
	// Load is the creation of the znodes.
	Load *bench.Result `json:"load"`
	// RSSBytes is the resident memory, and DiskBytes what the data directory
	// occupies, when the server has come to rest after loading; PeakBytes is
	// the most that was resident until then.
	RSSBytes  int64 `json:"rss_bytes"`
	PeakBytes int64 `json:"peak_rss_bytes"`
	DiskBytes int64 `json:"disk_bytes"`
	// Restarts are the seconds from starting the process after a SIGTERM until
	// the first answered read, Recoveries the same after kill -9, Stops the
	// seconds a SIGTERM took.
	Restarts   []float64 `json:"restart_seconds"`
	Recoveries []float64 `json:"recovery_seconds"`
	Stops      []float64 `json:"stop_seconds"`
	// RestartedRSSBytes is the resident memory after the last restart.
	RestartedRSSBytes int64 `json:"restarted_rss_bytes"`
	// Idle is setData on a small tree, Tail the same on the big one just after
	// it was loaded, while it is written out. Snapshots is how many snapshots
	// (checkpoints) the server finished meanwhile, -1 if it does not say.
	Idle      *bench.Result `json:"idle"`
	Tail      *bench.Result `json:"tail"`
	Snapshots int64         `json:"snapshots"`
}

// measureBig measures one server on fresh directories.
func measureBig(ctx context.Context, o options, c contender) (bigTree, error) {
	b := bigTree{Name: c.name}
	if err := b.size(ctx, o, c); err != nil {
		return b, err
	}
	return b, b.tail(ctx, o, c)
}

// config is the part that all runs on the big tree share.
func (o options) config(p *process, w ...bench.Workload) bench.Config {
	return bench.Config{
		Servers: []string{p.addr}, PIDs: []int{p.pid()}, Workloads: w, Nodes: o.nodes,
		Duration: o.duration, Warmup: o.warmup, Keep: true, Progress: o.Log,
	}
}

// size loads the tree and measures memory, disk and restarts.
func (b *bigTree) size(ctx context.Context, o options, c contender) error {
	p, err := c.start(ctx, "big")
	if err != nil {
		return err
	}
	defer func() { p.kill() }()
	if err := p.waitReady(ctx, ""); err != nil {
		return err
	}
	rep, err := bench.Run(ctx, o.config(p, bench.Load))
	if err != nil {
		return errors.Join(err, p.complaint())
	}
	b.Load = rep.Results[0]
	if err := b.atRest(ctx, p); err != nil {
		return err
	}
	path := bench.LoadedPath(rep.Root, o.nodes/2)
	for range o.restarts {
		if p, err = b.restart(ctx, o, p, path, false); err != nil {
			return err
		}
	}
	u, err := bench.ProcessUsage([]int{p.pid()})
	if err != nil {
		return err
	}
	b.RestartedRSSBytes = u.RSSBytes
	for range o.restarts {
		if p, err = b.restart(ctx, o, p, path, true); err != nil {
			return err
		}
	}
	return p.stop()
}

// atRest waits for background work to end and takes stock.
func (b *bigTree) atRest(ctx context.Context, p *process) error {
	if _, err := bench.WaitQuiet(ctx, []int{p.pid()}, 2*time.Minute); err != nil {
		return err
	}
	u, err := bench.ProcessUsage([]int{p.pid()})
	if err != nil {
		return err
	}
	b.RSSBytes, b.PeakBytes = u.RSSBytes, u.PeakBytes
	b.DiskBytes, err = diskBytes(p.dataDir)
	return err
}

// restart ends the server and times a new one until it answers a read.
func (b *bigTree) restart(ctx context.Context, o options, p *process, path string, killed bool) (*process, error) {
	begun := time.Now()
	if killed {
		p.kill()
	} else if err := p.stop(); err != nil {
		return p, err
	}
	stopped := time.Since(begun)
	next, err := p.start(ctx, "big")
	if err != nil {
		return p, err
	}
	if err := next.waitReady(ctx, path); err != nil {
		return next, err
	}
	took := time.Since(next.begun)
	if killed {
		b.Recoveries = append(b.Recoveries, took.Seconds())
	} else {
		b.Restarts = append(b.Restarts, took.Seconds())
		b.Stops = append(b.Stops, stopped.Seconds())
	}
	fmt.Fprintf(o.Log, "%s with %d znodes: stopped in %.2f s, answers after %.2f s\n", p.name, o.nodes, stopped.Seconds(), took.Seconds())
	_, err = bench.WaitQuiet(ctx, []int{next.pid()}, time.Minute)
	return next, err
}

// tailDuration is how much longer than other rows the tail is observed: a
// snapshot of a big tree takes seconds.
const tailDuration = 3

// tail measures setData while the tree is written out.
func (b *bigTree) tail(ctx context.Context, o options, c contender) error {
	p, err := c.start(ctx, "tail")
	if err != nil {
		return err
	}
	defer p.kill()
	if err := p.waitReady(ctx, ""); err != nil {
		return err
	}
	cfg := o.config(p, bench.IdleTail, bench.CheckpointTail)
	cfg.InFlight, cfg.Duration = []int{1}, tailDuration*o.duration
	before := snapshots(ctx, p.addr)
	rep, err := bench.Run(ctx, cfg)
	if err != nil {
		return errors.Join(err, p.complaint())
	}
	b.Idle, b.Tail, b.Snapshots = rep.Results[0], rep.Results[1], -1
	if after := snapshots(ctx, p.addr); before >= 0 && after >= 0 {
		b.Snapshots = after - before
	}
	return p.stop()
}

// snapshots asks the server how many snapshots it has finished; -1 if it does
// not say.
func snapshots(ctx context.Context, addr string) int64 {
	text, err := bench.FourLetterWord(ctx, addr, "mntr")
	if err != nil {
		return -1
	}
	return metric(text, "zk_cnt_snapshottime")
}

// metric finds a whole number in the answer of mntr; -1 if it is not there.
func metric(text, key string) int64 {
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if name != key {
			continue
		}
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			return n
		}
	}
	return -1
}
