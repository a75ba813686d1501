//go:build linux

package mixed

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/integration/crash"
	"github.com/quorate/quorate/integration/ensemble"
	"github.com/quorate/quorate/integration/history"
	"github.com/quorate/quorate/integration/witness"
)

func TestMain(m *testing.M) {
	crash.Main()
	code := m.Run()
	integration.RemoveBuild()
	os.Exit(code)
}

const quorate = integration.Quorate

// long tells whether this is the run of every release and step.
func long() bool { return os.Getenv("QUORATE_MIXED") == "all" }

// some returns n, or all of them in a long run.
func some(n, all int) int {
	if long() {
		return all
	}
	return n
}

// eachRelease runs a test with every Java release, with Debian's alone, or with the
// one that QUORATE_MIXED names.
func eachRelease(t *testing.T, run func(t *testing.T, java ensemble.Kind)) {
	releases := ensemble.Releases
	switch v := os.Getenv("QUORATE_MIXED"); v {
	case "all":
	case "":
		releases = releases[:1]
	default:
		releases = []ensemble.Kind{ensemble.Kind(v)}
	}
	for _, java := range releases {
		t.Run(string(java), func(t *testing.T) { run(t, java) })
	}
}

// settings make failures seen soon: a learner or leader is given up after two
// seconds of silence. A leader never reads its log for a learner, so that
// commitLogCount alone decides between DIFF and SNAP.
var settings = integration.Options{
	"tickTime": "500", "initLimit": "12", "syncLimit": "4", "snapshotSizeFactor": "-1", "snapCount": "5000",
}

// sessionTimeout outlasts the disturbances.
const sessionTimeout = 20 * time.Second

// patience is a guard against hanging, not an expectation.
const patience = 2 * time.Minute

// world is a mixed ensemble with clients.
type world struct {
	*testing.T
	ctx   context.Context
	e     *ensemble.Ensemble
	place *crash.Place
	crowd *witness.Crowd
	churn *churn
	began time.Time
}

// newWorld starts an ensemble whose leaders keep so many transactions for
// members that lag.
func newWorld(t *testing.T, kept string, voters, observers []ensemble.Kind) *world {
	t.Helper()
	options := integration.Options{"commitLogCount": kept}
	for k, v := range settings {
		options[k] = v
	}
	w := &world{T: t, ctx: t.Context(), place: crash.In(ensemble.Loopback()), began: time.Now()}
	w.e = ensemble.ForTest(t, ensemble.Spec{Voters: voters, Observers: observers, Options: options, Place: w.place})
	return w
}

// populate lets clients loose on it.
func (w *world) populate() {
	w.Helper()
	p := witness.Everyone(w.e.Addrs())
	p.Seed, p.SessionTimeout = 1, sessionTimeout
	var err error
	w.crowd, err = witness.Gather(w.ctx, p)
	w.must(err)
	w.Cleanup(w.crowd.Stop)
	w.churn = startChurn(w.T, w.e.Addrs())
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatalf("%v\n%s", err, w.e.LastLines(15))
	}
}

// say notes what was done, and when.
func (w *world) say(format string, args ...any) {
	w.Helper()
	w.Logf("%5.1fs "+format, append([]any{time.Since(w.began).Seconds()}, args...)...)
}

// progress waits for n more acknowledged writes.
func (w *world) progress(n int) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	w.must(w.crowd.AwaitProgress(ctx, n))
}

// unharmed checks, while clients write, that digests agree, and what logs and metrics
// tell.
func (w *world) unharmed() {
	w.Helper()
	_, err := w.e.CompareDigests()
	w.must(errors.Join(err, w.e.Check()))
}

// equal lets the clients rest and compares whole trees.
func (w *world) equal() {
	w.Helper()
	w.rest()
	_, err := w.e.Compare()
	w.must(err)
	w.unharmed()
	w.crowd.Resume()
	w.churn.resume()
}

func (w *world) rest() {
	w.crowd.Rest()
	w.churn.rest()
}

// startAll starts the members that do not run, and lets those go on that are paused.
// If a Java server leads, the clients rest meanwhile: a Java learner that joins a
// Java leader under load loses its way by itself (a COMMIT between NEWLEADER and
// UPTODATE ends it, ZOOKEEPER-4394, and what it has logged by then it logs twice; a
// snapshot is taken while the tree changes), and would show digests that differ.
// Behind a Quorate leader they go on.
func (w *world) startAll() {
	w.Helper()
	if w.leader().Kind().Java() {
		w.rest()
		w.awaitCrowd()
		w.must(w.churn.awaitRest(w.e, w.leader()))
		_, err := w.leader().Sync()
		w.must(err)
		defer w.crowd.Resume()
		defer w.churn.resume()
	}
	for _, m := range w.e.Members {
		if m.Running() {
			w.must(m.Resume())
		}
	}
	w.must(w.e.Start())
}

// awaitCrowd waits until the crowd rests, for some time: who gets a lock works once more.
func (w *world) awaitCrowd() {
	w.Helper()
	resting := 0
	w.must(ensemble.Await("the crowd to rest", func() error {
		if resting++; !w.crowd.Resting() {
			resting = 0
		}
		if resting < 5 {
			return errors.New("somebody is at work")
		}
		return nil
	}))
}

// finish judges the clients and compares everything for the last time.
func (w *world) finish() {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, 2*patience)
	defer cancel()
	w.must(w.e.AwaitSynced())
	w.churn.stop()
	found, err := w.crowd.Judge(ctx)
	w.say("%v; %v", found, w.churn)
	w.must(err)
	if found.Operations == 0 || found.LocksTaken == 0 || found.Increments == 0 || found.WatchSteps == 0 || found.Ephemerals == 0 {
		w.Error("clients did nothing")
	}
	w.churn.judge(w.e.Addrs())
	nodes, err := w.e.Compare()
	w.must(err)
	compared, err := w.e.CompareDigests()
	w.must(errors.Join(err, w.e.Check()))
	w.say("%d znodes and %d remembered digests, equal on all members", nodes, compared)
}

// leader returns the member that leads.
func (w *world) leader() *ensemble.Member {
	w.Helper()
	m, err := w.e.AwaitLeader()
	w.must(err)
	return m
}

// longestPause returns the longest time without an acknowledged write since then.
func (w *world) longestPause(since time.Duration) time.Duration {
	return history.Pause(w.crowd.Log.Ops(), since, w.crowd.Log.Now()).Round(time.Millisecond)
}
