//go:build linux

package mixed

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/quorate/quorate/integration/ensemble"
)

// How a Java leader says what it sends to a learner.
var (
	sendsDiff = regexp.MustCompile(`Sending DIFF `)
	sendsSnap = regexp.MustCompile(`Sending snapshot last zxid`)
)

// TestObserver: a Quorate observer serves clients of three Java servers. It is killed
// and resumes by DIFF, and by SNAP when it is behind the leader's log; the leader
// is killed and it follows the next.
func TestObserver(t *testing.T) {
	eachRelease(t, func(t *testing.T, java ensemble.Kind) {
		w := newWorld(t, "2000", []ensemble.Kind{java, java, java}, []ensemble.Kind{quorate})
		w.populate()
		observer := w.e.Member(4)
		w.progress(some(300, 3000))
		w.unharmed()
		for range some(1, 5) {
			w.resume(observer, 100, sendsDiff)
			w.resume(observer, 2500, sendsSnap)
		}
		w.equal()
		for i := range some(2, 10) {
			w.changeLeader(observer, i)
		}
		w.finish()
	})
}

// resume kills a learner, lets the ensemble go on for a number of transactions
// and starts it again. The leader must have said so that it sent what it should.
func (w *world) resume(m *ensemble.Member, behind int64, how *regexp.Regexp) {
	w.Helper()
	leader := w.leader()
	st, err := m.State()
	w.must(err)
	m.Kill()
	w.advance(leader, st.Zxid+behind)
	before, err := leader.Logged(how)
	w.must(err)
	since := w.crowd.Log.Now()
	w.must(m.Start())
	w.must(m.AwaitSynced())
	after, err := leader.Logged(how)
	w.must(err)
	if after == before {
		w.Errorf("the leader has not said %q, %d transactions behind", how, behind)
	}
	w.progress(100)
	w.unharmed()
	w.say("member %v killed, started %d transactions behind: %v; longest time without an acknowledged write %v", m, behind, how, w.longestPause(since))
}

// advance waits until a member has applied the transaction of an epoch.
func (w *world) advance(m *ensemble.Member, zxid int64) {
	w.Helper()
	w.must(ensemble.Await(fmt.Sprintf("member %v to be at %#x", m, zxid), func() error {
		st, err := m.State()
		if err == nil && st.Zxid < zxid {
			err = fmt.Errorf("it is at %#x", st.Zxid)
		}
		return err
	}))
}

// changeLeader ends the leader one way or another, waits until a learner follows
// the next, and starts it again.
func (w *world) changeLeader(m *ensemble.Member, i int) {
	w.Helper()
	leader, since := w.leader(), w.crowd.Log.Now()
	way := ""
	switch i % 3 {
	case 0:
		way = "killed"
		leader.Kill()
	case 1:
		way = "paused"
		w.must(leader.Pause())
	case 2:
		way = "stopped"
		w.must(leader.Stop())
	}
	next := w.leader()
	w.must(m.AwaitSynced())
	took := w.crowd.Log.Now() - since
	w.progress(100)
	w.startAll()
	w.progress(50)
	w.unharmed()
	w.say("leader %v %s: member %v followed %v after %.1f s; longest time without an acknowledged write %v",
		leader, way, m, next, took.Seconds(), w.longestPause(since))
}
