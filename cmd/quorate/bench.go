package main

import (
	"context"
	"errors"
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
  watch           change one znode that many sessions watch; counts notifications
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
	cmd := &cobra.Command{
		Use:     "bench [flags]",
		Short:   "Measure a server under load, or compare two",
		Long:    benchLong,
		Example: benchExample,
		// Flags are parsed here so that -against works as well as --against.
		DisableFlagParsing: true,
		SilenceUsage:       true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cmd.Flags().Parse(doubleDashes(cmd.Flags(), args)); err != nil {
				if errors.Is(err, pflag.ErrHelp) {
					return cmd.Help()
				}
				return err
			}
			if cmd.Flags().NArg() > 0 {
				return errors.New("unexpected argument " + cmd.Flags().Arg(0) + " (workloads are named with --workload)")
			}
			return f.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
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

// config fills in what pflag cannot store directly: package bench takes 0 as
// "default", so a 0 that was given becomes its "none".
func (f *benchFlags) config(progress io.Writer) (bench.Config, error) {
	c := f.cfg
	c.Progress = progress
	c.ValueBytes, c.ReadPercent, c.Warmup = noneIfZero(f.value), noneIfZero(f.reads), noneIfZero(f.warmup)
	for _, n := range []*int{&c.Connections, &c.Keys, &c.Nodes, &c.Watchers} {
		*n = noneIfZero(*n)
	}
	c.Duration = noneIfZero(c.Duration)
	var err error
	c.Workloads, err = bench.ParseWorkloads(f.workloads)
	return c, err
}

func noneIfZero[T int | time.Duration](v T) T {
	if v == 0 {
		return -1
	}
	return v
}

func (f *benchFlags) run(ctx context.Context, out, progress io.Writer) error {
	c, err := f.config(progress)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait for the cleanup
	rep, err := bench.Run(ctx, c)
	if rep == nil {
		return err
	}
	write := rep.WriteText
	if f.json {
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
