package server

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/zab"
)

// servingTeam is three voters and an observer with a leader; lead and follower are
// ids of voters.
func servingTeam(t *testing.T, change func(*Config)) (g *team, lead, follower, observer int64) {
	t.Helper()
	g = newTeam(t, 3, 1)
	g.change = func(c *Config) {
		c.Version = "3.9.5-test, built on 2026-01-01 00:00 UTC"
		if change != nil {
			change(c)
		}
	}
	g.startAll()
	lead = g.leader()
	return g, lead, g.other(lead), 4
}

func TestWordsTellTheRole(t *testing.T) {
	g, lead, follower, observer := servingTeam(t, nil)
	g.up[follower].client().create("/a", "x")
	for id, mode := range map[int64]string{lead: "leader", follower: "follower", observer: "observer"} {
		r := g.up[id]
		figures := []string{
			`Latency min/avg/max: \d+/\d+\.\d{1,4}/\d+\n`, `Received: \d+\n`, `Sent: \d+\n`, `Connections: \d+\n`,
			`Outstanding: \d+\n`, `Zxid: 0x[0-9a-f]+\n`, `Mode: `, mode, `\n`, `Node count: \d+\n`,
		}
		if id == lead {
			figures = append(figures, `Proposal sizes last/min/max: \d+/\d+/\d+\n`)
		}
		version := `Zookeeper version: 3\.9\.5-test, built on 2026-01-01 00:00 UTC\n`
		wantLayout(t, "srvr", r.word("srvr"), append([]string{version}, figures...)...)
		clients := []string{version, `Clients:\n`, `(?:` + reConn + `\)\n)+`, `\n`}
		wantLayout(t, "stat", r.word("stat"), append(clients, figures...)...)
		if got := r.word("isro"); got != "rw" {
			t.Errorf("isro: %q", got)
		}
	}
}

func TestWordConfOfAMember(t *testing.T) {
	g, _, follower, observer := servingTeam(t, nil)
	for id, peerType := range map[int64]string{follower: "0", observer: "1"} {
		self := g.list.Find(id).Addresses[0]
		wantLayout(t, "conf", g.up[id].word("conf"),
			`clientPort=\d+\n`, `secureClientPort=-1\n`, `dataDir=.*/version-2\n`, `dataDirSize=\d+\n`,
			`dataLogDir=.*/version-2\n`, `dataLogSize=\d+\n`, `tickTime=1000\n`, `maxClientCnxns=0\n`,
			`minSessionTimeout=2000\n`, `maxSessionTimeout=20000\n`, `clientPortListenBacklog=-1\n`,
			fmt.Sprintf(`serverId=%d\n`, id), `initLimit=10\n`, `syncLimit=5\n`, `electionAlg=3\n`,
			fmt.Sprintf(`electionPort=%d\n`, self.ElectionPort), fmt.Sprintf(`quorumPort=%d\n`, self.QuorumPort),
			`peerType=`, peerType, `\n`, `membership: \n`, regexp.QuoteMeta(g.list.Text()))
	}
}

func TestWordDumpOfMembers(t *testing.T) {
	g, lead, follower, observer := servingTeam(t, nil)
	c := g.up[follower].client()
	c.create("/a", "x")
	id := fmt.Sprintf("%x", c.id)
	rest := []string{
		`ephemeral nodes dump:\n`, `Sessions with Ephemerals \(0\):\n`, `Connections dump:\n`, `(?s:.*)`,
	}
	wantLayout(t, "dump", g.up[lead].word("dump"), append([]string{
		`SessionTracker dump:\n`, `Session Sets \(1\)/\(1\):\n`, `1 expire at `, reDate, `:\n`, `\t0x`, id, `\n`,
	}, rest...)...)
	g.up[observer].client().must(9, []byte{0, 0, 0, 1, '/'}) // sync: it has seen the session
	for _, learner := range []int64{follower, observer} {
		wantLayout(t, "dump", g.up[learner].word("dump"), append([]string{
			`SessionTracker dump:\n`, `Global Sessions\(\d\):\n`, `(?:0x[0-9a-f]+\t20000ms\n)*`, `0x`, id, `\t20000ms\n`,
			`(?:0x[0-9a-f]+\t20000ms\n)*`,
		}, rest...)...)
	}
}

