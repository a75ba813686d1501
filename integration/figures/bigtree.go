//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/quorate/quorate/integration/ensemble"
	"github.com/quorate/quorate/internal/bench"
)

// bigTree is what one ensemble does with many znodes.
type bigTree struct {
	// Load is the creation of the znodes. RSSBytes is what all servers have
	// resident when they have come to rest after it.
	Load     *bench.Result `json:"load"`
	RSSBytes int64         `json:"rss_bytes"`
	Restarts []restart     `json:"restarts"`
	Kills    []failover    `json:"kills"`
	Snap     *snapSync     `json:"snap,omitempty"`
}

// restart is that of a follower which was stopped on request and missed some
// writes.
type restart struct {
	// Seconds is the time from the start of the process until a client of the
	// follower was answered a read, StopSeconds what the stop took.
	Seconds     float64 `json:"seconds"`
	StopSeconds float64 `json:"stop_seconds"`
}

// measureBig measures one ensemble that nobody else runs beside. What it has
// when it fails it returns too.
func measureBig(ctx context.Context, o options, s side) (*bigTree, error) {
	b := &bigTree{}
	e, err := s.start("big")
	if err != nil {
		return b, err
	}
	defer e.Close()
	root, err := b.load(ctx, o, e)
	if err != nil {
		return b, err
	}
	path := bench.LoadedPath(root, o.nodes/2)
	for i := range o.restarts {
		r, err := restartFollower(ctx, o, e, path, i)
		if err != nil {
			return b, fmt.Errorf("restart %d: %w", i+1, err)
		}
		b.Restarts = append(b.Restarts, r)
		fmt.Fprintf(o.Log, "%s, restart %d of %d: a read was answered after %.3f s\n", s.kind, i+1, o.restarts, r.Seconds)
	}
	if b.Kills, err = killLeaders(ctx, o, e, s.bigKills, path); err != nil {
		return b, err
	}
	if o.steady > 0 {
		b.Snap, err = measureSnap(ctx, o, e, root)
	}
	o.warn(e)
	return b, err
}

// load fills the tree through all servers, and returns what it lies below.
func (b *bigTree) load(ctx context.Context, o options, e *ensemble.Ensemble) (string, error) {
	rep, err := bench.Run(ctx, bench.Config{
		Servers: e.Addrs(), PIDs: pids(e), Workloads: []bench.Workload{bench.Load}, Nodes: o.nodes,
		Connections: connections, InFlight: []int{inFlight}, ValueBytes: valueBytes, Keep: true, Progress: o.Log,
	})
	if err != nil {
		return "", errors.Join(err, errors.New(e.LastLines(10)))
	}
	b.Load = rep.Results[0]
	if _, err := bench.WaitQuiet(ctx, pids(e), 2*time.Minute); err != nil {
		return "", err
	}
	u, err := bench.ProcessUsage(pids(e))
	b.RSSBytes = u.RSSBytes
	return rep.Root, err
}

// missed is how many writes a follower misses while it is down.
const missed = 100

// restartFollower stops a follower, writes, and times its start.
func restartFollower(ctx context.Context, o options, e *ensemble.Ensemble, path string, turn int) (r restart, err error) {
	m, err := e.Follower()
	if err != nil {
		return r, err
	}
	begun := time.Now()
	if err := m.Stop(); err != nil {
		return r, err
	}
	r.StopSeconds = time.Since(begun).Seconds()
	c := newClient(addrs(e.Except(m)))
	defer c.close()
	last := value(0)
	for i := range missed {
		last = value((turn+1)*missed + i)
		if err := c.write(ctx, path, last); err != nil {
			return r, err
		}
	}
	begun = time.Now()
	if err := m.Start(); err != nil {
		return r, err
	}
	if err := awaitRead(ctx, m, path, last); err != nil {
		return r, err
	}
	r.Seconds = time.Since(begun).Seconds()
	return r, whole(ctx, o, e)
}

// readWithin bounds the wait for a member that starts, however big the tree.
const readWithin = 10 * time.Minute

