//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/integration/ensemble"
	"github.com/quorate/quorate/internal/bench"
	"github.com/quorate/quorate/internal/bench/table"
)

// failover is what a client saw when the leader was killed.
type failover struct {
	// Seconds is the time from the kill until the first write that the client
	// began after it was acknowledged. GoneSeconds is how much of that the kernel
	// took to end the process.
	Seconds     float64 `json:"seconds"`
	GoneSeconds float64 `json:"gone_seconds"`
	// Connections is how many the client needed, 0 if it kept the one it had.
	Connections int `json:"connections"`
	// Unanswered counts servers that kept silent when they were asked for the
	// session, for as long as the client waits.
	Unanswered int `json:"unanswered,omitempty"`
	// SessionLost tells that the client's session was not known afterwards.
	SessionLost bool `json:"session_lost,omitempty"`
	// AtLeader tells that the client's first server was the one to lead next.
	AtLeader bool `json:"at_next_leader"`
}

// failoverWithin bounds the wait for a write; an ensemble that takes longer has
// failed.
const failoverWithin = 3 * time.Minute

// killLeaders kills the leader so often, each time from a whole ensemble at
// rest, with a client on one survivor and then on the other in turn.
func killLeaders(ctx context.Context, o options, e *ensemble.Ensemble, kills int, path string) ([]failover, error) {
	var all []failover
	for i := range kills {
		f, err := killLeader(ctx, o, e, i, path)
		if err != nil {
			return all, fmt.Errorf("kill %d: %w", i+1, err)
		}
		all = append(all, f)
		fmt.Fprintf(o.Log, "%s, kill %d of %d: a write was acknowledged after %.3f s\n", e.Member(1).Kind(), i+1, kills, f.Seconds)
	}
	return all, nil
}

func killLeader(ctx context.Context, o options, e *ensemble.Ensemble, turn int, path string) (failover, error) {
	leader, err := e.AwaitLeader()
	if err != nil {
		return failover{}, err
	}
	survivors := e.Except(leader)
	first := turn % len(survivors)
	survivors = append(survivors[first:], survivors[:first]...)
	c := newClient(addrs(survivors))
	c.pause = o.pause
	f, err := c.outlive(ctx, leader, path, turn)
	c.close()
	if err != nil {
		return f, fmt.Errorf("%w\n%s", err, e.LastLines(20))
	}
	if next, err := e.AwaitLeader(); err == nil {
		f.AtLeader = next == survivors[0]
	}
	return f, whole(ctx, o, e)
}

// outlive kills the leader and times the first write that the client begins
// then.
func (c *client) outlive(ctx context.Context, leader *ensemble.Member, path string, turn int) (f failover, err error) {
	ctx, cancel := context.WithTimeout(ctx, failoverWithin)
	defer cancel()
	if err := c.write(ctx, path, value(turn)); err != nil {
		return f, err
	}
	before := c.connections
	begun := time.Now()
	leader.Kill()
	f.GoneSeconds = time.Since(begun).Seconds()
	if err := c.write(ctx, path, value(turn)); err != nil {
		return f, err
	}
	f.Seconds = time.Since(begun).Seconds()
	f.Connections, f.Unanswered, f.SessionLost = c.connections-before, c.unanswered, c.expired > 0
	return f, nil
}

// whole starts what does not run and waits until the ensemble is at rest.
func whole(ctx context.Context, o options, e *ensemble.Ensemble) error {
	if err := e.Start(); err != nil {
		return err
	}
	_, err := bench.WaitQuiet(ctx, pids(e), o.settle)
	return err
}

func addrs(members []*ensemble.Member) []string {
	var all []string
	for _, m := range members {
		all = append(all, m.Addr())
	}
	return all
}

func pids(e *ensemble.Ensemble) []int {
	var all []int
	for _, m := range e.Members {
		if m.Running() {
			all = append(all, m.Pid())
		}
	}
	return all
}

// value is a znode's data, different for each n.
func value(n int) []byte { return fmt.Appendf(nil, "%0*d", valueBytes, n) }

// valueBytes is the size of all values.
const valueBytes = 128

// smallPath is a znode of a tree that holds nothing else.
const smallPath = "/figures"

// measureFailover kills leaders of an ensemble with a small tree.
func measureFailover(ctx context.Context, o options, s side) (all []failover, err error) {
	e, err := s.start("failover")
	if err != nil {
		return nil, err
	}
	defer e.Close()
	if err := createOn(e.Member(1), smallPath); err != nil {
		return nil, err
	}
	if err := whole(ctx, o, e); err != nil {
		return nil, err
	}
	all, err = killLeaders(ctx, o, e, o.kills, smallPath)
	o.warn(e)
	return all, err
}

func createOn(m *ensemble.Member, path string) error {
	s, err := integration.Connect(m.Addr(), integration.ConnectOptions{})
	if err != nil {
		return err
	}
	defer s.Drop()
	if _, err := s.Create(path, value(0), 0); err != nil {
		return fmt.Errorf("create %s on %v: %w", path, m, err)
	}
	return s.Close()
}

// longest returns the median and the worst of what was seen.
func longest(all []failover) (median, worst float64) {
	var seconds []float64
	for _, f := range all {
		seconds = append(seconds, f.Seconds)
		worst = max(worst, f.Seconds)
	}
	return table.Median(seconds), worst
}
