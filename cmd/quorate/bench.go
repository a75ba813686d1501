package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/quorate/quorate/internal/bench"
)

const benchLong = `Measures the throughput, the latency and the CPU cost of a ZooKeeper or
Quorate server, or compares two of them.

Workloads:
  get             getData of random keys
  set             setData of random keys
  create          create persistent znodes
  mixed           getData and setData of random keys (see --read-percent)
  ephemeral       create and delete ephemeral znodes in turn
  watch           change one znode that many sessions watch, one change at a time;
                  counts notifications, after each of which the watch is set again
  watch-persistent the same with persistent watches
  connect         open a session and close it
  load            create --nodes znodes
  checkpoint-tail set random keys of a tree of --nodes znodes that was just
                  loaded; the row idle-tail before it is the same on a small tree
  all             all of these but load and checkpoint-tail

Everything is created below /quorate-bench-<random> and removed at the end.`

const benchExample = `  quorate bench
  quorate bench --workload all --in-flight 16,1 --pid $(pidof quorate)
  quorate bench --workload get,set --servers 127.0.0.1:2181 --pid 4711 \
      --against 127.0.0.1:2182 --against-pid 4712`

// benchFlags are the flags as they were given; config turns them into what
// package bench takes.
type benchFlags struct {
	cfg       bench.Config
	workloads string
	json      bool
	value     int
	reads     int
	warmup    time.Duration
}

// newBenchCmd returns the load generator's command.
func newBenchCmd() *cobra.Command {
	var f benchFlags
	var cfg bench.Config
	cmd := &cobra.Command{
		Use:     "bench [flags]",
		Short:   "Measure a server under load, or compare two",
		Long:    benchLong,
		Example: benchExample,
		// The flags are parsed as the arguments are checked, so that -against
		// works as well as --against and a bad one is still a usage error.
		DisableFlagParsing: true,
		Args: func(cmd *cobra.Command, args []string) (err error) {
			cfg, err = f.parse(cmd.Flags(), args)
			return err
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg.Progress = cmd.ErrOrStderr()
			return runBench(cmd.Context(), cfg, f.json, cmd.OutOrStdout())
		},
	}
	f.define(cmd.Flags())
	return cmd
}

// define declares every flag.
func (f *benchFlags) define(fs *pflag.FlagSet) {
	c := &f.cfg
	fs.StringSliceVar(&c.Servers, "servers", []string{"127.0.0.1:2181"}, "servers of one ensemble, host:port; the connections are spread over them")
	fs.IntSliceVar(&c.PIDs, "pid", nil, "process ids of these servers, to measure their CPU time and memory")
	fs.StringSliceVar(&c.Against, "against", nil, "second server or ensemble, run in turns with the first")
	fs.IntSliceVar(&c.AgainstPIDs, "against-pid", nil, "process ids of the second")
	fs.IntVar(&c.Rounds, "rounds", 0, "times each workload runs on each side (default 1, with --against 3)")
	fs.StringVarP(&f.workloads, "workload", "w", "get", "workloads, comma-separated, or all")
	fs.IntVarP(&c.Connections, "connections", "c", 16, "sessions under load")
	fs.IntSliceVar(&c.InFlight, "in-flight", []int{16}, "unanswered requests per connection; each number given is a run")
	fs.IntVar(&f.value, "value-size", 128, "bytes of data")
	fs.IntVar(&c.Keys, "keys", 1000, "znodes that get, set and mixed spread over")
	fs.IntVar(&c.Nodes, "nodes", 1_000_000, "znodes that load and checkpoint-tail create")
	fs.IntVar(&c.Watchers, "watchers", 500, "sessions that watch the same znode")
	fs.IntVar(&f.reads, "read-percent", 90, "share of reads in mixed")
	fs.DurationVarP(&c.Duration, "duration", "d", 10*time.Second, "length of the measured part")
	fs.Int64Var(&c.Ops, "ops", 0, "end the measured part after so many operations instead")
	fs.DurationVar(&f.warmup, "warmup", 2*time.Second, "unmeasured load before it")
	fs.DurationVar(&c.Dial.SessionTimeout, "session-timeout", 30*time.Second, "session timeout to ask for")
	fs.DurationVar(&c.Dial.ReplyTimeout, "reply-timeout", 30*time.Second, "give up when an answer takes longer")
	fs.IntVar(&c.Threads, "threads", 0, "event loops of the generator (default half the processors)")
	fs.BoolVar(&c.Keep, "keep", false, "leave what was created in place")
	fs.BoolVar(&f.json, "json", false, "print the report as JSON")
}

// parse reads the command line. Package bench takes 0 as "default", so a 0 that
// was given becomes its "none".
func (f *benchFlags) parse(fs *pflag.FlagSet, args []string) (bench.Config, error) {
	if err := fs.Parse(doubleDashes(fs, args)); err != nil {
		return bench.Config{}, err
	}
	if help, err := fs.GetBool("help"); err == nil && help {
		return bench.Config{}, pflag.ErrHelp // cobra prints the help for this
	}
	if fs.NArg() > 0 {
		return bench.Config{}, fmt.Errorf("unexpected argument %q (workloads are named with --workload)", fs.Arg(0))
	}
	c := f.cfg
	c.ValueBytes, c.ReadPercent, c.Warmup = noneIfZero(f.value), noneIfZero(f.reads), noneIfZero(f.warmup)
	for _, n := range []*int{&c.Connections, &c.Keys, &c.Nodes, &c.Watchers} {
		*n = noneIfZero(*n)
	}
	c.Duration = noneIfZero(c.Duration)
	var err error
	if c.Workloads, err = bench.ParseWorkloads(f.workloads); err != nil {
		return c, err
	}
	return c, c.Validate()
}

func noneIfZero[T int | time.Duration](v T) T {
	if v == 0 {
		return -1
	}
	return v
}

// runBench measures and prints. What was measured before a failure or Ctrl-C is
// printed too.
func runBench(ctx context.Context, c bench.Config, asJSON bool, out io.Writer) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait for the cleanup
	rep, err := bench.Run(ctx, c)
	if rep == nil || len(rep.Results) == 0 {
		return err
	}
	write := rep.WriteText
	if asJSON {
		write = rep.WriteJSON
	}
	return errors.Join(err, write(out))
}

// doubleDashes rewrites -name and -name=value to their two-dash form where name
// is a long flag.
func doubleDashes(fs *pflag.FlagSet, args []string) []string {
	out := make([]string, len(args))
	for i, arg := range args {
		out[i] = arg
		name, _, _ := strings.Cut(strings.TrimPrefix(arg, "-"), "=")
		if strings.HasPrefix(arg, "-") && len(name) > 1 && fs.Lookup(name) != nil {
			out[i] = "-" + arg
		}
	}
	return out
}
