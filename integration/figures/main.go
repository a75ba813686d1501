//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/integration/ensemble"
	"github.com/quorate/quorate/internal/bench"
	"github.com/quorate/quorate/internal/bench/floor"
	"github.com/quorate/quorate/internal/bench/table"
)

// options are the command line.
type options struct {
	table.Output
	java     string
	only     string
	floor    string // the zoo.cfg to be a floor of; see package floor
	small    bool
	rounds   int
	duration time.Duration
	warmup   time.Duration
	failover bool
	kills    int
	pause    time.Duration
	big      bool
	nodes    int
	restarts int
	bigKills int
	javaBig  int
	steady   time.Duration
	rate     int
	settle   time.Duration // how long an ensemble gets to come to rest after a start
}

func parseFlags(args []string) (options, error) {
	o := options{settle: 10 * time.Second, Output: table.Output{Markdown: os.Stdout, Log: os.Stderr}}
	fs := flag.NewFlagSet("figures", flag.ContinueOnError)
	fs.StringVar(&o.java, "java", string(integration.ZooKeeper38), "release of the Java servers: "+fmt.Sprint(ensemble.Releases))
	fs.StringVar(&o.only, "only", "", "measure one ensemble alone, quorate or zookeeper; without the workloads, for which there is quorate bench")
	o.Flags(fs)
	fs.StringVar(&o.floor, "floor", "", "serve by this zoo.cfg as the least that a member can do, and measure nothing")
	fs.BoolVar(&o.small, "small", true, "measure the workloads on a small tree, both ensembles in turns")
	fs.IntVar(&o.rounds, "rounds", 3, "times each workload runs on each ensemble")
	fs.DurationVar(&o.duration, "duration", 5*time.Second, "length of a measured part")
	fs.DurationVar(&o.warmup, "warmup", 2*time.Second, "unmeasured load before it")
	fs.BoolVar(&o.failover, "failover", true, "kill leaders of ensembles with a small tree")
	fs.IntVar(&o.kills, "kills", 20, "how many")
	fs.DurationVar(&o.pause, "reconnect-pause", 0, "longest random pause of their client before it connects again; ZooKeeper's client for Java has 1s")
	fs.BoolVar(&o.big, "big", true, "measure a big tree: restarts of a follower, kills of leaders, a snapshot under load")
	fs.IntVar(&o.nodes, "nodes", 1_000_000, "znodes of the big tree")
	fs.IntVar(&o.restarts, "restarts", 3, "restarts of a follower with the big tree")
	fs.IntVar(&o.bigKills, "big-kills", 20, "leaders of Quorate killed with the big tree")
	fs.IntVar(&o.javaBig, "java-big-kills", 5, "the same of ZooKeeper, which takes longer to be whole again")
	fs.DurationVar(&o.steady, "steady", time.Minute, "length of the steady load during which a follower is sent a snapshot; 0 leaves it out")
	fs.IntVar(&o.rate, "rate", 200, "writes a second on each of two servers in that time")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	return o, o.validate(fs.Args())
}

// validate reports everything that is wrong.
func (o options) validate(rest []string) error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(len(rest) == 0, "unexpected arguments %q", rest)
	check(o.only == "" || o.only == "quorate" || o.only == "zookeeper", "-only is quorate or zookeeper, not %q", o.only)
	check(o.rounds > 0 && o.nodes > 0 && o.rate > 0, "rounds, nodes and rate must be positive")
	check(o.kills >= 0 && o.bigKills >= 0 && o.javaBig >= 0 && o.restarts >= 0, "a number of kills or restarts is negative")
	check(o.duration > 0 && o.steady >= 0 && o.pause >= 0, "a duration is negative")
	return errors.Join(errs...)
}

func main() {
	o, err := parseFlags(os.Args[1:])
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "figures:", err)
		}
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	if o.floor != "" {
		err = floor.Serve(ctx, o.floor)
	} else {
		err = run(ctx, o)
	}
	stop()
	integration.RemoveBuild()
	if err != nil {
		fmt.Fprintln(os.Stderr, "figures:", err)
		os.Exit(1)
	}
}

