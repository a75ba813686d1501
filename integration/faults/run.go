//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/integration/ensemble"
	"github.com/quorate/quorate/integration/history"
	"github.com/quorate/quorate/integration/netns"
	"github.com/quorate/quorate/integration/witness"
)

// settings make failures seen soon: a learner or leader is given up after two
// seconds of silence.
var settings = integration.Options{
	"tickTime": "500", "initLimit": "20", "syncLimit": "4", "minSessionTimeout": "1000",
	"snapCount": "2000",
}

// sessionTimeout is short enough that some faults outlast it.
const sessionTimeout = 5 * time.Second

// patience is how long an ensemble without faults may take to serve again. It
// is a guard against hanging, not an expectation.
const patience = 2 * time.Minute

// world is an ensemble in its network with clients.
type world struct {
	t      *testing.T
	ctx    context.Context
	e      *ensemble.Ensemble
	net    *netns.Network
	crowd  *witness.Crowd
	random *rand.Rand
}

// newWorld starts an ensemble of the given kinds, each member on a network
// cable and, with disks, on a disk of its own, and a crowd on it.
func newWorld(t *testing.T, kinds []ensemble.Kind, seed uint64, disks bool) *world {
	t.Helper()
	netns.Need(t)
	t.Logf("%v, seed %d", kinds, seed)
	network, err := netns.NewNetwork(len(kinds), seed)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, ctx: t.Context(), net: network, random: rand.New(rand.NewPCG(seed, 0))}
	w.e = ensemble.LaidOut(t, ensemble.Spec{Voters: kinds, Options: settings, Place: network, Expected: expected(disks)})
	if disks {
		for _, m := range w.e.Members {
			if err := mountDisk(m); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { m.Kill(); _ = syscall.Unmount(m.DataDir(), 0) })
		}
	}
	if err := w.e.Start(); err != nil {
		t.Fatal(err)
	}
	plan := witness.Everyone(w.e.Addrs())
	plan.Seed, plan.SessionTimeout = seed, sessionTimeout
	if w.crowd, err = witness.Gather(w.ctx, plan); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.crowd.Stop)
	return w
}

// leader returns the member that leads.
func (w *world) leader() *ensemble.Member {
	w.t.Helper()
	m, err := w.e.AwaitLeader()
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

// follower returns any member that follows.
func (w *world) follower() *ensemble.Member {
	w.t.Helper()
	others := w.e.Except(w.leader())
	return others[w.random.IntN(len(others))]
}

// others returns the ids of the other members.
func (w *world) others(m *ensemble.Member) []int {
	var ids []int
	for _, o := range w.e.Except(m) {
		ids = append(ids, o.ID)
	}
	return ids
}

// halves splits the members at random into a minority and a majority.
func (w *world) halves() (few, many []int) {
	ids := w.random.Perm(len(w.e.Members))
	for i := range ids {
		ids[i]++
	}
	n := (len(ids) - 1) / 2
	return slices.Clone(ids[:n]), slices.Clone(ids[n:])
}

func (w *world) sleep(d time.Duration) error {
	select {
	case <-w.ctx.Done():
		return context.Cause(w.ctx)
	case <-time.After(d):
		return nil
	}
}

// progress waits for n acknowledged writes.
func (w *world) progress(n int) error {
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	return w.crowd.AwaitProgress(ctx, n)
}

// suffer inflicts a fault, lets it last, ends it and waits until all is well.
func (w *world) suffer(f fault) error {
	begun, expired := w.crowd.Log.Now(), w.crowd.Expired()
	undo, err := f.inflict(w)
	if err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	last := f.holds/5 + time.Duration(w.random.Int64N(int64(f.holds)*4/5))
	err = w.sleep(last)
	if f.quorum && err == nil {
		if err = w.progress(20); err != nil {
			err = fmt.Errorf("while a quorum could work: %w", err)
		}
	}
	ended := w.crowd.Log.Now()
	if err = errors.Join(err, undo()); err == nil {
		err = errors.Join(w.e.AwaitSynced(), w.progress(50))
	}
	now := w.crowd.Log.Now()
	w.t.Logf("%5.1fs %-38s for %4.1fs; no acknowledged write for %5.2fs at most, whole again after %4.1fs, %d sessions expired",
		begun.Seconds(), f.name, (ended - begun).Seconds(), history.Pause(w.crowd.Log.Ops(), begun, now).Seconds(),
		(now - ended).Seconds(), w.crowd.Expired()-expired)
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", f.name, err, w.e.LastLines(15))
	}
	return nil
}

// finish judges the crowd and compares the trees.
func (w *world) finish() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, 2*patience)
	defer cancel()
	findings, err := w.crowd.Judge(ctx)
	w.t.Log(findings)
	if err != nil {
		w.t.Error(err)
	}
	if findings.Operations == 0 || findings.LocksTaken == 0 || findings.Increments == 0 {
		w.t.Error("the clients did nothing")
	}
	nodes, err := w.e.Compare()
	w.t.Logf("%d znodes on every member", nodes)
	if err != nil {
		w.t.Error(err)
	}
}

// expected are lines that a Java server prints when its disk is full.
func expected(disks bool) *regexp.Regexp {
	if !disks {
		return nil
	}
	return regexp.MustCompile("Severe unrecoverable error, from thread : SyncThread")
}
