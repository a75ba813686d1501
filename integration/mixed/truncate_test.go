//go:build linux

package mixed

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/integration/crash"
	"github.com/quorate/quorate/integration/ensemble"
	"github.com/quorate/quorate/wire"
)

var errServes = errors.New("it serves")

// TestTruncate: a Quorate member has logged, as the leader, what nobody else has, and
// two Java servers have begun the next epoch. It is killed at every step of the
// synchronization that takes those transactions away, while its acknowledgement is
// needed: one Java server is stopped.
func TestTruncate(t *testing.T) {
	crash.Need(t)
	eachRelease(t, func(t *testing.T, java ensemble.Kind) {
		l := &ledger{world: newWorld(t, "100000", []ensemble.Kind{java, java, quorate}, nil)}
		steps := l.truncate(0)
		l.say("truncated in %d steps: %s", len(steps), strings.Join(steps, ", "))
		for _, at := range choose(steps, true) {
			steps := l.truncate(at)
			l.say("died at step %d, %q, behind %s", at, steps[at-1], strings.Join(steps[max(0, at-4):at-1], ", "))
		}
		_, err := l.e.Compare()
		l.must(errors.Join(err, l.e.Check()))
	})
}

// ledger is an ensemble that nobody uses but the test: a Java leader truncates
// only as long as nothing has happened in its epoch.
type ledger struct {
	*world
	n            int
	acknowledged []string
	never        []string // what must not come back
}

// write makes a znode through a member.
func (l *ledger) write(m *ensemble.Member) {
	l.Helper()
	s, err := integration.Connect(m.Addr(), integration.ConnectOptions{TimeoutMs: 10000})
	l.must(err)
	defer s.Drop()
	l.n++
	path, err := s.Create(fmt.Sprintf("/n%d", l.n), nil, 0)
	l.must(err)
	l.acknowledged = append(l.acknowledged, path)
	l.must(s.Close())
}

// writeInVain lets the leader alone log a few transactions: the others do not run, and
// die before they read anything of it.
func (l *ledger) writeInVain(leader *ensemble.Member) {
	l.Helper()
	s, err := integration.Connect(leader.Addr(), integration.ConnectOptions{TimeoutMs: 10000})
	l.must(err)
	defer s.Drop()
	for _, m := range l.e.Except(leader) {
		if m.Running() {
			l.must(m.Pause())
		}
	}
	for range 5 {
		l.n++
		path := fmt.Sprintf("/vain%d.", l.n)
		req := wire.CreateRequest{Path: []byte(path), ACL: wire.OpenACL}
		_, err := s.Send(wire.OpCreate, req.Append(nil, wire.OpCreate))
		l.must(err)
		l.never = append(l.never, path)
	}
	l.must(ensemble.Await("the log of the leader to hold what it proposes", func() error { return logHolds(leader, l.never) }))
	for _, m := range append([]*ensemble.Member{leader}, l.e.Except(leader)...) {
		m.Kill()
	}
}

// logHolds is an error unless a text is in the log files of a member.
func logHolds(m *ensemble.Member, texts []string) error {
	files, err := filepath.Glob(filepath.Join(m.DataDir(), "version-2", "log.*"))
	var all []byte
	for _, f := range files {
		b, bad := os.ReadFile(f)
		all, err = append(all, b...), errors.Join(err, bad)
	}
	for _, text := range texts[len(texts)-1:] {
		if !bytes.Contains(all, []byte(text)) {
			err = errors.Join(err, fmt.Errorf("%s is not in it", text))
		}
	}
	return err
}

// truncate lets the Quorate member log in vain and die at a step of what follows.
func (l *ledger) truncate(at int) []string {
	l.Helper()
	q := l.e.Member(3)
	l.letLead(q)
	l.write(q)
	l.writeInVain(q)
	for _, m := range l.e.Except(q) {
		l.must(m.Start())
	}
	leader := l.leader()
	other := l.e.Except(q, leader)[0]
	_, err := other.AwaitServing()
	l.must(err)
	// It is killed, not paused: the log of a Java follower that goes on after a pause may
	// hold transactions twice, those in its socket and the same from its next synchronization.
	// When it reads them at its next start, the second time does not fit the digests.
	other.Kill()
	steps := l.dieAt(q, at, func() {})
	l.must(q.AwaitSynced())
	// Java says what it sends in its debug log only.
	if cut := slices.ContainsFunc(steps, func(s string) bool { return strings.HasPrefix(s, "cut version-2/log.") }); at == 0 && !cut {
		l.Errorf("nothing was cut: %q", steps)
	}
	l.write(leader)
	l.write(q)
	l.must(other.Start())
	l.must(l.e.AwaitSynced())
	l.look()
	return steps
}

// letLead kills leaders until a member leads, and lets the last of them lie.
func (w *world) letLead(m *ensemble.Member) {
	w.Helper()
	for range 5 {
		leader := w.leader()
		if leader == m {
			return
		}
		w.must(w.e.Start())
		leader.Kill()
	}
	w.Fatalf("member %v is not elected\n%s", m, w.e.LastLines(10))
}

// look compares all trees: everything acknowledged is there, nothing else.
func (l *ledger) look() {
	l.Helper()
	_, err := l.e.Compare()
	l.must(errors.Join(err, l.e.Check()))
	for _, m := range l.e.Members {
		tree, err := integration.ReadTree(m.Addr())
		l.must(err)
		for _, path := range l.acknowledged {
			if _, ok := tree[path]; !ok {
				l.Errorf("member %v has lost %s", m, path)
			}
		}
		for _, path := range l.never {
			if _, ok := tree[path]; ok {
				l.Errorf("member %v has %s again", m, path)
			}
		}
	}
}