// both holds something of either ensemble; what was not measured is zero.
type both[T any] struct {
	Quorate   T `json:"quorate"`
	ZooKeeper T `json:"zookeeper"`
}

func (b *both[T]) set(s side, v T) {
	if s.kind.Java() {
		b.ZooKeeper = v
	} else {
		b.Quorate = v
	}
}

// findings is everything that was measured.
type findings struct {
	Machine   table.Machine    `json:"machine"`
	Workloads *bench.Report    `json:"workloads,omitempty"`
	Floor     *bench.Report    `json:"floor,omitempty"`
	Failover  both[[]failover] `json:"failover"`
	Big       both[*bigTree]   `json:"big"`
}

// side is one of the two ensembles: how to start it and where.
type side struct {
	kind     ensemble.Kind
	dir      string
	bigKills int
}

// settings are the same for both: those of ZooKeeper's sample, no limit on
// connections, and the four-letter words. What ensembles of tests have beyond
// that is taken away.
var settings = integration.Options{
	"tickTime": "2000", "initLimit": "10", "syncLimit": "5",
	"minSessionTimeout": "", "maxSessionTimeout": "", "preAllocSize": "",
	"DigestAuthenticationProvider.superDigest": "",
}

// servers is how many an ensemble has.
const servers = 3

// start starts an ensemble on fresh directories, and returns when it serves.
func (s side) start(name string) (*ensemble.Ensemble, error) {
	syscall.Sync() // nobody waits for what others have left to the disk
	spec := ensemble.Spec{Options: settings, DefaultJVM: true}
	for range servers {
		spec.Voters = append(spec.Voters, s.kind)
	}
	e, err := ensemble.New(filepath.Join(s.dir, name), spec)
	if err != nil {
		return nil, err
	}
	if err := e.Start(); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

// warn tells what must never be in a server's log, and is: the figures may be
// those of half a server.
func (o options) warn(e *ensemble.Ensemble) {
	if err := e.Check(); err != nil {
		fmt.Fprintln(o.Log, "WARNING:", err)
	}
}

// sides returns Quorate and ZooKeeper, in this order, or only one.
func (o options) sides(dir string) []side {
	quorate := side{kind: integration.Quorate, dir: filepath.Join(dir, "q"), bigKills: o.bigKills}
	zookeeper := side{kind: ensemble.Kind(o.java), dir: filepath.Join(dir, "z"), bigKills: o.javaBig}
	switch o.only {
	case "quorate":
		return []side{quorate}
	case "zookeeper":
		return []side{zookeeper}
	}
	return []side{quorate, zookeeper}
}

// run measures and publishes, also what there is when something fails.
func run(ctx context.Context, o options) error {
	return o.InDirectory("quorate-figures-", func(dir string) (err error) {
		var f findings
		if f.Machine, err = describeMachine(ctx, o); err != nil {
			return err
		}
		err = f.measure(ctx, o, o.sides(dir), filepath.Join(dir, "f"))
		return errors.Join(err, o.Publish(f.table(o), f))
	})
}

// measure runs every part that is asked for.
func (f *findings) measure(ctx context.Context, o options, sides []side, floorDir string) (err error) {
	if o.small && len(sides) == 2 {
		if f.Workloads, err = measureWorkloads(ctx, o, sides); err != nil {
			return err
		}
		if f.Floor, err = measureFloor(ctx, o, floorDir); err != nil {
			return err
		}
	}
	for _, s := range sides {
		if !o.failover {
			break
		}
		all, err := measureFailover(ctx, o, s)
		f.Failover.set(s, all)
		if err != nil {
			return fmt.Errorf("%s, small tree: %w", s.kind, err)
		}
	}
	for _, s := range sides {
		if !o.big {
			break
		}
		b, err := measureBig(ctx, o, s)
		f.Big.set(s, b)
		if err != nil {
			return fmt.Errorf("%s, big tree: %w", s.kind, err)
		}
	}
	return nil
}
