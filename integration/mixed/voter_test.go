//go:build linux

package mixed

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/integration/crash"
	"github.com/quorate/quorate/integration/ensemble"
)

// manner is how a learner is synchronized.
type manner struct {
	name string
	// kept is how many transactions a Java leader keeps for learners that lag,
	// behind is by how many this one lags.
	kept   string
	behind int64
	how    *regexp.Regexp
}

// TestVoter: a Quorate follower is killed at every step of a synchronization
// without which nothing can be committed: one of the two Java servers is stopped
// meanwhile. It is started again, the ensemble serves with its acknowledgements, and
// then the Java server that has all it acknowledged dies: what only the other one
// and Quorate's disk hold must be everything.
func TestVoter(t *testing.T) {
	for _, how := range []manner{
		{name: "DIFF", kept: "100000", behind: 50, how: sendsDiff},
		{name: "SNAP", kept: "500", behind: 700, how: sendsSnap},
	} {
		t.Run(how.name, func(t *testing.T) {
			crash.Need(t)
			eachRelease(t, func(t *testing.T, java ensemble.Kind) { killAtEveryStep(t, java, how) })
		})
	}
}

func killAtEveryStep(t *testing.T, java ensemble.Kind, how manner) {
	w := newWorld(t, how.kept, []ensemble.Kind{quorate, java, java}, nil)
	w.populate()
	w.progress(50)
	for _, led := range []bool{false, true}[:some(1, 2)] {
		steps := w.synchronize(how, led, 0)
		w.say("synchronized by %s in %d steps: %s", how.name, len(steps), strings.Join(steps, ", "))
		at := choose(steps, !led && java == ensemble.Releases[0])
		w.say("to die at %d steps", len(at))
		for _, at := range at {
			steps := w.synchronize(how, led, at)
			w.say("died at step %d, %q, behind %s", at, steps[at-1], strings.Join(steps[max(0, at-4):at-1], ", "))
			if long() && at%5 == 0 {
				w.loseLeader()
			}
		}
	}
	w.loseLeader()
	w.finish()
}

// choose returns the numbers of the steps to die at: those of a synchronization and a
// few behind it, or the few in which data, and then the epoch, become durable.
// While the tree of a snapshot is made aside, the leader sees nothing and Quorate alone
// decides what is on disk, so that one release is enough for the steps in the midst
// of that: they are chosen if whole.
func choose(steps []string, whole bool) []int {
	var few, all []int
	for i, s := range steps {
		switch {
		case s == "rename version-2/currentEpoch.tmp":
			few = append(few, i+1)
		case len(few) == 0 && (s == "rename version-2/quorate.place.tmp" || strings.HasPrefix(s, "write version-2/log.")):
			few = append(few, i+1)
		}
		if whole || slices.ContainsFunc(steps[max(0, i-2):min(i+3, len(steps))], func(s string) bool { return !aside(s) }) {
			all = append(all, i+1)
		}
		if s == lastStep {
			all = append(all, i+2, i+3, i+4, i+5, i+6)
			break
		}
	}
	if long() {
		return all
	}
	return few
}

// aside tells a step in the directory of a tree.
func aside(step string) bool { return strings.Contains(step, " quorate-") }

// lastStep is that in which a synchronization is marked as complete.
const lastStep = "remove version-2/updatingEpoch"

// synchronize kills the Quorate member, lets it lag, kills the Java follower and lets
// the Quorate member come back and die at a step of that; 0 is none. The leader has
// given up by then, or, if it is led, it leads still. Then the member comes
// back for good. The steps that were done until it died, or served, are returned.
func (w *world) synchronize(how manner, led bool, at int) []string {
	w.Helper()
	q := w.e.Member(1)
	if w.leader() == q {
		w.loseLeader() // a Java server is to lead
	}
	st, err := q.State()
	w.must(err)
	q.Kill()
	leader := w.leader()
	w.advance(leader, st.Zxid+how.behind)
	other := w.e.Except(q, leader)[0]
	before, err := leader.Logged(how.how)
	w.must(err)
	if !led {
		other.Kill()
		w.must(ensemble.Await("the leader to give up", func() error { return stillServes(leader) }))
	}
	steps := w.dieAt(q, at, other.Kill)
	w.must(q.AwaitSynced())
	after, err := leader.Logged(how.how)
	w.must(err)
	if after == before {
		w.Errorf("the leader has not said %q", how.how)
	}
	w.progress(30)
	w.startAll()
	w.equal()
	return steps
}

// dieAt starts a member that is to die at a step, and then again. It returns the
// steps that it has done; without a step to die at, until it has served.
// When it is dead, then is done.
func (w *world) dieAt(m *ensemble.Member, at int, then func()) []string {
	w.Helper()
	w.must(w.place.Let(m, w.e.Except(m), at))
	w.must(m.Start())
	if at == 0 {
		w.must(m.AwaitSynced())
		steps, err := crash.Steps(m)
		w.must(err)
		then()
		return steps
	}
	select {
	case <-m.Done():
	case <-time.After(patience):
		w.Fatalf("member %v does not come to step %d\n%s", m, at, w.e.LastLines(15))
	}
	steps, err := crash.Steps(m)
	w.must(err)
	if len(steps) != at {
		w.Fatalf("member %v died after %d steps, not %d\n%s", m, len(steps), at, w.e.LastLines(15))
	}
	then()
	w.must(m.Start())
	return steps
}

// stillServes is an error while a member serves.
func stillServes(m *ensemble.Member) error {
	if _, err := m.State(); err == nil {
		return errServes
	}
	return nil
}

// loseLeader kills the leader, lets the others go on, and starts it again.
func (w *world) loseLeader() {
	w.Helper()
	leader := w.leader()
	leader.Kill()
	next := w.leader()
	w.progress(30)
	w.startAll()
	w.equal()
	w.say("leader %v killed, then %v led", leader, next)
}
