package bench

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Workload is what the connections do.
type Workload string

// The workloads.
const (
	Get       Workload = "get"       // getData of random keys
	Set       Workload = "set"       // setData of random keys
	Create    Workload = "create"    // create persistent znodes
	Mixed     Workload = "mixed"     // getData and setData of random keys
	Ephemeral Workload = "ephemeral" // create and delete ephemeral znodes in turn
	Watch     Workload = "watch"     // one change at a time to a znode with many watchers
	// WatchPersistent is Watch with persistent watches, which need not be set
	// again after each event (ZooKeeper 3.6).
	WatchPersistent Workload = "watch-persistent"
	Connect         Workload = "connect" // open a session and close it
	Load            Workload = "load"    // create a given number of znodes
	// CheckpointTail sets keys of a big tree that was just loaded. It is
	// preceded by IdleTail, the same on a tree of a few keys.
	CheckpointTail Workload = "checkpoint-tail"
	IdleTail       Workload = "idle-tail"
)

// everyday are the workloads that "all" stands for. The others fill the server
// with a big tree and must be asked for by name.
var everyday = []Workload{Get, Set, Create, Mixed, Ephemeral, Watch, WatchPersistent, Connect}

// ParseWorkloads reads a comma-separated list; "all" stands for every workload
// that needs no big tree.
func ParseWorkloads(list string) ([]Workload, error) {
	var out []Workload
	for name := range strings.SplitSeq(list, ",") {
		w := Workload(strings.TrimSpace(name))
		switch {
		case w == "all":
			out = append(out, everyday...)
		case w == CheckpointTail:
			out = append(out, IdleTail, CheckpointTail)
		case w == Load || w == IdleTail || slices.Contains(everyday, w):
			out = append(out, w)
		default:
			return nil, fmt.Errorf("unknown workload %q (known: get, set, create, mixed, ephemeral, watch, watch-persistent, connect, load, checkpoint-tail, all)", string(w))
		}
	}
	return out, nil
}

// usesWindow reports whether requests in flight mean anything to the workload.
func (w Workload) usesWindow() bool { return w != Watch && w != WatchPersistent && w != Connect }

// Config says what to measure. Zero fields get the default named with them.
type Config struct {
	// Servers are the addresses (host:port) of one server or ensemble; the
	// connections are spread over them in turn. Default 127.0.0.1:2181.
	Servers []string
	// PIDs are the processes of these servers on this machine, if their CPU
	// time and memory are to be measured.
	PIDs []int
	// Against and AgainstPIDs, if given, are a second server or ensemble, run
	// in turns with the first.
	Against     []string
	AgainstPIDs []int
	// Rounds is how many times each workload runs on each side. Default 1,
	// and 3 with Against.
	Rounds int

	// Workloads to run, in order. Default get.
	Workloads []Workload
	// Connections is the number of sessions under load. Default 16.
	Connections int
	// InFlight lists how many requests each connection keeps unanswered; each
	// number is a run of its own. Default 16.
	InFlight []int
	// ValueBytes is the size of the data. Default 128; -1 means empty.
	ValueBytes int
	// Keys is how many znodes get, set and mixed spread over. Default 1,000.
	Keys int
	// Nodes is how many znodes load and checkpoint-tail create. Default
	// 1,000,000.
	Nodes int
	// Watchers is the number of sessions that watch the same znode. Default
	// 500.
	Watchers int
	// ReadPercent is the share of getData in mixed. Default 90; -1 means none.
	ReadPercent int
	// Duration is the length of the measured part. Default 10 s.
	Duration time.Duration
	// Ops, if positive, ends the measured part after so many operations in
	// all instead; Duration is then without meaning.
	Ops int64
	// Warmup runs before it, unmeasured. Default 2 s; negative means none.
	Warmup time.Duration

	// Dial holds the timeouts.
	Dial DialOptions
	// Threads is how many event loops drive the connections. Default half the
	// processors, so that the server has the others.
	Threads int
	// Keep leaves the znodes of load in place at the end, and everything else.
	Keep bool
	// Progress, if not nil, is told what is going on, a line at a time.
	Progress io.Writer

	driver    driver // nil: the cheapest of the system
	connector connector
}

func orDefault[T int | int64 | time.Duration](v *T, def T) {
	switch {
	case *v == 0:
		*v = def
	case *v < 0:
		*v = 0
	}
}

// withDefaults fills in what was left zero.
func (c Config) withDefaults() Config {
	if len(c.Servers) == 0 {
		c.Servers = []string{"127.0.0.1:2181"}
	}
	if len(c.Workloads) == 0 {
		c.Workloads = []Workload{Get}
	}
	if len(c.InFlight) == 0 {
		c.InFlight = []int{16}
	}
	rounds := 1
	if len(c.Against) > 0 {
		rounds = 3
	}
	orDefault(&c.Rounds, rounds)
	orDefault(&c.Connections, 16)
	orDefault(&c.ValueBytes, 128)
	orDefault(&c.Keys, 1000)
	orDefault(&c.Nodes, 1_000_000)
	orDefault(&c.Watchers, 500)
	orDefault(&c.ReadPercent, 90)
	orDefault(&c.Duration, 10*time.Second)
	orDefault(&c.Warmup, 2*time.Second)
	orDefault(&c.Threads, max(1, runtime.NumCPU()/2))
	c.Dial = c.Dial.withDefaults()
	if c.driver == nil {
		c.driver = defaultDriver
	}
	if c.connector == nil {
		c.connector = defaultConnector
	}
	if c.Progress == nil {
		c.Progress = io.Discard
	}
	return c
}

// valueBytesMax keeps a request under the 1 MiB that servers accept by default
// times a generous factor; larger ones need a raised jute.maxbuffer anyway.
const valueBytesMax = 16 << 20

// Validate reports everything that is wrong with c at once, after its defaults
// have been filled in.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(c.Connections > 0 && c.Connections <= 100_000, "connections must be 1 to 100,000, not %d", c.Connections)
	check(c.Watchers > 0 && c.Watchers <= 100_000, "watchers must be 1 to 100,000, not %d", c.Watchers)
	check(c.ValueBytes <= valueBytesMax, "value size must be at most %d bytes, not %d", valueBytesMax, c.ValueBytes)
	check(c.Keys > 0 && c.Keys <= keysMax, "keys must be 1 to %d, not %d", keysMax, c.Keys)
	check(c.Nodes > 0 && c.Nodes <= keysMax, "nodes must be 1 to %d, not %d", keysMax, c.Nodes)
	check(c.ReadPercent <= 100, "read percentage must be 0 to 100, not %d", c.ReadPercent)
	check(c.Ops > 0 || c.Duration > 0, "a duration or a number of operations is needed")
	check(c.Rounds > 0, "rounds must be positive")
	for _, n := range c.InFlight {
		check(n > 0 && n <= churnNames/2, "requests in flight must be 1 to %d, not %d", churnNames/2, n)
	}
	for _, a := range slices.Concat(c.Servers, c.Against) {
		check(strings.Contains(a, ":"), "%q is not host:port", a)
	}
	return errors.Join(errs...)
}
