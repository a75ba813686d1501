package bench

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quorate/quorate/wire"
)

// cleanupTimeout bounds the removal of what a run has created.
const cleanupTimeout = 15 * time.Minute

// spec is one row of a report.
type spec struct {
	workload Workload
	inFlight int
}

// side is one server or ensemble.
type side struct {
	servers []string
	pids    []int
}

func (s side) server(i int) string { return s.servers[i%len(s.servers)] }

// bench runs specs on sides.
type bench struct {
	Config
	root  string // parent of everything
	value []byte
	pids  []int // of all sides
}

func newBench(c Config) *bench {
	var id [6]byte
	_, _ = rand.Read(id[:]) // never fails
	b := &bench{
		Config: c, root: "/quorate-bench-" + hex.EncodeToString(id[:]),
		value: make([]byte, c.ValueBytes), pids: slices.Concat(c.PIDs, c.AgainstPIDs),
	}
	for i := range b.value {
		b.value[i] = byte('a' + i%26)
	}
	return b
}

func (b *bench) say(format string, args ...any) { fmt.Fprintf(b.Progress, format+"\n", args...) }

// prefix returns the parent of everything one workload creates.
func (b *bench) prefix(w Workload) string { return b.root + "/" + string(w) }

// prepare creates what the workload finds on the server when it starts.
func (b *bench) prepare(ctx context.Context, on side, w Workload) error {
	s, err := Dial(ctx, on.server(0), b.Dial)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.create(b.root); err != nil {
		return err
	}
	t := tree{b.prefix(w)}
	switch w {
	case Get, Set, Mixed, IdleTail:
		return s.createTree(t, b.Keys, b.value)
	case Ephemeral:
		return s.createParents(t, b.Connections)
	case Watch, WatchPersistent:
		return s.createTree(t, 1, b.value)
	default:
		return s.create(t.prefix)
	}
}

// cleanup removes the given path and all below it, even when the run was
// cancelled.
func (b *bench) cleanup(ctx context.Context, on side, path string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if err := removeTree(ctx, on.server(0), path, b.Dial); err != nil {
		return fmt.Errorf("%s could not be removed: %w", path, err)
	}
	return nil
}

// one prepares, runs and cleans up one row on one side.
func (b *bench) one(ctx context.Context, on side, s spec) (res *Result, err error) {
	defer func() {
		if b.Keep || errors.Is(err, ErrRefused) {
			return
		}
		err = errors.Join(err, b.cleanup(ctx, on, b.prefix(s.workload)))
	}()
	if err := b.prepare(ctx, on, s.workload); err != nil {
		return nil, err
	}
	if err := b.settle(ctx); err != nil {
		return nil, err
	}
	switch s.workload {
	case Watch, WatchPersistent:
		return b.watch(ctx, on, s)
	case Connect:
		return b.connect(ctx, on)
	default:
		return b.pipelined(ctx, on, s)
	}
}

// open starts n sessions, spread over the servers, each having seen all that
// was prepared.
func (b *bench) open(ctx context.Context, on side, n, window int, make func(i int) script) ([]*lane, error) {
	lanes := []*lane(nil)
	for i := range n {
		s, err := Dial(ctx, on.server(i), b.Dial)
		if err == nil {
			_, _, err = s.Call(wire.OpSync, wire.AppendString(nil, b.root))
		}
		if err != nil {
			closeLanes(lanes, b.Dial.ReplyTimeout)
			return nil, fmt.Errorf("session %d of %d: %w", i+1, n, err)
		}
		lanes = append(lanes, newLane(s.addr, s.conn, make(i), window, b.frameBytes()))
	}
	return lanes, nil
}

// frameBytes bounds the replies a lane accepts: data, Stat, path, headers.
func (b *bench) frameBytes() int { return b.ValueBytes + 4096 }

