package zab

import (
	"errors"
	"strings"
	"testing"

	"github.com/quorate/quorate/zab/quorum"
)

func single(t *testing.T, change func(*Config)) *Core {
	t.Helper()
	cfg := Config{ID: 1, Ensemble: Ensemble{Quorum: quorum.NewMajority(1)}}
	if change != nil {
		change(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// run carries out what a core without peers orders, and returns what it delivered.
func run(c *Core) (up []Delivery) {
	for c.HasReady() {
		r := c.Ready()
		c.Advance()
		up = append(up, r.Deliver...)
		if n := len(r.Writes); n > 0 {
			c.Durable(r.Writes[n-1].Seq)
		}
	}
	return up
}

// A server alone goes through the same phases as any other.
func TestAlone(t *testing.T) {
	c := single(t, nil)
	up := run(c)
	if s := c.Status(); s.Role != Leading || s.Phase != Broadcast || s.CurrentEpoch != 1 {
		t.Fatalf("%+v", s)
	}
	if len(up) != 1 || up[0].Kind != DeliverServe {
		t.Fatalf("%+v", up)
	}
	if z := c.NextZxid(); z != MakeZxid(1, 1) {
		t.Fatalf("next zxid %s", FormatZxid(z))
	}
	for _, data := range []string{"a", "b"} {
		if _, err := c.Propose([]byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Sync(0, 7); err != nil {
		t.Fatal(err)
	}
	up = run(c)
	if len(up) != 3 || string(up[0].Entry.Data) != "a" || up[1].Entry.Zxid != MakeZxid(1, 2) || up[2].Kind != DeliverSynced || up[2].Token != 7 {
		t.Fatalf("%+v", up)
	}
}

func TestRefusals(t *testing.T) {
	c := single(t, func(cfg *Config) { cfg.OutstandingMax = 2 })
	if _, err := c.Propose(nil); !errors.Is(err, ErrNotLeading) {
		t.Errorf("Propose before it leads: %v", err)
	}
	if err := c.Sync(0, 1); !errors.Is(err, ErrNotLeading) {
		t.Errorf("Sync before it leads: %v", err)
	}
	if err := c.HandOver(); !errors.Is(err, ErrNotLeading) {
		t.Errorf("HandOver before it leads: %v", err)
	}
	if err := c.Reply(5, nil); !errors.Is(err, ErrNotLeading) {
		t.Errorf("Reply before it leads: %v", err)
	}
	run(c)
	if err := c.Reply(5, nil); !errors.Is(err, ErrNotServing) {
		t.Errorf("Reply to nobody: %v", err)
	}
	if err := c.Sync(5, 1); !errors.Is(err, ErrNotServing) {
		t.Errorf("Sync for nobody: %v", err)
	}
	if err := c.Forward(Request, nil, nil); !errors.Is(err, ErrNotServing) {
		t.Errorf("Forward at the leader: %v", err)
	}
	for i := range 3 {
		if _, err := c.Propose(nil); (err != nil) != (i == 2) || err != nil && !errors.Is(err, ErrTooManyOutstanding) {
			t.Errorf("proposal %d: %v", i, err)
		}
	}
	run(c)
	if _, err := c.Propose(nil); err != nil {
		t.Errorf("after the commits: %v", err)
	}
}

// A leader alone whose epoch is full begins another by itself.
func TestEpochFullAlone(t *testing.T) {
	c := single(t, func(cfg *Config) { cfg.EpochTxnsMax = 2 })
	run(c)
	for i := range 3 {
		if _, err := c.Propose(nil); (err != nil) != (i == 2) || err != nil && !errors.Is(err, ErrEpochFull) {
			t.Fatalf("proposal %d: %v", i, err)
		}
	}
	run(c)
	if z, err := c.Propose(nil); err != nil || z != MakeZxid(2, 1) {
		t.Fatalf("%s, %v", FormatZxid(z), err)
	}
}

func TestDiskFailed(t *testing.T) {
	c := single(t, nil)
	run(c)
	if _, err := c.Propose([]byte("a")); err != nil {
		t.Fatal(err)
	}
	c.DiskFailed()
	c.DiskFailed()
	c.Tick()
	c.Durable(3)
	c.Step(Message{Type: Notification, From: 2})
	for _, d := range run(c) {
		if d.Kind == DeliverCommit {
			t.Errorf("delivered %+v after the disk failed", d)
		}
	}
	if s := c.Status(); s.Role != Halted {
		t.Errorf("%+v", s)
	}
}

// Whatever is wrong is found at once, and named.
func TestValidate(t *testing.T) {
	_, err := New(Config{PingTicks: -1, SyncLimitTicks: -2, Boot: Boot{AcceptedEpoch: 1, CurrentEpoch: 2}})
	for _, want := range []string{"PingTicks", "SyncLimitTicks", "Ensemble.Quorum", "acceptedEpoch 1 is below currentEpoch 2"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %s", err, want)
		}
	}
	if !errors.Is(err, ErrConfig) || !errors.Is(err, ErrBoot) {
		t.Errorf("%v", err)
	}
	z := MakeZxid
	for what, b := range map[string]Boot{
		"later epoch than currentEpoch":  {AcceptedEpoch: 3, CurrentEpoch: 1, Base: z(2, 5), Applied: z(2, 5)},
		"later epoch than acceptedEpoch": {AcceptedEpoch: 1, CurrentEpoch: 1, SyncMark: true, Base: z(2, 5), Applied: z(2, 5)},
		"does not follow":                {AcceptedEpoch: 1, CurrentEpoch: 1, Runs: []Run{{z(1, 2), z(1, 3)}}},
		"are not between":                {AcceptedEpoch: 1 << 31, CurrentEpoch: -1},
		"the tree is at":                 {AcceptedEpoch: 1, CurrentEpoch: 1, Applied: z(1, 9)},
		"blank server":                   {AcceptedEpoch: 1, CurrentEpoch: 1, Base: z(1, 1), Applied: z(1, 1), Blank: true},
	} {
		_, err := New(Config{ID: 1, Ensemble: Ensemble{Quorum: quorum.NewMajority(1)}, Boot: b})
		if !errors.Is(err, ErrBoot) || !strings.Contains(err.Error(), what) {
			t.Errorf("%q: %v", what, err)
		}
	}
	_, err = New(Config{ID: 1, Observer: true, Ensemble: Ensemble{Quorum: quorum.NewMajority(1)}})
	if !errors.Is(err, ErrConfig) {
		t.Errorf("an observer that votes: %v", err)
	}
}

// With the mark of a synchronization that was cut short, currentEpoch is raised (ZOOKEEPER-1653).
func TestSyncMarkRaisesEpoch(t *testing.T) {
	c, err := New(Config{
		ID: 1, Ensemble: Ensemble{Quorum: quorum.NewMajority(1, 2)},
		Boot: Boot{AcceptedEpoch: 4, CurrentEpoch: 1, SyncMark: true, Base: MakeZxid(3, 7), Applied: MakeZxid(3, 7)},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := c.Ready()
	if len(r.Writes) != 1 || r.Writes[0].Kind != WriteCurrentEpoch || r.Writes[0].Epoch != 3 {
		t.Errorf("%+v", r.Writes)
	}
	if v := r.Send[0].Vote; v != (Vote{1, MakeZxid(3, 7), 3}) {
		t.Errorf("%+v", v)
	}
}

// While a proposed configuration is newer its quorums are needed too.
func TestLastSeenConfiguration(t *testing.T) {
	next := Ensemble{Version: 5, Quorum: quorum.NewMajority(1, 2, 3), Text: []byte("next")}
	c := single(t, func(cfg *Config) { cfg.LastSeen = &next })
	run(c)
	if s := c.Status(); s.Role != Looking {
		t.Fatalf("elected by the old configuration alone: %+v", s)
	}
	next.Version = 0
	c = single(t, func(cfg *Config) { cfg.LastSeen = &next })
	run(c)
	if s := c.Status(); s.Role != Leading {
		t.Fatalf("an older configuration counts: %+v", s)
	}
}

// Every type has a handler in some role, and a name; unknown ones from a peer harm nobody.
func TestTable(t *testing.T) {
	for typ := range typeCount {
		found := false
		for role := range handlers {
			found = found || handlers[role][typ] != nil
		}
		if !found && typ != LogRange {
			t.Errorf("no role handles %s", typ)
		}
		if typ.String() == "" || typ.String() == "UNKNOWN" {
			t.Errorf("type %d has no name", typ)
		}
	}
	c := single(t, nil)
	run(c)
	c.Step(Message{Type: 200, From: 9})
	if e := c.Ready().Events; len(e) != 1 || e[0].Kind != EventIgnored {
		t.Errorf("%+v", e)
	}
}

// A peer may send anything, in any order, in any role: no panic, and no acknowledged write of ours changes.
func FuzzStep(f *testing.F) {
	f.Add([]byte{17, 4, 0, 13, 0, 0, 10, 4, 0, 12, 0, 0, 2, 4, 1, 4, 4, 1})
	f.Add([]byte{11, 0, 0, 18, 0, 0, 3, 1, 0, 5, 1, 0, 3, 1, 1})
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, leader := range []int64{1, 2} {
			p := newPuppet(t, leader)
			for rest := in; len(rest) >= 3; rest = rest[3:] {
				p.say(rest[0], rest[1], rest[2])
			}
		}
	})
}

// puppet is the second of two voters: it says what it is told, on a connection that it renews when it is closed.
type puppet struct {
	core    *Core
	conn    ConnID
	applied []Entry
	t       *testing.T
}

// newPuppet returns the peer of a core that follows it (leader 2), or leads it (leader 1).
func newPuppet(t *testing.T, leader int64) *puppet {
	c, err := New(Config{ID: 1, Ensemble: Ensemble{Quorum: quorum.NewMajority(1, 2)}, InitLimitTicks: 9, SyncLimitTicks: 9})
	if err != nil {
		t.Fatal(err)
	}
	p := &puppet{core: c, conn: 50, t: t}
	c.Step(Message{Type: Notification, From: 2, Vote: Vote{leader, MakeZxid(leader-1, 0), 0}, Round: 1, Format: 2})
	p.run()
	if s := c.Status(); s.Leader != leader {
		t.Fatalf("%+v", s)
	}
	return p
}

func (p *puppet) say(typ, a, b byte) {
	m := Message{Type: Type(typ % 26), From: 2, To: 1, Conn: p.conn, Zxid: MakeZxid(int64(a%8), uint32(b%8)), Data: []byte{typ, a, b}}
	m.Epoch, m.Round, m.State = int64(b%4)-1, int64(a%8), Role(b%4)
	m.Vote = Vote{int64(b%4) - 1, m.Zxid, int64(a % 4)}
	if m.Type == Connected || m.Type == ConnectFailed {
		p.conn++
		m.Conn = p.conn
	}
	p.core.Step(m)
	if typ >= 128 {
		p.core.Tick()
	}
	if typ >= 192 {
		_, _ = p.core.Propose(m.Data)
		_ = p.core.Sync(0, 1)
	}
	p.run()
}

// run carries out what the core orders, and checks that what it applies only grows and has no holes.
func (p *puppet) run() {
	for p.core.HasReady() {
		r := p.core.Ready()
		p.core.Advance()
		for _, w := range r.Writes {
			if w.Kind == WriteInstall {
				p.applied = []Entry{{Zxid: w.Zxid}}
			}
		}
		for _, d := range r.Deliver {
			if d.Kind == DeliverCommit {
				if n := len(p.applied); n > 0 && !Follows(p.applied[n-1].Zxid, d.Entry.Zxid) {
					p.t.Fatalf("%s applied after %s", FormatZxid(d.Entry.Zxid), FormatZxid(p.applied[n-1].Zxid))
				}
				p.applied = append(p.applied, d.Entry)
			}
		}
		if n := len(r.Writes); n > 0 {
			p.core.Durable(r.Writes[n-1].Seq)
		}
		for _, to := range r.Connect {
			p.conn++
			p.core.Step(Message{Type: Connected, From: to, Conn: p.conn})
		}
		for range r.Close {
			p.conn++
		}
	}
}
