//go:build linux

package quorum

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/integration/ensemble"
)

// three is an ensemble of three voters of Quorate's with settings of its own.
func three(options integration.Options) ensemble.Spec {
	return ensemble.Spec{Options: options, Voters: []ensemble.Kind{quorate, quorate, quorate}}
}

// joinedBy returns how the leader last let a member join, as its log tells.
func joinedBy(leader, m *ensemble.Member) string {
	lines := strings.Split(leader.LastLines(1000), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if !strings.Contains(lines[i], "learner joined") || !strings.Contains(lines[i], fmt.Sprintf("\"peer\": %d,", m.ID)) {
			continue
		}
		_, reason, _ := strings.Cut(lines[i], `"reason": "`)
		reason, _, _ = strings.Cut(reason, `"`)
		return reason
	}
	return "no way"
}

// TestSynchronization: a member that comes back is given what it lacks from the log on
// disk, where memory does not reach back; and where there are no Java servers it is told
// to forget what nobody acknowledged.
func TestSynchronization(t *testing.T) {
	spec := three(integration.Options{"commitLogCount": "20", "quorate.ensemble.javaPeers": "false"})
	spec.Observers = []ensemble.Kind{quorate}
	play(t, []cast{{"quorate", spec}}, []row{
		{name: "from the log on disk", play: fromDisk, want: `
			behind by 100 writes, memory holds 20: DIFF from disk
			missing: 0`},
		{name: "an uncommitted tail", play: tailCut, want: `
			the leader has logged what nobody acknowledged: true
			the others show -101
			it rejoins and shows -101
			equal trees
			told to forget it by TRUNC`},
	})
}

func fromDisk(s *scene) {
	leader, away := s.leader(), s.followers()[0]
	s.must(away.Stop())
	_, err := s.connect(leader).write(s.root+"/x", 100)
	s.must(err)
	s.must(away.Start())
	s.serves(away)
	s.see("behind by 100 writes, memory holds 20: %s", joinedBy(leader, away))
	s.see("missing: %d", s.missing(away, s.root+"/x", 100))
}

func tailCut(s *scene) {
	away := s.leader()
	truncated(s)
	s.see("told to forget it by %s", strings.TrimSuffix(joinedBy(s.leader(), away), " from disk"))
}

// TestLeaderServes: with leaderServes=no a leader takes no clients, and the others do. It
// answers no words about its role either, so it is who does not serve.
func TestLeaderServes(t *testing.T) {
	e := ensemble.LaidOut(t, three(integration.Options{"leaderServes": "no"}))
	s := &scene{T: t, e: e}
	for _, m := range e.Members {
		s.must(m.Start())
	}
	leader, f := s.whoServes(3)
	if got := s.greeting(leader); got != "no answer" {
		t.Fatalf("a client of the leader: %s", got)
	}
	var clients []*client
	for i, m := range f {
		c := s.connect(m)
		if _, err := c.Create(fmt.Sprintf("/from-%d", i), nil, 0); err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
	}
	leader.Kill()
	next, f := s.whoServes(2)
	for _, c := range clients {
		if _, err := c.attach(f[0]).Create(fmt.Sprintf("/again-%x", c.ID), nil, 0); err != nil {
			t.Fatalf("a client goes on at the follower: %v", err)
		}
	}
	if got := s.greeting(next); got != "no answer" {
		t.Fatalf("a client of the next leader: %s", got)
	}
}

// whoServes waits until all but one of the n members that run follow, and returns them
// and the one that does not, which leads.
func (s *scene) whoServes(n int) (leader *ensemble.Member, f []*ensemble.Member) {
	s.Helper()
	s.must(ensemble.Await("followers", func() error {
		leader, f = nil, nil
		for _, m := range s.e.Members {
			if !m.Running() {
				continue
			}
			if st, err := m.State(); err == nil && st.Mode == "follower" {
				f = append(f, m)
			} else {
				leader = m
			}
		}
		if leader == nil || len(f) != n-1 {
			return fmt.Errorf("%d follow", len(f))
		}
		return nil
	}))
	return leader, f
}

// TestGroups: a quorum is what groups and weights make it, not a number of servers.
func TestGroups(t *testing.T) {
	spec := three(integration.Options{"group.1": "1:2", "group.2": "3:4", "weight.1": "2", "weight.3": "2"})
	spec.Voters = append(spec.Voters, quorate)
	play(t, []cast{{"quorate", spec}}, []row{
		{name: "groups and weights", play: groups, want: `
			2 and 4 are down, half of the servers, write: ok
			3 is down, one of four, a new client: no answer
			3 is back, write: ok`},
	})
}

func groups(s *scene) {
	one, three := s.e.Member(1), s.e.Member(3)
	s.must(errors.Join(s.e.Member(2).Stop(), s.e.Member(4).Stop()))
	s.serves(one, three)
	_, err := s.connect(one).Create(s.root+"/a", nil, 0)
	s.see("2 and 4 are down, half of the servers, write: %s", said(err))
	s.must(errors.Join(s.e.Member(2).Start(), s.e.Member(4).Start()))
	s.serves(s.e.Members...)
	three.Kill()
	s.must(ensemble.Await("no leader", func() error {
		if m, err := s.e.Leader(); err == nil {
			return fmt.Errorf("member %v leads", m)
		}
		return nil
	}))
	s.see("3 is down, one of four, a new client: %s", s.greeting(one))
	s.must(three.Start())
	s.serves(s.e.Members...)
	_, err = s.connect(one).Create(s.root+"/b", nil, 0)
	s.see("3 is back, write: %s", said(err))
}

// TestStartInAnyOrder starts the members one by one, with long gaps. Whoever is there
// serves as soon as a quorum is, and the last one joins.
func TestStartInAnyOrder(t *testing.T) {
	const gap = 2500 * time.Millisecond
	e := ensemble.LaidOut(t, three(nil))
	s := &scene{T: t, e: e, root: "/order"}
	for i, order := range [][]int{{3, 1, 2}, {2, 3, 1}} {
		for n, id := range order {
			if n > 0 {
				time.Sleep(gap)
			}
			s.must(e.Member(id).Start())
			if n == 0 {
				continue
			}
			for _, up := range order[:n+1] {
				s.serves(e.Member(up))
			}
			_, err := s.connect(e.Member(id)).Create(fmt.Sprintf("/order-%d-%d", i, n), nil, 0)
			s.must(err)
		}
		if _, err := e.Compare(); err != nil {
			t.Fatal(err)
		}
		for _, m := range e.Members {
			m.Kill()
		}
	}
}