// script returns what lane i does in a pipelined workload.
func (b *bench) script(w Workload, i int) script {
	t := tree{b.prefix(w)}
	switch w {
	case Create:
		return newCreator(t, b.value, i, b.Connections, 0)
	case Load:
		return newCreator(t, b.value, i, b.Connections, b.Nodes)
	case Ephemeral:
		return &churn{tree: t, value: b.value, lane: i}
	case CheckpointTail:
		return &readWrite{tree: t, keys: b.Nodes, value: b.value, rng: newRNG(i)}
	default:
		return &readWrite{tree: t, keys: b.Keys, value: b.value, rng: newRNG(i), readPercent: b.reads(w)}
	}
}

// reads returns the percentage of getData in a workload on a few keys.
func (b *bench) reads(w Workload) int {
	switch w {
	case Get:
		return 100
	case Mixed:
		return b.ReadPercent
	default:
		return 0
	}
}

// pipelined runs a workload whose lanes each keep a window of requests.
func (b *bench) pipelined(ctx context.Context, on side, s spec) (*Result, error) {
	if s.workload == CheckpointTail {
		if err := b.load(ctx, on, s); err != nil {
			return nil, err
		}
	}
	lanes, err := b.open(ctx, on, b.Connections, s.inFlight, func(i int) script { return b.script(s.workload, i) })
	if err != nil {
		return nil, err
	}
	defer closeLanes(lanes, b.Dial.ReplyTimeout)
	if s.workload == Load {
		return b.measure(ctx, on, s, lanes, newPhase(0, true), func(i int) int64 { return creations(b.Nodes, i, len(lanes)) }, nil)
	}
	if b.Warmup > 0 {
		if _, err := b.measure(ctx, on, s, lanes, newPhase(b.Warmup, false), nil, nil); err != nil {
			return nil, err
		}
	}
	if b.Ops > 0 {
		return b.measure(ctx, on, s, lanes, newPhase(0, true), func(i int) int64 { return share(b.Ops, i, len(lanes)) }, nil)
	}
	return b.measure(ctx, on, s, lanes, newPhase(b.Duration, true), nil, nil)
}

// share splits n over parts as evenly as it goes.
func share(n int64, i, parts int) int64 {
	each := n / int64(parts)
	if int64(i) < n%int64(parts) {
		each++
	}
	return each
}

// load fills the tree of a workload with znodes, unmeasured.
func (b *bench) load(ctx context.Context, on side, s spec) error {
	t := tree{b.prefix(s.workload)}
	lanes, err := b.open(ctx, on, b.Connections, 16, func(i int) script {
		return newCreator(t, b.value, i, b.Connections, b.Nodes)
	})
	if err != nil {
		return err
	}
	defer closeLanes(lanes, b.Dial.ReplyTimeout)
	r, err := b.measure(ctx, on, s, lanes, newPhase(0, true), func(i int) int64 { return creations(b.Nodes, i, len(lanes)) }, nil)
	if err == nil && r.failures() > 0 {
		err = fmt.Errorf("%s: loading %d znodes: %v", on.server(0), b.Nodes, r.Errors)
	}
	return err
}

// measure runs one phase over the lanes and reports what it did and cost.
// limit, if given, bounds the requests of each lane; beside, if given, runs
// next to the lanes until they are done.
func (b *bench) measure(ctx context.Context, on side, s spec, lanes []*lane, p *phase, limit func(i int) int64, beside func(context.Context) error) (*Result, error) {
	before, err := takeMeter(on)
	if err != nil {
		return nil, err
	}
	p.clock = newClock()
	for i, l := range lanes {
		n := int64(-1)
		if limit != nil {
			n = limit(i)
		}
		l.begin(p, n)
	}
	if err := b.follow(ctx, p, lanes, beside); err != nil {
		return nil, err
	}
	r := &Result{Servers: on.servers, Workload: s.workload, Connections: len(lanes), InFlight: s.inFlight, ValueBytes: b.ValueBytes}
	for _, l := range lanes {
		r.addTally(&l.tally)
	}
	return r, before.account(on, r)
}

