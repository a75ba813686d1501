//go:build linux

package quorum

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
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
	leads := row{name: "quorum / leaderServes=no", play: leaderServes, want: `
		the leader: srvr, stat, mntr, conf: not serving; ruok imok, isro null; a client: no answer
		the followers: rw, rw
		kazoo, told of the leader first: at a follower, create: ok /quorum---leaderserves-no/x
		the leader is killed and back
		the next leader: srvr, stat, mntr, conf: not serving; ruok imok, isro null; a client: no answer
		its clients were closed, kazoo is at another with its session: true, set: ok 1
		the last one follows, and serves: follower, "1", version 1`}
	var all sync.WaitGroup
	for _, c := range javaAndQuorate(debian, integration.Options{"leaderServes": "no", "tickTime": "500"}) {
		all.Go(func() {
			t.Run(c.name, func(t *testing.T) {
				e := ensemble.LaidOut(t, c.spec)
				for _, m := range e.Members {
					if err := m.Start(); err != nil {
						t.Fatal(err)
					}
				}
				s := &scene{T: t, e: e}
				s.whoServes(3) // member 1 cannot lead when all are empty
				leads.on(t, c, e)
			})
		})
	}
	all.Wait()
}

func leaderServes(s *scene) {
	leader, f := s.whoServes(3)
	s.see("the leader: %s; a client: %s", s.wordsWithoutQuorum(leader), s.greeting(leader))
	s.see("the followers: %s, %s", s.word(f[0], "isro"), s.word(f[1], "isro"))
	next := f[len(f)-1] // the highest of equals is elected
	k := s.kazoo(false, leader, next, f[0])
	k.await("CONNECTED")
	id := k.say("session")
	at := "at a follower"
	if !s.holds(next, id) {
		at = "elsewhere"
	}
	s.see("kazoo, told of the leader first: %s, create: %s", at, k.say("create %s/x", s.root))
	leader.Kill()
	s.whoServes(2)
	s.must(leader.Start())
	lead, rest := s.whoServes(3)
	s.see("the leader is killed and back")
	s.see("the next leader: %s; a client: %s", s.wordsWithoutQuorum(lead), s.greeting(lead))
	k.insist("get %s/x", s.root)
	set := k.say("set %s/x 1", s.root)
	s.see("its clients were closed, kazoo is at another with its session: %v, set: %s", k.say("session") == id && !s.holds(next, id), set)
	st, err := leader.State()
	s.must(err)
	c := s.connect(leader)
	s.must(c.sync())
	s.see("the last one follows, and serves: %s, %s", st.Mode, c.shown(s.root+"/x"))
	if lead != next || slices.Contains(rest, next) {
		s.Errorf("%v leads, not %v", lead, next)
	}
}

// holds tells whether a member has the connection of a session, as kazoo names it.
func (s *scene) holds(m *ensemble.Member, session string) bool {
	s.Helper()
	return strings.Contains(s.word(m, "cons"), "sid=0x"+strings.TrimPrefix(session, "ok ")+",")
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

// TestOneServer: a list of one server is a server that stands alone, or a quorum of one.
func TestOneServer(t *testing.T) {
	rows := []row{{name: "quorum / one-server quorum", play: oneServer, want: `
		[java] srvr: Mode: standalone, isro rw
		[quorate] srvr: Mode: standalone, isro rw
		[java of one] srvr: Mode: leader, isro rw
		[quorate of one] srvr: Mode: leader, isro rw
		[java] mntr: standalone, no quorum
		[quorate] mntr: standalone, no quorum
		[java of one] mntr: leader, quorum_size 1, synced_followers 0
		[quorate of one] mntr: leader, quorum_size 1, synced_followers 0
		[java] its config: ""
		[quorate] its config: ""
		[java of one] its config: "server.1=H:Q:E:participant version=0"
		[quorate of one] its config: "server.1=H:Q:E:participant version=0"
		kazoo: create ok /quorum---one-server-quorum/x, ephemeral ok /quorum---one-server-quorum/e
		kill -9 and a start, kazoo has its session: true, get: ok 1, set: ok 2
		[java] a larger epoch: false
		[quorate] a larger epoch: false
		[java of one] a larger epoch: true
		[quorate of one] a larger epoch: true`}}
	var all []cast
	for _, k := range []ensemble.Kind{debian, quorate} {
		name := map[ensemble.Kind]string{debian: "java", quorate: "quorate"}[k]
		options := integration.Options{"tickTime": "500"}
		all = append(all, cast{name, ensemble.Spec{Options: options, Voters: []ensemble.Kind{k}}})
		options = integration.Options{"tickTime": "500", "standaloneEnabled": "false"}
		all = append(all, cast{name + " of one", ensemble.Spec{Options: options, Voters: []ensemble.Kind{k}}})
	}
	play(t, all, rows)
}

func oneServer(s *scene) {
	m := s.e.Member(1)
	before, err := m.State()
	s.must(err)
	s.see("srvr: Mode: %s, isro %s", before.Mode, s.word(m, "isro"))
	all, err := m.Monitor()
	s.must(err)
	quorum := "no quorum"
	if size, ok := all["zk_quorum_size"]; ok {
		quorum = fmt.Sprintf("quorum_size %s, synced_followers %s", strings.TrimSuffix(size, ".0"), strings.TrimSuffix(all["zk_synced_followers"], ".0"))
	}
	s.see("mntr: %s, %s", all["zk_server_state"], quorum)
	c := s.connect(m)
	config, _, err := c.Get("/zookeeper/config", false)
	s.must(err)
	s.see("its config: %q", s.withoutPorts(string(config)))
	k := s.kazoo(false, m)
	k.await("CONNECTED")
	id := k.say("session")
	s.see("kazoo: create %s, ephemeral %s", k.say("create %s/x", s.root), k.say("create %s/e ephemeral", s.root))
	_ = k.say("set %s/x 1", s.root)
	m.Kill()
	s.must(m.Start())
	s.serves(m)
	got := k.insist("get %s/x", s.root)
	s.see("kill -9 and a start, kazoo has its session: %v, get: %s, set: %s", k.say("session") == id, got, k.say("set %s/x 2", s.root))
	after, err := m.State()
	s.must(err)
	s.see("a larger epoch: %v", after.Zxid>>32 > before.Zxid>>32)
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
