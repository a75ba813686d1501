//go:build linux

package mixed

import (
	"fmt"
	"regexp"
	"slices"
	"testing"

	"github.com/quorate/quorate/integration/ensemble"
)

// quorateSent is how a Quorate leader says that it has sent a snapshot.
var quorateSent = regexp.MustCompile(`learner joined.*"reason": "SNAP`)

// TestLeader: an ensemble under load is led by Quorate, by Java, and by Quorate again.
// While Quorate leads a Java server comes back that needs a snapshot. No Java server
// finds a digest that differs, and none of its threads dies.
func TestLeader(t *testing.T) {
	eachRelease(t, func(t *testing.T, java ensemble.Kind) {
		casts := [][]ensemble.Kind{{java, java, quorate}}
		if long() {
			casts = append(casts, []ensemble.Kind{quorate, quorate, quorate, java, java})
		}
		for _, voters := range casts {
			t.Run(ensemble.Spec{Voters: voters}.String(), func(t *testing.T) { takeTurns(t, java, voters) })
		}
	})
}

// logCount is how many transactions a leader keeps for members that lag: so few
// that some have to be sent a snapshot without being asked for it.
const logCount = 500

// takeTurns lets Quorate, Java and Quorate lead, a few times.
func takeTurns(t *testing.T, java ensemble.Kind, voters []ensemble.Kind) {
	w := newWorld(t, fmt.Sprint(logCount), voters, nil)
	w.populate()
	turns := append([]ensemble.Kind{quorate}, slices.Concat(slices.Repeat([][]ensemble.Kind{{java, quorate}}, some(1, 4))...)...)
	for i, kind := range turns {
		w.letKindLead(kind, i)
		if kind == quorate {
			follower := w.e.Members[slices.IndexFunc(w.e.Members, func(m *ensemble.Member) bool { return m.Kind().Java() })]
			w.resume(follower, 2*logCount, quorateSent)
		}
		w.progress(some(200, 1000))
		w.unharmed()
		w.equal()
	}
	w.finish()
}

// letKindLead ends leaders until one of that kind leads, and starts the others
// again. Leaders of both kinds are killed in some turns and stopped in others.
func (w *world) letKindLead(k ensemble.Kind, turn int) {
	w.Helper()
	since := w.crowd.Log.Now()
	for range 2 * len(w.e.Members) {
		leader := w.leader()
		if leader.Kind() == k {
			w.startAll()
			w.say("%v leads; longest time without an acknowledged write %v", leader, w.longestPause(since))
			return
		}
		if turn/2%2 == 0 {
			leader.Kill()
		} else {
			w.must(leader.Stop())
		}
		w.leader()
		w.progress(20)
		if len(w.e.Members) == 3 { // or no quorum would be left
			w.startAll()
		}
	}
	w.Fatalf("nobody of the kind %s is elected\n%s", k, w.e.LastLines(10))
}