func TestWordDumpOfLocalSessions(t *testing.T) {
	g, lead, follower, _ := servingTeam(t, func(c *Config) { c.Ensemble.LocalSessions = true })
	c := g.up[follower].client()
	wantLayout(t, "dump", g.up[follower].word("dump"),
		`SessionTracker dump:\n`, `Local Session Sets \(1\)/\(1\):\n`, `1 expire at `, reDate, `:\n`,
		fmt.Sprintf(`\t0x%x\n`, c.id), `Global Sessions\(0\):\n`, `ephemeral nodes dump:\n(?s:.*)`)
	wantLayout(t, "dump", g.up[lead].word("dump"),
		`SessionTracker dump:\n`, `Local Session Sets \(0\)/\(0\):\n`, `Global Session Sets \(0\)/\(0\):\n`,
		`ephemeral nodes dump:\n(?s:.*)`)
}

// TestWordsWithoutALeader: what a server says that is not serving, and what one
// says that serves reads only.
func TestWordsWithoutALeader(t *testing.T) {
	g := newTeam(t, 3, 0)
	g.change = func(c *Config) { c.Ensemble.ReadOnly = c.Ensemble.MyID == 1 }
	alone, readOnly := g.start(2), g.start(1)
	g.start(3)
	lead := g.leader()
	g.up[3].stop()
	delete(g.up, 3)
	if lead == 3 {
		g.leader()
	}
	readOnly.stop()
	for alone.word("isro") != "null" {
		time.Sleep(time.Millisecond)
	}
	for _, w := range []string{"srvr", "stat", "cons", "conf", "dump", "mntr", "dirs", "wchs", "wchc", "wchp", "crst", "srst"} {
		if got := alone.word(w); got != notServing+"\n" {
			t.Errorf("%s: %q", w, got)
		}
	}
	for w, want := range map[string]string{"hash": notServing, "ruok": "imok", "gtmk": "306"} {
		if got := alone.word(w); got != want {
			t.Errorf("%s: %q, want %q", w, got, want)
		}
	}
	if got := alone.word("envi"); !strings.HasPrefix(got, "Environment:\n") {
		t.Errorf("envi: %q", got)
	}
	alone.stop()
	delete(g.up, 2)
	readOnly = g.start(1)
	for readOnly.word("isro") != "ro" {
		time.Sleep(time.Millisecond)
	}
	got := readOnly.word("srvr")
	if !strings.Contains(got, "\nREAD-ONLY mode; serving only read-only clients\nLatency ") || !strings.Contains(got, "\nMode: read-only\n") {
		t.Errorf("srvr of a read-only server: %q", got)
	}
	if got := readOnly.word("conf"); !strings.HasSuffix(got, "peerType=0\n") {
		t.Errorf("conf of a read-only server: %q", got)
	}
	if got := readOnly.word("mntr"); !strings.Contains(got, "\nzk_server_state\tread-only\n") || strings.Contains(got, "peer_state") {
		t.Errorf("mntr of a read-only server begins %q", got[:200])
	}
}

func TestPeerState(t *testing.T) {
	for want, st := range map[string]zab.Status{
		"looking":                     {Role: zab.Looking, Phase: zab.Election},
		"leading - discovery":         {Role: zab.Leading, Phase: zab.Discovery},
		"following - synchronization": {Role: zab.Following, Phase: zab.Synchronization},
		"observing - broadcast":       {Role: zab.Observing, Phase: zab.Broadcast},
	} {
		r := role{status: st}
		if got := r.peer(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