// follow runs the lanes, and the function beside them, until both are done or
// one fails.
func (b *bench) follow(ctx context.Context, p *phase, lanes []*lane, beside func(context.Context) error) error {
	if beside == nil {
		return drive(ctx, b.driver, p, lanes, b.Threads, b.Dial)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan error, 1)
	go func() { done <- beside(ctx) }()
	err := drive(ctx, b.driver, p, lanes, b.Threads, b.Dial)
	if err != nil {
		cancel(err)
	}
	if other := <-done; err == nil {
		err = other
	}
	return err
}

// watch measures how fast one change reaches many watchers.
func (b *bench) watch(ctx context.Context, on side, row spec) (*Result, error) {
	f := newFanout(string(tree{b.prefix(row.workload)}.appendKey(nil, 0)), b.Watchers)
	lanes, err := b.open(ctx, on, b.Watchers, 1, func(int) script {
		return &watcher{f: f, persistent: row.workload == WatchPersistent, unset: true, value: b.ValueBytes}
	})
	if err != nil {
		return nil, err
	}
	defer closeLanes(lanes, b.Dial.ReplyTimeout)
	for _, l := range lanes {
		l.uncounted = true
	}
	s, err := Dial(ctx, on.server(0), b.Dial)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	stretch := func(c changes, record bool) (*Result, error) {
		p := newPhase(0, record)
		return b.measure(ctx, on, row, lanes, p, nil, func(ctx context.Context) error {
			return f.drive(ctx, s, p, b.Watchers, b.value, c)
		})
	}
	if _, err := stretch(changes{until: int64(max(b.Warmup, 1))}, false); err != nil {
		return nil, err
	}
	if b.Ops > 0 {
		n := int64(b.Watchers)
		return stretch(changes{until: forever, most: (b.Ops + n - 1) / n}, true)
	}
	return stretch(changes{until: int64(b.Duration)}, true)
}

// How long a row waits for the servers to come to rest, and what counts as rest.
const (
	settleFor    = 20 * time.Second
	settleSample = 300 * time.Millisecond
	settleShare  = 0.05 // of one processor
)

// settle waits until no server is busy with what came before this row (a
// cleanup, a snapshot, a garbage collection), as far as their process ids are
// known; otherwise one side would pay for the other.
func (b *bench) settle(ctx context.Context) error {
	quiet, err := WaitQuiet(ctx, b.pids, settleFor)
	if err == nil && !quiet {
		b.say("a server is still busy after %v; going on", settleFor)
	}
	return err
}

// WaitQuiet waits until the given processes together use less than a twentieth
// of one processor, for at most the given time. It reports whether they do, and
// true at once where that cannot be seen.
func WaitQuiet(ctx context.Context, pids []int, most time.Duration) (bool, error) {
	if len(pids) == 0 {
		return true, nil
	}
	sample := time.NewTicker(settleSample)
	defer sample.Stop()
	limit := time.Now().Add(most)
	for last := time.Duration(-1); ; {
		u, err := ProcessUsage(pids)
		if errors.Is(err, errUnavailable) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if last >= 0 && u.CPU-last < time.Duration(settleShare*float64(settleSample)) {
			return true, nil
		}
		if last = u.CPU; time.Now().After(limit) {
			return false, nil
		}
		select {
		case <-sample.C:
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

// meter is a reading of what the servers and this process have used.
type meter struct {
	server  Usage
	own     time.Duration
	haveOwn bool
}

func takeMeter(on side) (m meter, err error) {
	m.server, err = ProcessUsage(on.pids)
	if errors.Is(err, errUnavailable) {
		err = nil
	}
	m.own, m.haveOwn = ownCPU()
	return m, err
}

// account adds to r what was used since m, and completes it.
func (m meter) account(on side, r *Result) error {
	now, err := takeMeter(on)
	if err != nil {
		return err
	}
	r.haveCPU = len(on.pids) > 0 && now.server.CPU > 0
	r.serverCPU = now.server.CPU - m.server.CPU
	r.rss = now.server.RSSBytes
	r.haveOwn = now.haveOwn
	r.ownCPU = now.own - m.own
	r.complete()
	return nil
}
