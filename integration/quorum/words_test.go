//go:build linux

package quorum

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/quorate/quorate/integration/ensemble"
	"github.com/quorate/quorate/wire"
)

// role is a member by its part in the ensemble.
type role struct {
	name string
	m    *ensemble.Member
}

// roles returns a member of each.
func (s *scene) roles() []role {
	s.Helper()
	return []role{{"leader", s.leader()}, {"follower", s.followers()[0]}, {"observer", s.observer()}}
}

// word asks a member with a four-letter word.
func (s *scene) word(m *ensemble.Member, word string) string {
	s.Helper()
	text, err := ensemble.Word(m.Addr(), word)
	s.must(err)
	return text
}

var (
	wordDate   = regexp.MustCompile(`[A-Z][a-z]{2} [A-Z][a-z]{2} \d+ [\d:]+ [A-Z]+ \d{4}`)
	wordHex    = regexp.MustCompile(`0x[0-9a-f]+`)
	wordNumber = regexp.MustCompile(`-?\d+(\.\d+)?`)
	wordBuild  = regexp.MustCompile(`version: .*`)
	wordClient = regexp.MustCompile(`/127\.0\.0\.1:\d+`)
)

// shape hides what differs from run to run: a line's numbers, and how often
// lines of one kind stand there.
func shape(text string) []string {
	var out []string
	for l := range strings.Lines(text) {
		l = wordBuild.ReplaceAllString(strings.TrimSuffix(l, "\n"), "version: V")
		l = wordClient.ReplaceAllString(wordDate.ReplaceAllString(l, "DATE"), "/CLIENT")
		l = wordNumber.ReplaceAllString(wordHex.ReplaceAllString(l, "X"), "N")
		if len(out) == 0 || out[len(out)-1] != l {
			out = append(out, l)
		}
	}
	return out
}

// wordRows are the four-letter words whose answer depends on the role.
var wordRows = []row{
	{name: "4lw / srvr, stat", calm: true, play: srvrWords, want: `
		srvr of the leader: Mode: leader, last line Proposal sizes last/min/max: N/N/N
		stat of the leader: Mode: leader, last line Proposal sizes last/min/max: N/N/N
		srvr of the follower: Mode: follower, last line Node count: N
		stat of the follower: Mode: follower, last line Node count: N
		srvr of the observer: Mode: observer, last line Node count: N
		stat of the observer: Mode: observer, last line Node count: N`},
	{name: "4lw / conf, envi, dirs", calm: true, play: confWord, want: `
		leader: serverId=1 initLimit=20 syncLimit=5 electionAlg=3 electionPort=E quorumPort=Q peerType=0 membership: $
		server.1=H:Q:E:participant server.2=H:Q:E:participant server.3=H:Q:E:participant server.4=H:Q:E:observer version=0
		follower: serverId=1 initLimit=20 syncLimit=5 electionAlg=3 electionPort=E quorumPort=Q peerType=0 membership: $
		server.1=H:Q:E:participant server.2=H:Q:E:participant server.3=H:Q:E:participant server.4=H:Q:E:observer version=0
		observer: serverId=1 initLimit=20 syncLimit=5 electionAlg=3 electionPort=E quorumPort=Q peerType=1 membership: $
		server.1=H:Q:E:participant server.2=H:Q:E:participant server.3=H:Q:E:participant server.4=H:Q:E:observer version=0`},
	{name: "4lw / cons, dump", calm: true, play: dumpWord, want: `
		leader: SessionTracker dump:|Session Sets (N)/(N):|ephemeral nodes dump:|Sessions with Ephemerals (N):|Connections dump:|Connections Sets (N)/(N):
		follower: SessionTracker dump:|Global Sessions(N):|ephemeral nodes dump:|Sessions with Ephemerals (N):|Connections dump:|Connections Sets (N)/(N):
		observer: SessionTracker dump:|Global Sessions(N):|ephemeral nodes dump:|Sessions with Ephemerals (N):|Connections dump:|Connections Sets (N)/(N):
		the ephemeral and its session stand in all of them: true`},
	{name: "4lw / mntr", calm: true, play: mntrWord, want: `
		leader: leader, leading - broadcast
		learners 3, quorum_size 3, synced_followers 2, synced_observers 1, synced_non_voting_followers 0, pending_syncs 0
		follower: follower, following - broadcast
		# Servers of 3.9 have observers of their own (observer masters).
		quorum_size 3, synced_observers 0
		or: quorum_size 3
		observer: observer, observing - broadcast
		quorum_size 3`},
	{name: "4lw / whitelist, ruok, isro", calm: true, play: modeWords, want: `
		leader: imok, rw
		follower: imok, rw
		observer: imok, rw`},
}

