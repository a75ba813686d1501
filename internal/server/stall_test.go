package server

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/znode"
)

// pinger sends pings for a while. What the server answers is read afterwards.
func (c *rawClient) pinger(every, during time.Duration) (sent int) {
	c.t.Helper()
	for until := time.Now().Add(during); time.Now().Before(until); sent++ {
		if err := c.write(wire.RequestHeader{Xid: wire.XidPing, Op: wire.OpPing}.Append(nil)); err != nil {
			c.t.Fatal(err)
		}
		time.Sleep(every)
	}
	return sent
}

// wantPongs reads the answers to pings.
func (c *rawClient) wantPongs(n int) {
	c.t.Helper()
	for i := range n {
		if h, _, err := c.recv(); err != nil || h.Xid != wire.XidPing {
			c.t.Fatalf("answer %d of %d to pings: %+v, %v", i, n, h, err)
		}
	}
}

// block has the server's loop stand still; what is returned has it go on.
func (r *running) block() (release func()) {
	stands, ends := make(chan struct{}), make(chan struct{})
	r.s.loop.do(func() {
		close(stands)
		<-ends
	})
	<-stands
	return func() { close(ends) }
}

// TestStalledMemberExpiresNobody: the loop of the leader, or of the follower that a client is
// connected to, stands still for longer than a session may be silent. The client is not
// silent; it is the leader that does not ask, or the follower that does not tell.
func TestStalledMemberExpiresNobody(t *testing.T) {
	for _, who := range []zab.Role{zab.Leading, zab.Following} {
		t.Run(who.String(), func(t *testing.T) {
			g := newTeam(t, 3, 0)
			g.change = func(c *Config) {
				c.TickTime = 200 * time.Millisecond
				c.Ensemble.SyncLimit = 50
			}
			g.startAll()
			lead := g.leader()
			stalls := lead
			at := g.other(lead)
			if who == zab.Following {
				stalls = at
				if runtime.GOOS != "linux" {
					t.Skip("here a leader cannot tell who stands still from who is cut off")
				}
			}
			c := g.up[at].dial()
			if err := c.connect(800); err != nil {
				t.Fatal(err)
			}
			c.must(wire.OpCreate, createBody("/e", "", wire.FlagEphemeral))
			release := g.up[stalls].block()
			sent := c.pinger(50*time.Millisecond, 2*time.Second)
			release()
			sent += c.pinger(50*time.Millisecond, 600*time.Millisecond)
			c.wantPongs(sent)
			c.wantData("/e", "")
			if st := g.up[lead].status(); st.Role != zab.Leading {
				t.Fatalf("the leader is %v", st.Role)
			}
			if n := g.up[lead].s.rep.Stats.SessionsExpired.Load(); n != 0 {
				t.Fatalf("%d sessions expired", n)
			}
		})
	}
}

// TestStalledServerExpiresNobody: the loop of a server that is alone stands still.
func TestStalledServerExpiresNobody(t *testing.T) {
	r, c := startShort(t, func(*Config) {})
	release := r.block()
	sent := c.pinger(50*time.Millisecond, 1200*time.Millisecond)
	release()
	c.wantPongs(sent)
	c.wantData("/e", "")
	r.wantExpiry()
}

// startShort starts a server that is alone, and opens a session of 400 ms that has an
// ephemeral.
func startShort(t *testing.T, change func(*Config)) (*running, *rawClient) {
	t.Helper()
	cfg := testConfig(t.TempDir())
	cfg.TickTime = 200 * time.Millisecond
	change(&cfg)
	r := start(t, cfg)
	c := r.dial()
	if err := c.connect(400); err != nil {
		t.Fatal(err)
	}
	c.must(wire.OpCreate, createBody("/e", "", wire.FlagEphemeral))
	return r, c
}

// wantExpiry: the session of startShort has not expired so far, and does when it is silent.
func (r *running) wantExpiry() {
	r.t.Helper()
	if n := r.s.rep.Stats.SessionsExpired.Load(); n != 0 {
		r.t.Fatalf("%d sessions expired", n)
	}
	watcher := r.client()
	watcher.must(wire.OpExists, pathBody("/e", true))
	began := time.Now()
	for len(watcher.events) == 0 {
		watcher.must(wire.OpExists, pathBody("/zookeeper", false))
		time.Sleep(5 * time.Millisecond)
	}
	if took := time.Since(began); took < 300*time.Millisecond || took > 10*time.Second {
		r.t.Errorf("a silent session of 400 ms lived for %v", took)
	}
}

// hangingDisk is a disk on which every write waits.
type hangingDisk struct {
	memberStore
	hangs chan struct{} // closed when the first does
	once  sync.Once
	goes  chan struct{} // closed when it goes on
}

func (h *hangingDisk) write(ws []zab.Write) (*znode.Tree, error) {
	h.once.Do(func() { close(h.hangs) })
	<-h.goes
	return h.memberStore.write(ws)
}

// TestHangingDiskKeepsNobodyWaiting: a follower whose disk hangs hears of what the others commit, and answers its clients.
func TestHangingDiskKeepsNobodyWaiting(t *testing.T) {
	g := newTeam(t, 3, 0)
	g.change = func(c *Config) {
		c.TickTime = 200 * time.Millisecond
		c.Ensemble.SyncLimit = 1000
	}
	g.startAll()
	at := g.other(g.leader())
	c := g.up[at].dial()
	if err := c.connect(60_000); err != nil {
		t.Fatal(err)
	}
	m := g.up[at].s.member
	h := &hangingDisk{memberStore: m.store, hangs: make(chan struct{}), goes: make(chan struct{})}
	exchange := func(s memberStore) {
		done := make(chan struct{})
		g.up[at].s.loop.do(func() {
			defer close(done)
			m.disk.working.Lock()
			defer m.disk.working.Unlock()
			m.store = s
		})
		<-done
	}
	exchange(h)
	c.must(wire.OpCreate, createBody("/a", "1", 0))
	<-h.hangs
	c.must(wire.OpCreate, createBody("/b", "2", 0))
	c.wantData("/b", "2")
	if st := g.up[at].status(); st.Role != zab.Following || st.Synced >= st.Committed {
		t.Errorf("%+v", st)
	}
	close(h.goes)
	c.must(wire.OpCreate, createBody("/c", "3", 0))
	exchange(h.memberStore)
}
