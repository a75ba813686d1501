//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
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

// setup says what a world is made of.
type setup struct {
	voters, observers []ensemble.Kind
	// disks gives each member a disk of its own, which can be full.
	disks bool
	// fresh lets the servers make all reads linearizable, and checks them.
	fresh bool
}

// quorateAlone tells that no member is another server than Quorate.
func (s setup) quorateAlone() bool {
	return !slices.ContainsFunc(slices.Concat(s.voters, s.observers), func(k ensemble.Kind) bool { return k != integration.Quorate })
}

// javaLeadsJava tells that a Java server may have to bring another one up to date.
func (s setup) javaLeadsJava() bool {
	java := 0
	for _, k := range slices.Concat(s.voters, s.observers) {
		if k.Java() {
			java++
		}
	}
	return java > 1
}

// looseDigests tells that no member is Quorate.
func (s setup) looseDigests() bool {
	return !slices.Contains(slices.Concat(s.voters, s.observers), integration.Quorate)
}

func (s setup) options() integration.Options {
	options := maps.Clone(settings)
	if s.fresh {
		options["quorate.ensemble.linearizableReads"] = "true"
	}
	if s.javaLeadsJava() && !s.looseDigests() {
		// A Java leader sends a snapshot that holds more than its stamp says, and a Java
		// learner finds then that digests do not match. With this log kept in memory
		// nobody lags so far.
		options["commitLogCount"] = "100000"
	}
	return options
}

// world is an ensemble in its network with clients.
type world struct {
	setup
	t      *testing.T
	ctx    context.Context
	e      *ensemble.Ensemble
	net    *netns.Network
	crowd  *witness.Crowd
	pys    []*witness.Locker
	random *rand.Rand
}

// newWorld starts an ensemble, each member on a network cable and, with disks,
// on a disk of its own, and clients on it.
func newWorld(t *testing.T, s setup, seed uint64) *world {
	t.Helper()
	netns.Need(t)
	t.Logf("%v %v, seed %d", s.voters, s.observers, seed)
	network, err := netns.NewNetwork(len(s.voters)+len(s.observers), seed)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{setup: s, t: t, ctx: t.Context(), net: network, random: rand.New(rand.NewPCG(seed, 0))}
	w.e = ensemble.LaidOut(t, ensemble.Spec{
		Voters: s.voters, Observers: s.observers, Options: s.options(), Place: network, Expected: expected(s.disks),
		LooseDigests: s.looseDigests(),
	})
	if s.disks {
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
	w.gather(seed)
	if err := w.progress(200); err != nil { // every client has begun
		t.Fatal(err)
	}
	return w
}

// gather lets clients loose on the ensemble.
func (w *world) gather(seed uint64) {
	w.t.Helper()
	plan := witness.Everyone(w.e.Addrs())
	plan.Seed, plan.SessionTimeout = seed, sessionTimeout
	plan.SyncedReads, plan.FreshReads = w.quorateAlone(), w.fresh
	var err error
	if w.crowd, err = witness.Gather(w.ctx, plan); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(w.crowd.Stop)
	if err := witness.KazooMissing(); err != nil && os.Getenv("QUORATE_INTEROP") != "required" {
		w.t.Logf("without kazoo: %v", err)
		return
	}
	for range 2 {
		k, err := witness.StartKazoo(w.t.TempDir(), w.e.Addrs(), sessionTimeout, true)
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(k.Kill)
		w.pys = append(w.pys, k)
	}
}

func (w *world) voters() []*ensemble.Member {
	return slices.DeleteFunc(slices.Clone(w.e.Members), func(m *ensemble.Member) bool { return m.Observer })
}

func (w *world) observers() []*ensemble.Member {
	return slices.DeleteFunc(slices.Clone(w.e.Members), func(m *ensemble.Member) bool { return !m.Observer })
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

func (w *world) oneOf(all []*ensemble.Member) *ensemble.Member { return all[w.random.IntN(len(all))] }

// follower returns any voter that follows.
func (w *world) follower() *ensemble.Member {
	w.t.Helper()
	leader := w.leader()
	return w.oneOf(slices.DeleteFunc(w.voters(), func(m *ensemble.Member) bool { return m == leader }))
}

// others returns the ids of the other members.
func (w *world) others(m *ensemble.Member) []int { return ids(w.e.Except(m)) }

func ids(all []*ensemble.Member) []int {
	var out []int
	for _, m := range all {
		out = append(out, m.ID)
	}
	return out
}

// shuffled returns the voters in a random order.
func (w *world) shuffled() []*ensemble.Member {
	all := w.voters()
	w.random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
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

// lasting returns a random time for a fault to last.
func (w *world) lasting(f fault) time.Duration {
	return f.holds/5 + time.Duration(w.random.Int64N(int64(f.holds)*4/5))
}

// suffer inflicts a fault, lets it last, ends it and waits until all is well.
func (w *world) suffer(f fault, last time.Duration) error {
	begun, expired := w.crowd.Log.Now(), w.crowd.Expired()
	undo, err := f.inflict(w)
	if err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	err = w.sleep(last)
	if f.quorum && err == nil {
		if err = w.progress(20); err != nil {
			err = fmt.Errorf("while a quorum could work: %w", err)
		}
	}
	ended := w.crowd.Log.Now()
	if err = errors.Join(err, undo()); err == nil {
		err = errors.Join(w.whole(), w.progress(50))
	}
	now := w.crowd.Log.Now()
	pause := history.Pause(w.crowd.Log.Ops(), begun, now)
	w.t.Logf("%5.1fs %-38s for %4.1fs; no acknowledged write for %5.2fs at most, whole again after %4.1fs, %d sessions expired",
		begun.Seconds(), f.name, (ended - begun).Seconds(), pause.Seconds(),
		(now - ended).Seconds(), w.crowd.Expired()-expired)
	if f.pause > 0 && pause > f.pause && w.quorateAlone() {
		err = errors.Join(err, fmt.Errorf("no acknowledged write for %v", pause))
	}
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", f.name, err, w.e.LastLines(15))
	}
	return nil
}

// whole waits until every member serves: none may have ended by itself.
func (w *world) whole() error {
	for _, m := range w.e.Members {
		if !m.Running() {
			return fmt.Errorf("member %v has ended", m)
		}
	}
	return w.e.AwaitSynced()
}

// finish judges the clients and compares the trees.
func (w *world) finish() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, 2*patience)
	defer cancel()
	for _, k := range w.pys {
		turns, err := k.Finish()
		w.t.Logf("kazoo: %d times in the lock", turns)
		if err != nil {
			w.t.Error(err)
		}
	}
	findings, err := w.crowd.Judge(ctx)
	w.t.Log(findings)
	if err != nil {
		w.t.Error(err)
	}
	if findings.Operations == 0 || findings.LocksTaken == 0 || findings.Increments == 0 || findings.WatchSteps == 0 || findings.StreamEvents == 0 {
		w.t.Error("the clients did nothing")
	}
	nodes, err := w.e.Compare()
	w.t.Logf("%d znodes on every member", nodes)
	if err != nil {
		w.t.Error(err)
	}
}
