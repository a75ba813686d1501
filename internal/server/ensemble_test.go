package server

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/zab/members"
	"github.com/quorate/quorate/znode"
)

// team is an ensemble whose servers run in this process, on loopback.
type team struct {
	t    testing.TB
	dir  string
	list members.List
	up   map[int64]*running
	// change adjusts a server's configuration.
	change func(*Config)
}

// freePorts returns ports that nobody listens on, from below those that the kernel
// gives to outgoing connections, which could take them before a server does.
func freePorts(t testing.TB, n int) []int {
	t.Helper()
	var ports []int
	for tries := 0; len(ports) < n; tries++ {
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", 12_000+rand.IntN(20_000)))
		if err != nil {
			if tries > 100+n {
				t.Fatal(err)
			}
			continue
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

func newTeam(t testing.TB, voters, observers int) *team {
	t.Helper()
	g := &team{t: t, dir: t.TempDir(), up: map[int64]*running{}}
	ports := freePorts(t, 2*(voters+observers))
	for i := range voters + observers {
		m := members.Member{
			ID:        int64(i + 1),
			Addresses: []members.Address{{Host: "127.0.0.1", QuorumPort: ports[2*i], ElectionPort: ports[2*i+1]}},
		}
		if i >= voters {
			m.Role = members.Observer
		}
		if err := g.list.Add(m); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

func (g *team) start(id int64) *running {
	g.t.Helper()
	cfg := testConfig(filepath.Join(g.dir, strconv.FormatInt(id, 10)))
	cfg.Ensemble = &EnsembleConfig{List: g.list, MyID: id, InitLimit: 10, SyncLimit: 5, HoldClients: 10 * time.Second}
	cfg.Log = zaptest.NewLogger(g.t, zaptest.Level(zap.WarnLevel)).Named("server" + strconv.FormatInt(id, 10))
	if g.change != nil {
		g.change(&cfg)
	}
	r := start(g.t, cfg)
	g.up[id] = r
	return r
}

func (g *team) startAll() {
	g.t.Helper()
	for _, m := range g.list.Members {
		g.start(m.ID)
	}
}

func (r *running) status() zab.Status {
	r.s.member.statusMu.Lock()
	defer r.s.member.statusMu.Unlock()
	return r.s.member.status
}

// leader waits until one server leads and all that are up serve.
func (g *team) leader() (lead int64) {
	g.t.Helper()
	until := time.Now().Add(patience)
	for time.Now().Before(until) {
		lead = 0
		serving := 0
		for id, r := range g.up {
			st := r.status()
			if st.Phase == zab.Broadcast {
				serving++
			}
			if st.Role == zab.Leading && st.Phase == zab.Broadcast {
				lead = id
			}
		}
		if lead != 0 && serving == len(g.up) {
			return lead
		}
		time.Sleep(5 * time.Millisecond)
	}
	g.t.Fatal("no leader")
	return 0
}

func (g *team) other(not ...int64) int64 {
next:
	for _, m := range g.list.Members {
		if g.up[m.ID] == nil {
			continue
		}
		for _, n := range not {
			if n == m.ID {
				continue next
			}
		}
		return m.ID
	}
	g.t.Fatal("no other server")
	return 0
}

func TestEnsembleServes(t *testing.T) {
	g := newTeam(t, 3, 1)
	g.startAll()
	g.leader()
	for _, m := range g.list.Members {
		c := g.up[m.ID].client()
		path := name("/from%d", m.ID)
		c.create(path, "x")
		c.set(path, "y")
		c.wantData(path, "y")
	}
	for _, m := range g.list.Members {
		c := g.up[m.ID].client()
		c.wantData("/zookeeper/config", g.list.Text())
		c.must(wire.OpSync, wire.AppendString(nil, "/"))
		for _, o := range g.list.Members {
			c.wantData(name("/from%d", o.ID), "y")
		}
	}
}

// TestEnsembleKeepsClients stops the leader: the clients of the others keep their
// connections and lose nothing.
func TestEnsembleKeepsClients(t *testing.T) {
	g := newTeam(t, 3, 0)
	g.startAll()
	lead := g.leader()
	c := g.up[g.other(lead)].client()
	c.create("/n", "")
	g.up[lead].stop()
	delete(g.up, lead)
	for i := range 20 {
		c.create(name("/n/%d", i), "")
	}
	if n := len(c.children("/n")); n != 20 {
		t.Fatalf("%d znodes, want 20", n)
	}
	g.leader()
}

// TestEnsembleMemberGoesBackToJavaFiles turns a member's directory into a Java
// server's and starts from it again: it has what it acknowledged, and joins.
func TestEnsembleMemberGoesBackToJavaFiles(t *testing.T) {
	g := newTeam(t, 3, 0)
	g.startAll()
	lead := g.leader()
	at := g.other(lead)
	c := g.up[at].client()
	c.create("/a", "x")
	cfg := g.up[at].s.cfg
	g.up[at].stop()
	delete(g.up, at)
	r, err := ExportInPlace(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Files) != 1 || filepath.Base(r.Files[0]) != znode.JavaSnapshotName(r.Zxid) {
		t.Fatalf("wrote %v for zxid %x", r.Files, r.Zxid)
	}
	left, err := os.ReadDir(cfg.DataDir)
	if err != nil || len(left) != 1 || left[0].Name() != versionDir {
		t.Fatalf("what is left is %v, %v", left, err)
	}
	d := g.up[lead].client()
	d.create("/b", "y")
	again := g.start(at)
	g.leader()
	if got := again.s.Recovery(); !got.Imported {
		t.Errorf("the start took over nothing: %+v", got)
	}
	e := again.client()
	e.must(wire.OpSync, wire.AppendString(nil, "/"))
	e.wantData("/a", "x")
	e.wantData("/b", "y")
}

// An observer may have the lowest sid: then it is the voters that make the election connections to it (ZOOKEEPER-4886).
func TestObserverOfTheLowestSid(t *testing.T) {
	g := newTeam(t, 4, 0)
	g.list.Members[0].Role = members.Observer
	g.startAll()
	g.leader()
	c := g.up[1].client()
	c.create("/n", "x")
	c.wantData("/n", "x")
	if role := g.up[1].status().Role; role != zab.Observing {
		t.Errorf("it is %v", role)
	}
}