func srvrWords(s *scene) {
	for _, r := range s.roles() {
		for _, w := range []string{"srvr", "stat"} {
			lines := shape(s.word(r.m, w))
			mode := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "Mode: ") })
			if mode < 0 {
				s.Fatalf("%s says %q", r.m, lines)
			}
			s.see("%s of the %s: %s, last line %s", w, r.name, lines[mode], lines[len(lines)-1])
		}
	}
}

// confWord: what a member adds to conf is its part in the ensemble.
func confWord(s *scene) {
	for _, r := range s.roles() {
		text := s.word(r.m, "conf")
		_, text, ok := strings.Cut(text, "clientPortListenBacklog=-1\n")
		if !ok {
			s.Fatalf("conf of %v: %q", r.m, text)
		}
		for _, m := range s.e.Members {
			a := m.Address
			text = strings.ReplaceAll(text, fmt.Sprintf("%s:%d:%d:", a.Host, a.Quorum, a.Election), "H:Q:E:")
		}
		a := r.m.Address
		text = strings.ReplaceAll(text, fmt.Sprintf("electionPort=%d\nquorumPort=%d\n", a.Election, a.Quorum), "electionPort=E\nquorumPort=Q\n")
		text = strings.Replace(text, fmt.Sprintf("serverId=%d\n", r.m.ID), "serverId=1\n", 1)
		head, list, _ := strings.Cut(text, "membership: \n")
		s.see("%s: %s membership: $", r.name, strings.Join(strings.Fields(head), " "))
		s.see("%s", strings.ReplaceAll(list, "\n", " "))
	}
}

// dumpWord: the leader knows when sessions expire, and the others how long they
// last.
func dumpWord(s *scene) {
	c := s.connect(s.followers()[0])
	_, err := c.Create(s.root+"/e", nil, wire.FlagEphemeral)
	s.must(err)
	everywhere := true
	for _, r := range s.roles() {
		s.must(s.connect(r.m).sync())
		text := s.word(r.m, "dump")
		everywhere = everywhere && strings.Contains(text, s.root+"/e") && strings.Contains(text, fmt.Sprintf("0x%x", c.ID))
		heads := slices.DeleteFunc(shape(text), func(l string) bool {
			return strings.HasPrefix(l, "\t") || strings.HasPrefix(l, "X") || strings.HasPrefix(l, "N expire at DATE")
		})
		s.see("%s: %s", r.name, strings.Join(heads, "|"))
	}
	s.see("the ephemeral and its session stand in all of them: %v", everywhere)
}

func mntrWord(s *scene) {
	for _, r := range s.roles() {
		all, err := r.m.Monitor()
		s.must(err)
		s.see("%s: %s, %s", r.name, all["zk_server_state"], all["zk_peer_state"])
		keys := []string{"quorum_size", "synced_observers"}
		if r.name == "leader" {
			keys = []string{"learners", "quorum_size", "synced_followers", "synced_observers", "synced_non_voting_followers", "pending_syncs"}
		}
		var values []string
		for _, k := range keys {
			if v, ok := all["zk_"+k]; ok {
				values = append(values, k+" "+strings.TrimSuffix(v, ".0"))
			}
		}
		s.see("%s", strings.Join(values, ", "))
	}
}

func modeWords(s *scene) {
	for _, r := range s.roles() {
		s.see("%s: %s, %s", r.name, s.word(r.m, "ruok"), s.word(r.m, "isro"))
	}
}
