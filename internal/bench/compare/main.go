//go:build linux

// Command compare measures Quorate against Apache ZooKeeper on this machine and
// prints the table of targets and measured figures as Markdown. It starts both
// servers itself, standalone, each with a data directory of its own on the same
// disk, and stops them again. It needs Debian's packages zookeeper and a Java
// runtime.
//
//	go run ./internal/bench/compare [flags]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/quorate/quorate/internal/bench"
	"github.com/quorate/quorate/internal/bench/floor"
	"github.com/quorate/quorate/internal/bench/table"
)

// options are the command line.
type options struct {
	table.Output
	quorate   string
	classpath string
	rounds    int
	duration  time.Duration
	warmup    time.Duration
	nodes     int
	restarts  int
	small     bool
	big       bool
	floor     string // the zoo.cfg to be the floor of; see package floor
}

func parseFlags(args []string) (options, error) {
	o := options{Output: table.Output{Markdown: os.Stdout, Log: os.Stderr}}
	fs := flag.NewFlagSet("compare", flag.ContinueOnError)
	fs.StringVar(&o.quorate, "quorate", "", "binary to measure (default: build ./cmd/quorate)")
	fs.StringVar(&o.classpath, "classpath", "/etc/zookeeper/conf_example:/usr/share/java/zookeeper.jar", "class path of ZooKeeper")
	o.Flags(fs)
	fs.IntVar(&o.rounds, "rounds", 3, "times each workload runs on each server")
	fs.DurationVar(&o.duration, "duration", 10*time.Second, "length of a measured part")
	fs.DurationVar(&o.warmup, "warmup", 3*time.Second, "unmeasured load before it")
	fs.IntVar(&o.nodes, "nodes", 1_000_000, "znodes of the big tree")
	fs.IntVar(&o.restarts, "restarts", 3, "restarts with the big tree")
	fs.BoolVar(&o.small, "small", true, "measure the workloads on a small tree")
	fs.BoolVar(&o.big, "big", true, "measure the big tree")
	fs.StringVar(&o.floor, "floor", "", "serve at the clientPort of this zoo.cfg as the least that a server can do, and measure nothing")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	return o, nil
}

func main() {
	o, err := parseFlags(os.Args[1:])
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "compare:", err)
		}
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if o.floor != "" {
		err = floor.Serve(ctx, o.floor)
	} else {
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// findings is everything that was measured.
type findings struct {
	Machine table.Machine `json:"machine"`
	Small   *bench.Report `json:"small,omitempty"`
	Floor   *bench.Report `json:"floor,omitempty"`
	Big     []bigTree     `json:"big,omitempty"` // Quorate, ZooKeeper
}

func run(ctx context.Context, o options) error {
	return o.InDirectory("quorate-compare-", func(dir string) error { return runIn(ctx, o, dir) })
}

func runIn(ctx context.Context, o options, dir string) error {
	sides, err := contenders(ctx, o, dir)
	if err != nil {
		return err
	}
	f := findings{Machine: describeMachine(ctx, sides)}
	if o.small {
		if f.Small, err = measureSmall(ctx, o, sides); err != nil {
			return err
		}
		if f.Floor, err = measureFloor(ctx, o, dir); err != nil {
			return err
		}
	}
	if o.big {
		for _, s := range sides {
			b, err := measureBig(ctx, o, s)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			f.Big = append(f.Big, b)
		}
	}
	return o.Publish(f.table(o), f)
}

// contenders returns Quorate and ZooKeeper, in this order.
func contenders(ctx context.Context, o options, dir string) ([]contender, error) {
	if o.quorate == "" {
		o.quorate = filepath.Join(dir, "quorate")
		build := exec.CommandContext(ctx, "go", "build", "-o", o.quorate, "github.com/quorate/quorate/cmd/quorate")
		build.Stdout, build.Stderr = o.Log, o.Log
		if err := build.Run(); err != nil {
			return nil, fmt.Errorf("building cmd/quorate: %w", err)
		}
	}
	java, err := exec.LookPath("java")
	if err != nil {
		return nil, fmt.Errorf("a Java runtime is needed: %w", err)
	}
	zookeeper := []string{java, "-cp", o.classpath, "org.apache.zookeeper.server.quorum.QuorumPeerMain"}
	return []contender{
		{name: "Quorate", command: []string{o.quorate, "server"}, dir: filepath.Join(dir, "q"), log: o.Log},
		{name: "ZooKeeper", command: zookeeper, dir: filepath.Join(dir, "z"), log: o.Log},
	}, nil
}

// measureFloor runs what the kernel and the generator decide on the floor.
func measureFloor(ctx context.Context, o options, dir string) (*bench.Report, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p, err := contender{name: "the floor", command: []string{self, "-floor"}, dir: filepath.Join(dir, "f"), log: o.Log}.start(ctx, "small")
	if err != nil {
		return nil, err
	}
	defer p.kill()
	if err := p.waitReady(ctx, ""); err != nil {
		return nil, err
	}
	rep, err := bench.Run(ctx, bench.Config{
		Workloads: []bench.Workload{bench.Watch, bench.WatchPersistent, bench.Connect}, Servers: []string{p.addr}, PIDs: []int{p.pid()},
		Rounds: o.rounds, Duration: o.duration, Warmup: o.warmup, Progress: o.Log,
	})
	return rep, errors.Join(err, p.stop())
}

// measureSmall runs the workloads on both servers in turns.
func measureSmall(ctx context.Context, o options, sides []contender) (*bench.Report, error) {
	var running []*process
	for _, s := range sides {
		p, err := s.start(ctx, "small")
		if err != nil {
			return nil, err
		}
		defer p.kill()
		if err := p.waitReady(ctx, ""); err != nil {
			return nil, err
		}
		running = append(running, p)
	}
	all := &bench.Report{}
	for _, c := range []bench.Config{
		{Workloads: []bench.Workload{bench.Get, bench.Set, bench.Mixed, bench.Create}, InFlight: []int{16}},
		{Workloads: []bench.Workload{bench.Get, bench.Set}, InFlight: []int{1}},
		{Workloads: []bench.Workload{bench.Watch, bench.WatchPersistent, bench.Connect}},
	} {
		c.Servers, c.PIDs = []string{running[0].addr}, []int{running[0].pid()}
		c.Against, c.AgainstPIDs = []string{running[1].addr}, []int{running[1].pid()}
		c.Rounds, c.Duration, c.Warmup, c.Progress = o.rounds, o.duration, o.warmup, o.Log
		rep, err := bench.Run(ctx, c)
		if err != nil {
			return nil, errors.Join(err, running[0].complaint(), running[1].complaint())
		}
		all.Results = append(all.Results, rep.Results...)
		all.Against = append(all.Against, rep.Against...)
		all.Ratios = append(all.Ratios, rep.Ratios...)
	}
	return all, errors.Join(running[0].stop(), running[1].stop())
}
