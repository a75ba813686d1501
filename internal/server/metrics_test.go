package server

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/zab"
)

// metricNames reads testdata/metric_names.txt: "kind name" by section.
func metricNames(t *testing.T, sections ...string) map[string]string {
	t.Helper()
	text, err := os.ReadFile("testdata/metric_names.txt")
	if err != nil {
		t.Fatal(err)
	}
	names, section := map[string]string{}, ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			section = strings.Trim(line, "[]")
		case slices.Contains(sections, section):
			kind, name, _ := strings.Cut(line, " ")
			names[name] = kind
		}
	}
	if len(names) < 100 {
		t.Fatalf("%d names in %v", len(names), sections)
	}
	return names
}

var kindNames = map[metricKind]string{gauge: "gauge", counter: "counter", simple: "simple", detailed: "detailed"}

// wantNames compares the names and kinds of a server's metrics with ZooKeeper's.
// Ours may be there too.
func wantNames(t *testing.T, got []metric, want map[string]string) {
	t.Helper()
	seen := map[string]bool{}
	for _, m := range got {
		if m.key != "" || strings.HasPrefix(m.name, "quorate_") {
			continue
		}
		if seen[m.name] {
			t.Errorf("%s is there twice", m.name)
		}
		seen[m.name] = true
		if kind, ok := want[m.name]; !ok {
			t.Errorf("%s is no metric of ZooKeeper's in this role", m.name)
		} else if kind != kindNames[m.kind] {
			t.Errorf("%s is a %s, of ZooKeeper a %s", m.name, kindNames[m.kind], kind)
		}
	}
	for name := range want {
		if !seen[name] {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestMetricNamesAreZooKeepers(t *testing.T) {
	alone := start(t, testConfig(t.TempDir()))
	wantNames(t, alone.s.metrics(alone.s.role()), metricNames(t, "all"))
	g, lead, follower, observer := servingTeam(t, nil)
	for section, id := range map[string]int64{"leader": lead, "follower": follower, "observer": observer} {
		s := g.up[id].s
		wantNames(t, s.metrics(s.role()), metricNames(t, "all", section))
	}
}

// figures are the lines of mntr.
func (r *running) figures() map[string]string {
	r.t.Helper()
	all := map[string]string{}
	for line := range strings.Lines(r.word("mntr")) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if _, twice := all[key]; !ok || twice {
			r.t.Errorf("mntr has the line %q", line)
		}
		all[key] = value
	}
	return all
}

func TestMntrOfAnEnsemble(t *testing.T) {
	g, lead, follower, observer := servingTeam(t, nil)
	c := g.up[follower].client()
	c.create("/a", "x")
	c.wantData("/a", "x")
	for _, x := range []struct {
		id   int64
		want map[string]string
	}{
		{lead, map[string]string{
			"zk_server_state": "leader", "zk_peer_state": "leading - broadcast", "zk_quorum_size": "3", "zk_learners": "3",
			"zk_synced_followers": "2", "zk_synced_observers": "1", "zk_synced_non_voting_followers": "0",
			"zk_pending_syncs": "0", "zk_proposal_count": "2", "zk_commit_count": "2",
			"zk_cnt_quorum_ack_latency": "2", "zk_cnt_propagation_latency": "2", "zk_cnt_proposal_latency": "0",
			"zk_cnt_commit_propagation_latency": "0",
		}},
		{follower, map[string]string{
			"zk_server_state": "follower", "zk_peer_state": "following - broadcast", "zk_synced_observers": "0",
			"zk_learner_proposal_received_count": "2", "zk_learner_commit_received_count": "2",
			"zk_cnt_quorum_ack_latency": "0", "zk_cnt_propagation_latency": "2", "zk_cnt_proposal_latency": "2",
			"zk_cnt_commit_propagation_latency": "2",
			"zk_connection_request_count":       "1", "zk_cnt_updatelatency": "2", "zk_cnt_readlatency": "1", "zk_p99_readlatency": "0",
		}},
		{observer, map[string]string{
			"zk_server_state": "observer", "zk_peer_state": "observing - broadcast",
			"zk_cnt_propagation_latency": "2", "zk_cnt_proposal_latency": "0", "zk_cnt_commit_propagation_latency": "2",
		}},
	} {
		got := g.up[x.id].figures()
		for key, want := range x.want {
			if got[key] != want {
				t.Errorf("server %d, %s: %q, want %q", x.id, key, got[key], want)
			}
		}
	}
	if got := g.up[observer].figures()["zk_observer_master_id"]; got != string(rune('0'+lead)) {
		t.Errorf("the observer's leader is %q, want %d", got, lead)
	}
	// A server may vote after the others have committed.
	for id, votes := range map[int64]string{lead: "2", follower: "2", observer: "0"} {
		eventually(t, func() bool { return g.up[id].figures()["zk_cnt_proposal_ack_creation_latency"] == votes })
	}
	// An election may have to be repeated.
	for id, keys := range map[int64][]string{
		lead:     {"zk_looking_count", "zk_cnt_election_time", "zk_cnt_unavailable_time", "zk_cnt_leader_unavailable_time"},
		follower: {"zk_cnt_follower_sync_time"},
		observer: {"zk_cnt_observer_sync_time"},
	} {
		got := g.up[id].figures()
		for _, key := range keys {
			if got[key] == "0" {
				t.Errorf("server %d: nothing is counted in %s", id, key)
			}
		}
	}
	figures := g.up[lead].figures()
	if figures["zk_last_proposal_size"] == "-1" || figures["zk_min_proposal_size"] > figures["zk_max_proposal_size"] && len(figures["zk_min_proposal_size"]) == len(figures["zk_max_proposal_size"]) {
		t.Errorf("proposal sizes %s %s %s", figures["zk_last_proposal_size"], figures["zk_min_proposal_size"], figures["zk_max_proposal_size"])
	}
	g.up[lead].word("srst")
	if got := g.up[lead].word("srvr"); !strings.HasSuffix(got, "Proposal sizes last/min/max: -1/-1/-1\n") {
		t.Errorf("after srst: %q", got)
	}
}

func TestMemberStatsFollowTheRoles(t *testing.T) {
	var s memberStats
	at := func(sec int) time.Time { return time.Unix(int64(sec), 0) }
	become := func(sec int, r zab.Role, p zab.Phase) {
		s.event(&zab.Event{Kind: zab.EventRole, Role: r, Phase: p}, at(sec))
	}
	become(100, zab.Looking, zab.Election)
	become(102, zab.Following, zab.Discovery)
	become(103, zab.Following, zab.Synchronization)
	become(107, zab.Following, zab.Broadcast)
	become(200, zab.Looking, zab.Election)
	become(201, zab.Looking, zab.Election) // again, and still
	become(210, zab.Leading, zab.Discovery)
	become(211, zab.Leading, zab.Synchronization)
	become(220, zab.Leading, zab.Broadcast)
	for name, c := range map[string]struct {
		got  *summary
		want [2]int64 // count, sum
	}{
		"elections":          {&s.elections, [2]int64{2, 12_000}},
		"unavailable":        {&s.unavailable, [2]int64{2, 27_000}},
		"leader unavailable": {&s.leaderUnavailable, [2]int64{1, 20_000}},
		"follower syncs":     {&s.followerSyncs, [2]int64{1, 5_000}},
		"observer syncs":     {&s.observerSyncs, [2]int64{0, 0}},
	} {
		if v := c.got.View(); v.Count != c.want[0] || v.Sum != c.want[1] {
			t.Errorf("%s: %d of %d ms, want %v", name, v.Count, v.Sum, c.want)
		}
	}
	if got := s.looking.Load(); got != 2 {
		t.Errorf("%d elections began, want 2", got)
	}
	if up := s.leaderUptime(at(230)); up != 20_000 {
		t.Errorf("leads for %d ms", up)
	}
	become(300, zab.Looking, zab.Election)
	if up := s.leaderUptime(at(301)); up != 0 {
		t.Errorf("leads for %d ms, looking", up)
	}
}