// awaitRead returns once a client of the member has got a session and, as the
// answer to a read, the value that was written last, or any value if want is
// nil. It asks again and again, without pause where the server refuses at once.
func awaitRead(ctx context.Context, m *ensemble.Member, path string, want []byte) error {
	for limit := time.Now().Add(readWithin); ; {
		got, err := readOnce(ctx, m, path)
		switch {
		case err == nil && want != nil && string(got) != string(want):
			return fmt.Errorf("%v serves %q, which is older than %q", m, got, want)
		case err == nil:
			return nil
		case time.Now().After(limit):
			return fmt.Errorf("%v does not serve: %w", m, err)
		}
		select {
		case <-m.Done():
			return fmt.Errorf("%v has stopped:\n%s", m, m.LastLines(20))
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// readOnce reads one znode on a session of its own. A Java server that is asked
// while it starts may never answer, so the wait is short.
func readOnce(ctx context.Context, m *ensemble.Member, path string) ([]byte, error) {
	s, err := bench.Dial(ctx, m.Addr(), bench.DialOptions{ReplyTimeout: 500 * time.Millisecond})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return s.Read(path)
}

// snapSync is the synchronization of an emptied follower by a snapshot, under
// load.
type snapSync struct {
	// Leader and Other are what the clients of the leader and of the follower
	// that stayed up saw.
	Leader sideOfLoad `json:"leader"`
	Other  sideOfLoad `json:"other"`
	// The follower was stopped and emptied, started and answered a read so many
	// seconds after the beginning of the load.
	Stopped float64 `json:"stopped_at_seconds"`
	Started float64 `json:"started_at_seconds"`
	Served  float64 `json:"served_at_seconds"`
	// Snapshots is how many the leader sent in that time.
	Snapshots int64 `json:"snapshots_sent"`
	// LeaderChanged tells that another server led at the end.
	LeaderChanged bool `json:"leader_changed,omitempty"`
}

// measureSnap runs the steady load while a follower loses its data.
func measureSnap(ctx context.Context, o options, e *ensemble.Ensemble, root string) (*snapSync, error) {
	leader, err := e.AwaitLeader()
	if err != nil {
		return nil, err
	}
	followers := e.Except(leader)
	away, other := followers[0], followers[1]
	before, err := snapshotsSent(leader)
	if err != nil {
		return nil, err
	}
	path := func(i int) string { return bench.LoadedPath(root, i%o.nodes) }
	load := beginLoad(ctx, o.rate, path, leader, other)
	var s snapSync
	err = s.disturb(ctx, o, load, away, path(0))
	sides, failure := load.end(s.Stopped, s.Served)
	if err = errors.Join(err, failure); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, e.LastLines(20))
	}
	s.Leader, s.Other = sides[0], sides[1]
	after, err := snapshotsSent(leader)
	if err != nil {
		return nil, err
	}
	s.Snapshots = after - before
	now, err := e.AwaitLeader()
	s.LeaderChanged = now != leader
	fmt.Fprintf(o.Log, "%s: %d snapshot sent, the follower served after %.2f s; longest without an acknowledged write: %.1f ms at the leader, %.1f ms at the other follower\n",
		leader.Kind(), s.Snapshots, s.Served-s.Started, s.Leader.GapMs, s.Other.GapMs)
	return &s, err
}

// disturb has the follower lose its data a while after the load has begun, and
// waits until it serves and the load has lasted long enough.
func (s *snapSync) disturb(ctx context.Context, o options, load *steadyLoad, away *ensemble.Member, path string) error {
	if err := sleep(ctx, o.steady/12); err != nil {
		return err
	}
	s.Stopped = load.seconds()
	if err := errors.Join(away.Stop(), away.Empty()); err != nil {
		return err
	}
	s.Started = load.seconds()
	if err := away.Start(); err != nil {
		return err
	}
	if err := awaitRead(ctx, away, path, nil); err != nil {
		return err
	}
	s.Served = load.seconds()
	return sleep(ctx, max(o.steady-load.lasted(), o.steady/12))
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// snapshotsSent is the leader's count of members synchronized by a snapshot.
func snapshotsSent(leader *ensemble.Member) (int64, error) {
	all, err := leader.Monitor()
	if err != nil {
		return 0, err
	}
	text, ok := all["zk_snap_count"]
	if !ok {
		return 0, fmt.Errorf("mntr of %v has no zk_snap_count", leader)
	}
	n, err := strconv.ParseFloat(text, 64)
	return int64(n), err
}
