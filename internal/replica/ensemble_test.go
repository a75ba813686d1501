package replica_test

import (
	"net/netip"
	"testing"

	"github.com/quorate/quorate/internal/replica"
	"github.com/quorate/quorate/session"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/zab/quorum"
	"github.com/quorate/quorate/znode"
)

// ensemble is a few members whose messages arrive at once and whose disks are never
// slow, unless a test cuts or stops something.
type ensemble struct {
	t       testing.TB
	members map[int64]*node
	ids     []int64
	time    replica.Time
	conns   map[zab.ConnID]*link
	nextCon zab.ConnID
	// drop says that a message is lost; nil loses none.
	drop func(to int64, m zab.Message) bool
	// cutOff is a member whose machine acknowledges nothing; 0 is none.
	cutOff int64
}

// link is a connection of the quorum port.
type link struct{ learner, leader int64 }

type node struct {
	e     *ensemble
	id    int64
	m     *replica.Member
	down  bool
	inbox []zab.Message
	// stalled says that its loop stands still, while what comes for it gathers.
	stalled bool
	// durable is how far the disk is; held keeps it from going on.
	ordered uint64
	held    bool
	delayed []zab.Delayed
}

func newEnsemble(t testing.TB, voters int, observers int, change func(*replica.Options)) *ensemble {
	t.Helper()
	return newTunedEnsemble(t, voters, observers, change, func(*zab.Config) {})
}

// newTunedEnsemble is newEnsemble with cores whose configuration tune changes.
func newTunedEnsemble(t testing.TB, voters, observers int, change func(*replica.Options), tune func(*zab.Config)) *ensemble {
	t.Helper()
	e := &ensemble{
		t: t, members: map[int64]*node{}, conns: map[zab.ConnID]*link{},
		time: replica.Time{Mono: 1_000_000, Wall: 1_700_000_000_000},
	}
	var list []int64
	for i := range voters {
		list = append(list, int64(i+1))
	}
	for i := range voters + observers {
		id := int64(i + 1)
		e.ids = append(e.ids, id)
		w := newWorld(t, func(o *replica.Options) {
			o.Member, o.ServerID = true, id
			if change != nil {
				change(o)
			}
		})
		cfg := zab.Config{
			ID: id, Observer: i >= voters,
			Ensemble: zab.Ensemble{Quorum: quorum.NewMajority(list...), Text: []byte("text")},
		}
		tune(&cfg)
		m, err := replica.NewMember(cfg, w.r, replica.MemberOptions{ReadOnlyMillis: 2000, Reaches: e.reaches}, e.time)
		if err != nil {
			t.Fatal(err)
		}
		e.members[id] = &node{e: e, id: id, m: m}
	}
	return e
}

func (e *ensemble) reaches(conn zab.ConnID) bool {
	l := e.conns[conn]
	return l != nil && l.learner != e.cutOff
}

// run carries everything to its end and passes ticks until cond holds.
func (e *ensemble) run(cond func() bool) {
	e.t.Helper()
	for range 3000 {
		e.settle()
		if cond() {
			return
		}
		e.tick()
	}
	for _, id := range e.ids {
		e.t.Logf("%d: %+v", id, e.members[id].m.Status())
	}
	e.t.Fatal("it does not come to that")
}

// tick passes 50 ms.
func (e *ensemble) tick() {
	e.time.Mono += 50
	e.time.Wall += 50
	for _, id := range e.ids {
		if n := e.members[id]; !n.down && !n.stalled {
			n.m.Tick(e.time)
		}
	}
}

func (e *ensemble) must(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
}

// settle goes on until nobody has anything to do.
func (e *ensemble) settle() {
	for busy := true; busy; {
		busy = false
		for _, id := range e.ids {
			if e.members[id].step() {
				busy = true
			}
		}
	}
}

func (n *node) step() (busy bool) {
	if n.down {
		n.inbox = nil
		return false
	}
	if n.stalled {
		return false
	}
	for len(n.inbox) > 0 {
		msg := n.inbox[0]
		n.inbox = n.inbox[1:]
		n.m.Step(msg, n.e.time)
		n.take()
		busy = true
	}
	return n.take() || busy
}

func (n *node) take() (busy bool) {
	for {
		out, ok, err := n.m.Take(n.e.time)
		n.e.must(err)
		if !ok {
			return busy || n.sync()
		}
		busy = true
		for _, w := range out.Writes {
			n.ordered = w.Seq
		}
		for _, m := range out.Send {
			n.e.send(n, m)
		}
		n.delayed = append(n.delayed, out.SendAfterSync...)
		for _, sid := range out.Connect {
			n.connect(sid)
		}
		for _, c := range out.Close {
			n.e.close(c, n.id)
		}
	}
}

// sync makes everything ordered durable.
func (n *node) sync() bool {
	if n.held {
		return false
	}
	for _, d := range n.delayed {
		n.e.send(n, d.Message)
	}
	busy := len(n.delayed) > 0 || n.m.Core().Status().Synced != n.m.Core().Status().LastZxid
	n.delayed = nil
	n.m.Durable(n.ordered, n.e.time)
	return busy || n.m.Core().HasReady()
}

func (n *node) connect(sid int64) {
	peer := n.e.members[sid]
	if peer.down {
		n.inbox = append(n.inbox, zab.Message{Type: zab.ConnectFailed, From: sid})
		return
	}
	n.e.nextCon++
	n.e.conns[n.e.nextCon] = &link{learner: n.id, leader: sid}
	n.inbox = append(n.inbox, zab.Message{Type: zab.Connected, From: sid, Conn: n.e.nextCon})
}

func (e *ensemble) close(c zab.ConnID, by int64) {
	l := e.conns[c]
	if l == nil {
		return
	}
	delete(e.conns, c)
	for _, id := range []int64{l.learner, l.leader} {
		if id != by {
			e.members[id].inbox = append(e.members[id].inbox, zab.Message{Type: zab.Disconnected, Conn: c})
		}
	}
}

func (e *ensemble) send(from *node, m zab.Message) {
	to := m.To
	if m.Type != zab.Notification {
		l := e.conns[m.Conn]
		if l == nil {
			return
		}
		if to = l.leader; from.id == l.leader {
			to = l.learner
		}
	}
	if e.drop == nil || !e.drop(to, m) {
		e.members[to].inbox = append(e.members[to].inbox, m)
	}
}

// kill stops a member for good.
func (e *ensemble) kill(id int64) {
	e.members[id].down = true
	for c, l := range e.conns {
		if l.leader == id || l.learner == id {
			e.close(c, id)
		}
	}
}

// leader waits until somebody leads and everybody who is up serves.
func (e *ensemble) leader() (lead int64) {
	e.t.Helper()
	e.run(func() bool {
		lead = 0
		for _, id := range e.ids {
			n := e.members[id]
			if n.down {
				continue
			}
			if !n.m.Serving() {
				return false
			}
			if n.m.Status().Role == zab.Leading {
				lead = id
			}
		}
		return lead != 0
	})
	return lead
}

// other returns a member that is up and not among those given.
func (e *ensemble) other(not ...int64) int64 {
	for _, id := range e.ids {
		skip := e.members[id].down
		for _, n := range not {
			skip = skip || n == id
		}
		if !skip {
			return id
		}
	}
	e.t.Fatal("no other member")
	return 0
}

// guest is a client of one member.
type guest struct {
	peer
	n *node
}

func (e *ensemble) dial(at int64) *guest {
	n := e.members[at]
	g := &guest{n: n, peer: peer{w: &world{t: e.t}}}
	g.c = n.m.Replica().NewClient(netip.MustParseAddr("127.0.0.1"), g)
	return g
}

// feed gives bytes to the member and submits what comes of them.
func (g *guest) feed(b []byte) {
	e := g.n.e
	g.unfed = append(g.unfed, b...)
	n, subs, _, err := g.c.Feed(g.unfed, e.time.Mono, nil)
	e.must(err)
	for i := range subs {
		e.must(g.n.m.Submit(&subs[i], e.time))
	}
	g.unfed = g.unfed[n:]
}

// join opens a session, or brings the guest's to this member.
func (g *guest) join() (resp wire.ConnectResponse) {
	e := g.n.e
	e.t.Helper()
	req := wire.ConnectRequest{TimeOut: 10_000, SessionID: g.id, Passwd: g.passwd}
	g.feed(frame(req.Append(nil)))
	var out []byte
	e.run(func() bool {
		g.feed(nil)
		out = append(out, g.take()...)
		return len(out) > 0 || g.c.State() == replica.StateClosed
	})
	if len(out) > 0 {
		rd := wire.NewReader(out[wire.FrameHeaderBytes:])
		resp.Decode(&rd)
		g.id, g.passwd = resp.SessionID, append([]byte(nil), resp.Passwd...)
	}
	return resp
}

func (e *ensemble) guest(at int64) *guest {
	e.t.Helper()
	g := e.dial(at)
	if r := g.join(); r.SessionID == 0 {
		e.t.Fatalf("no session at %d", at)
	}
	return g
}

// wait returns the next n answers.
func (g *guest) wait(n int) []answer {
	g.n.e.t.Helper()
	var got []answer
	g.n.e.run(func() bool {
		g.feed(nil)
		got = append(got, g.answers()...)
		return len(got) >= n
	})
	return got
}

func (g *guest) call(xid int32, op wire.Op, body []byte) answer {
	g.n.e.t.Helper()
	g.feed(request(xid, op, body))
	return g.wait(1)[0]
}

func syncBody(p string) []byte { return wire.AppendString(nil, p) }

func TestMembersServe(t *testing.T) {
	e := newEnsemble(t, 3, 1, nil)
	lead := e.leader()
	for _, at := range e.ids {
		g := e.guest(at)
		path := "/at" + string(rune('0'+at))
		if a := g.call(1, wire.OpCreate, create(path, "x", 0)); a.Err != wire.OK {
			t.Fatalf("create at %d (leader %d): %v", at, lead, a.Err)
		}
		if a := g.call(2, wire.OpGetData, unwatched(path)); a.data() != "x" {
			t.Fatalf("read at %d: %v", at, a)
		}
		if a := g.call(3, wire.OpCreate, create(path, "x", 0)); a.Err != wire.ErrNodeExists {
			t.Fatalf("second create at %d: %v", at, a.Err)
		}
		if a := g.call(4, wire.OpSync, syncBody(path)); a.Err != wire.OK || len(a.body) == 0 {
			t.Fatalf("sync at %d: %+v", at, a)
		}
		if a := g.call(5, wire.OpSetData, []byte{1}); a.Err != wire.ErrMarshalling {
			t.Fatalf("a body that cannot be read at %d: %v", at, a.Err)
		}
		if a := g.call(6, wire.OpCloseSession, nil); a.Err != wire.OK || g.c.State() != replica.StateClosed {
			t.Fatalf("close at %d: %v", at, a.Err)
		}
	}
	e.run(func() bool { return e.sameTrees(lead) })
}

// sameTrees reports whether all members that are up have the tree of one.
func (e *ensemble) sameTrees(as int64) bool {
	want := e.members[as].m.Replica().Tree()
	for _, id := range e.ids {
		tree := e.members[id].m.Replica().Tree()
		if !e.members[id].down && (tree.LastZxid() != want.LastZxid() || tree.Digest() != want.Digest()) {
			return false
		}
	}
	return true
}

// A write whose leader dies before it is committed anywhere is made by the next
// leader, once, and the client notices nothing.
func TestWriteOutlivesItsLeader(t *testing.T) {
	for _, reached := range []bool{false, true} {
		e := newEnsemble(t, 3, 0, nil)
		lead := e.leader()
		at := e.other(lead)
		g := e.guest(at)
		g.call(1, wire.OpCreate, create("/q", "", 0))
		// Either the proposals get lost, or the word that they are committed does.
		e.drop = func(_ int64, m zab.Message) bool {
			return m.Type == zab.Commit || !reached && m.Type == zab.Proposal
		}
		g.feed(request(2, wire.OpCreate, create("/q/n-", "x", wire.FlagPersistentSequential)))
		g.feed(request(3, wire.OpGetChildren, unwatched("/q")))
		e.settle()
		e.kill(lead)
		e.drop = nil
		got := g.wait(2)
		if len(got) != 2 || got[0].Xid != 2 || got[0].Err != wire.OK || got[1].Xid != 3 {
			t.Fatalf("reached %v: answers %+v", reached, got)
		}
		rd := wire.NewReader(got[1].body)
		if n := rd.Int(); n != 1 {
			t.Fatalf("reached %v: %d children, want 1", reached, n)
		}
	}
}

// While there is no leader nobody is told anything, and what was asked is answered
// later.
func TestClientsWaitForALeader(t *testing.T) {
	e := newEnsemble(t, 3, 0, nil)
	lead := e.leader()
	at := e.other(lead)
	g := e.guest(at)
	e.kill(lead)
	e.settle()
	if e.members[at].m.Serving() {
		t.Fatal("serves without a leader")
	}
	g.feed(request(-2, wire.OpPing, nil))
	g.feed(request(7, wire.OpExists, unwatched("/")))
	if got := g.answers(); len(got) != 0 {
		t.Fatalf("answers without a leader: %+v", got)
	}
	if got := g.wait(2); got[0].Xid != -2 || got[1].Xid != 7 {
		t.Fatalf("answers %+v", got)
	}
}

// Without a leader for too long, connections are closed.
func TestClientsAreNotHeldForEver(t *testing.T) {
	e := newEnsemble(t, 3, 0, nil)
	lead := e.leader()
	at := e.other(lead)
	g := e.guest(at)
	e.kill(lead)
	e.kill(e.other(lead, at))
	e.run(func() bool { return g.c.State() == replica.StateClosed })
	late := e.dial(at)
	late.feed(frame((&wire.ConnectRequest{TimeOut: 5000}).Append(nil)))
	if late.c.State() != replica.StateClosed {
		t.Fatal("a client is kept although there is no leader")
	}
}

// A session moves to another server with its ephemerals, and its old connection
// cannot write any more.
func TestSessionMoves(t *testing.T) {
	e := newEnsemble(t, 3, 0, nil)
	lead := e.leader()
	a := e.other(lead)
	b := e.other(lead, a)
	for _, way := range [][2]int64{{a, b}, {a, lead}, {lead, b}} {
		g := e.guest(way[0])
		g.call(1, wire.OpCreate, create("/e", "", wire.FlagEphemeral))
		h := e.dial(way[1])
		h.id, h.passwd = g.id, g.passwd
		if r := h.join(); r.SessionID != g.id {
			t.Fatalf("%v: the session did not move: %+v", way, r)
		}
		if x := h.call(1, wire.OpGetEphemerals, syncBody("/")); x.Err != wire.OK {
			t.Fatalf("%v: %+v", way, x)
		}
		g.feed(request(2, wire.OpSetData, setData("/e", "stale")))
		e.run(func() bool { g.answers(); return g.c.State() == replica.StateClosed })
		if x := h.call(2, wire.OpGetData, unwatched("/e")); x.data() != "" {
			t.Fatalf("%v: the old connection wrote", way)
		}
		h.call(3, wire.OpCloseSession, nil)
	}
	g := e.dial(b)
	g.id, g.passwd = 77<<56|5, make([]byte, wire.PasswdBytes)
	if r := g.join(); r.SessionID != 0 {
		t.Fatal("a wrong password was taken")
	}
}

// A learner waits for a transaction for whatever it has forwarded: a Java server that
// waits in vain carries out no write of its clients any more. So a session that is
// closing is closed once more when another server asks for it.
func TestEveryForwardedCloseBecomesATransaction(t *testing.T) {
	e := newEnsemble(t, 3, 0, nil)
	lead := e.leader()
	a := e.other(lead)
	b := e.other(lead, a)
	g := e.guest(a)
	e.members[a].held, e.members[b].held = true, true
	before := e.members[lead].m.Status().LastZxid
	var forwarded []zab.Message
	e.drop = func(to int64, m zab.Message) bool {
		if to == lead && m.Type == zab.Request {
			forwarded = append(forwarded, m)
		}
		return false
	}
	g.feed(request(7, wire.OpCloseSession, nil))
	e.settle()
	e.members[lead].inbox = append(e.members[lead].inbox, forwarded...)
	e.settle()
	if n := e.members[lead].m.Status().LastZxid - before; n != 2 || len(forwarded) != 1 {
		t.Errorf("%d forwarded requests, one of them twice, became %d transactions", len(forwarded), n)
	}
	e.members[a].held, e.members[b].held = false, false
	e.run(func() bool {
		g.answers()
		return g.c.State() == replica.StateClosed
	})
	e.run(func() bool { return e.sameTrees(lead) })
}

// A session that nobody renews ends, wherever its client is; one that is renewed at a
// follower does not.
func TestSessionsExpireAtTheLeader(t *testing.T) {
	e := newEnsemble(t, 3, 0, nil)
	lead := e.leader()
	at := e.other(lead)
	quiet, busy := e.guest(at), e.guest(at)
	quiet.call(1, wire.OpCreate, create("/quiet", "", wire.FlagEphemeral))
	busy.call(1, wire.OpCreate, create("/busy", "", wire.FlagEphemeral))
	n := 0
	e.run(func() bool {
		if n++; n%20 == 0 {
			busy.feed(request(-2, wire.OpPing, nil))
			busy.take()
		}
		return quiet.c.State() == replica.StateClosed && n > 1000
	})
	if a := busy.call(2, wire.OpExists, unwatched("/quiet")); a.Err != wire.ErrNoNode {
		t.Fatalf("the ephemeral of an expired session: %v", a.Err)
	}
	if a := busy.call(3, wire.OpExists, unwatched("/busy")); a.Err != wire.OK {
		t.Fatalf("the ephemeral of a session that is alive: %v", a.Err)
	}
}

// A read that asks for it sees what was written through another server.
func TestLinearizableReads(t *testing.T) {
	e := newEnsemble(t, 3, 0, func(o *replica.Options) { o.LinearizableReads = true })
	lead := e.leader()
	at := e.other(lead)
	w, r := e.guest(lead), e.guest(at)
	w.call(1, wire.OpCreate, create("/x", "old", 0))
	r.call(1, wire.OpGetData, unwatched("/x"))
	lag := true
	e.drop = func(to int64, m zab.Message) bool { return false }
	var late []zab.Message
	e.drop = func(to int64, m zab.Message) bool {
		if lag && to == at && (m.Type == zab.Commit || m.Type == zab.Sync || len(late) > 0 && m.Conn != 0) {
			late = append(late, m)
			return true
		}
		return false
	}
	w.call(2, wire.OpSetData, setData("/x", "new"))
	r.feed(request(2, wire.OpGetData, unwatched("/x")))
	e.settle()
	if got := r.answers(); len(got) != 0 {
		t.Fatalf("a read was answered before its leader spoke: %+v", got)
	}
	lag = false
	e.members[at].inbox = append(late, e.members[at].inbox...)
	if got := r.wait(1); got[0].data() != "new" {
		t.Fatalf("read %q", got[0].data())
	}
}

// Installed brings another tree, and closes who was on the last one.
func TestInstalledTree(t *testing.T) {
	e := newEnsemble(t, 3, 0, nil)
	lead := e.leader()
	at := e.other(lead)
	g := e.guest(at)
	e.kill(lead)
	e.settle()
	tree, err := znode.Open(znode.Options{Backend: znode.NewMemBackend(), Digest: true})
	e.must(err)
	e.must(e.members[at].m.Installed(tree, e.time))
	if g.c.State() != replica.StateClosed {
		t.Fatal("a client outlived its tree")
	}
	if e.members[at].m.Replica().Tree() != tree {
		t.Fatal("the tree is the old one")
	}
}

// A local session costs no transaction, may write, and becomes a global one when it
// makes an ephemeral; without leave to do that it may not.
func TestLocalSessions(t *testing.T) {
	for _, upgrade := range []bool{true, false} {
		e := newEnsemble(t, 3, 0, func(o *replica.Options) { o.LocalSessions, o.LocalUpgrade = true, upgrade })
		lead := e.leader()
		for _, at := range []int64{lead, e.other(lead)} {
			before := e.members[lead].m.Replica().Tree().LastZxid()
			g := e.guest(at)
			if now := e.members[lead].m.Replica().Tree().LastZxid(); now != before {
				t.Fatalf("a local session cost %d transactions", now-before)
			}
			path := "/l" + string(rune('0'+at))
			if a := g.call(1, wire.OpCreate, create(path, "", 0)); a.Err != wire.OK {
				t.Fatalf("create: %v", a.Err)
			}
			want := wire.OK
			if !upgrade {
				want = wire.ErrEphemeralOnLocalSession
			}
			if a := g.call(2, wire.OpCreate, create(path+"/e", "", wire.FlagEphemeral)); a.Err != want {
				t.Fatalf("upgrade %v at %d: %v, want %v", upgrade, at, a.Err, want)
			}
			if n := e.members[at].m.Replica().Tree().SessionCount(); (n > 0) != upgrade {
				t.Fatalf("upgrade %v: %d global sessions", upgrade, n)
			}
			g.feed(request(3, wire.OpSetData, setData(path, "x")))
			g.feed(request(4, wire.OpCloseSession, nil))
			if got := g.wait(2); got[0].Err != wire.OK || got[1].Xid != 4 || g.c.State() != replica.StateClosed {
				t.Fatalf("close: %+v", got)
			}
			e.must(e.members[at].m.Submit(&replica.Submission{Kind: replica.SubmitDetach, Client: g.c}, e.time))
			if n := e.members[at].m.Replica().LocalSessions(); n != 0 {
				t.Fatalf("%d local sessions left", n)
			}
		}
		if n := e.members[lead].m.Replica().Tree().SessionCount(); n != 0 {
			t.Fatalf("%d sessions left", n)
		}
	}
}

// A leader that takes no more proposals for now makes the second transaction of an
// upgrade when it takes them again.
func TestUpgradeAtTheLimit(t *testing.T) {
	e := newTunedEnsemble(t, 3, 0,
		func(o *replica.Options) { o.LocalSessions, o.LocalUpgrade = true, true },
		func(c *zab.Config) { c.OutstandingMax = 1 })
	g := e.guest(e.leader())
	for i, path := range []string{"/a", "/b"} {
		if a := g.call(int32(i+1), wire.OpCreate, create(path, "", wire.FlagEphemeral)); a.Err != wire.OK {
			t.Fatalf("%s: %v", path, a.Err)
		}
	}
}

// Without a leader, clients that can do with it are served reads; they are closed when
// there is a leader again.
func TestReadOnly(t *testing.T) {
	e := newEnsemble(t, 3, 0, nil)
	lead := e.leader()
	at := e.other(lead)
	third := e.other(lead, at)
	writer := e.dial(at)
	owned := writer.join().SessionID
	writer.call(1, wire.OpCreate, create("/x", "v", 0))
	e.kill(lead)
	e.kill(third)
	e.run(func() bool { return !e.members[at].m.Serving() })
	for range 100 {
		e.tick()
		e.settle()
	}
	plain, ro := e.dial(at), e.dial(at)
	plain.feed(frame((&wire.ConnectRequest{TimeOut: 5000, HasReadOnly: true}).Append(nil)))
	ro.feed(frame((&wire.ConnectRequest{TimeOut: 5000, HasReadOnly: true, ReadOnly: true}).Append(nil)))
	e.settle()
	if plain.c.State() != replica.StateClosed {
		t.Fatal("a client that wants to write was taken")
	}
	var resp wire.ConnectResponse
	rd := wire.NewReader(ro.take()[wire.FrameHeaderBytes:])
	if resp.Decode(&rd); !resp.ReadOnly || resp.SessionID == 0 {
		t.Fatalf("answer %+v", resp)
	}
	if a := ro.call(1, wire.OpGetData, unwatched("/x")); a.data() != "v" {
		t.Fatalf("read %+v", a)
	}
	if a := ro.call(2, wire.OpSetData, setData("/x", "w")); a.Err != wire.ErrNotReadOnly {
		t.Fatalf("write %+v", a)
	}
	if a := ro.call(3, wire.OpSync, syncBody("/x")); a.Err != wire.ErrNotReadOnly {
		t.Fatalf("sync %+v", a)
	}
	if a := ro.call(4, wire.OpCheck, wire.PathVersion{Path: []byte("/x"), Version: -1}.Append(nil)); a.Err != wire.ErrNotReadOnly {
		t.Fatalf("check %+v", a)
	}
	if a := ro.call(5, wire.OpCloseSession, nil); a.Err != wire.OK {
		t.Fatalf("close %+v", a)
	}
	e.must(e.members[at].m.Submit(&replica.Submission{Kind: replica.SubmitDetach, Client: ro.c}, e.time))
	readOnlySessions(t, e, at, resp.SessionID, owned)
	ro = e.dial(at)
	ro.feed(frame((&wire.ConnectRequest{TimeOut: 5000, HasReadOnly: true, ReadOnly: true}).Append(nil)))
	e.settle()
	e.members[third].down = false
	e.run(func() bool { return e.members[at].m.Serving() })
	if ro.c.State() != replica.StateClosed {
		t.Fatal("a read-only client outlived the read-only server")
	}
}

// A tree that may hold a part of what is not known to be committed is shown to nobody.
func TestReadOnlyOfAnUnprovenTree(t *testing.T) {
	for _, unproven := range []bool{false, true} {
		w := newWorld(t, func(o *replica.Options) { o.Member, o.ServerID = true, 1 })
		cfg := zab.Config{ID: 1, Ensemble: zab.Ensemble{Quorum: quorum.NewMajority(1, 2, 3)}}
		m, err := replica.NewMember(cfg, w.r, replica.MemberOptions{ReadOnlyMillis: 100, Unproven: unproven}, replica.Time{})
		if err != nil {
			t.Fatal(err)
		}
		const begun = int64(1) << 40 // after whatever the world began with
		for ms := begun; ms <= begun+1000; ms += 10 {
			now := replica.Time{Mono: ms}
			m.Tick(now)
			for more := true; more; {
				if _, more, err = m.Take(now); err != nil {
					t.Fatal(err)
				}
			}
		}
		_, readOnly := w.r.Serving()
		if whole := w.r.Tree().Whole(); readOnly == unproven || whole == unproven {
			t.Errorf("unproven %v: read-only %v, whole %v", unproven, readOnly, whole)
		}
	}
}

// readOnlySessions shows which sessions a read-only server tells a client are gone: not
// one of the ensemble's, and not to a client that may have one it has not heard of.
func readOnlySessions(t *testing.T, e *ensemble, at, gone, owned int64) {
	t.Helper()
	seen := e.members[at].m.Replica().Tree().LastZxid()
	for _, c := range []struct {
		name          string
		session, zxid int64
		denied        bool
	}{
		{"closed here", gone, seen, true},
		{"unknown", 77, seen, true},
		{"unknown, the client has seen nothing", 77, 0, false},
		{"unknown, the client has seen more", 77, seen + 1, false},
		{"of the ensemble", owned, seen, false},
	} {
		g := e.dial(at)
		pw := session.Password(c.session)
		req := wire.ConnectRequest{
			TimeOut: 5000, SessionID: c.session, Passwd: pw[:], LastZxidSeen: c.zxid, HasReadOnly: true, ReadOnly: true,
		}
		g.feed(frame(req.Append(nil)))
		e.settle()
		if out := g.take(); len(out) > 0 != c.denied || g.c.State() != replica.StateClosed {
			t.Errorf("session %s: answered %x", c.name, out)
		}
	}
}

// A write that its client does not wait for any more is not sent to the next leader:
// the session may have gone on elsewhere, and must not be overtaken by its own past.
func TestWriteOfAClosedClientIsNotSentAgain(t *testing.T) {
	e := newEnsemble(t, 3, 0, nil)
	lead := e.leader()
	at := e.other(lead)
	g := e.guest(at)
	g.call(1, wire.OpCreate, create("/x", "", 0))
	e.drop = func(_ int64, m zab.Message) bool { return m.Type == zab.Proposal }
	g.feed(request(2, wire.OpSetData, setData("/x", "sent")))
	e.settle()
	e.kill(lead)
	e.settle()
	late := request(3, wire.OpSetData, setData("/x", "waiting"))
	g.feed(late)
	g.c.TakeOut(nil)
	e.must(e.members[at].m.Submit(&replica.Submission{Kind: replica.SubmitDetach, Client: g.c}, e.time))
	e.drop = nil
	e.leader()
	h := e.guest(at)
	if a := h.call(1, wire.OpGetData, unwatched("/x")); a.data() != "" {
		t.Fatalf("%q was written for a client that is gone", a.data())
	}
}

// Answers that wait for a sync before them do not tell of a zxid before one that the
// client has been told of.
func TestZxidsOfAnswersNeverGoBack(t *testing.T) {
	e := newEnsemble(t, 3, 0, nil)
	lead := e.leader()
	at := e.other(lead)
	g, w := e.guest(at), e.guest(lead)
	g.call(1, wire.OpCreate, create("/x", "", 0))
	held := true
	var late []zab.Message
	e.drop = func(to int64, m zab.Message) bool {
		if held && to == at && m.Type == zab.Sync {
			late = append(late, m)
			return true
		}
		return false
	}
	g.feed(request(2, wire.OpSync, syncBody("/x")))
	g.feed(request(3, wire.OpSetData, setData("/x", "mine")))
	e.settle()
	w.call(1, wire.OpCreate, create("/y", "", 0))
	held = false
	e.members[at].inbox = append(e.members[at].inbox, late...)
	got := g.wait(2)
	if got[0].Xid != 2 || got[1].Xid != 3 || got[1].Err != wire.OK || got[1].Zxid < got[0].Zxid {
		t.Fatalf("answers %+v", got)
	}
}

// What a client asked for after a sync and before a write is answered from before the
// write, however long the sync takes.
func TestReadsDoNotSeeLaterWrites(t *testing.T) {
	e := newEnsemble(t, 3, 0, nil)
	lead := e.leader()
	at := e.other(lead)
	g := e.guest(at)
	g.call(1, wire.OpCreate, create("/x", "old", 0))
	var late []zab.Message
	held := true
	e.drop = func(to int64, m zab.Message) bool {
		if held && to == at && m.Type == zab.Sync {
			late = append(late, m)
			return true
		}
		return false
	}
	g.feed(request(2, wire.OpSync, syncBody("/x")))
	g.feed(request(3, wire.OpGetData, unwatched("/x")))
	g.feed(request(4, wire.OpSetData, setData("/x", "new")))
	g.feed(request(5, wire.OpGetData, unwatched("/x")))
	for range 3 {
		e.settle()
		e.tick()
	}
	held = false
	e.members[at].inbox = append(e.members[at].inbox, late...)
	got := g.wait(4)
	if got[1].data() != "old" || got[2].Err != wire.OK || got[3].data() != "new" {
		t.Fatalf("answers %+v", got)
	}
	for i := range got {
		if got[i].Xid != int32(i+2) || i > 0 && got[i].Zxid < got[i-1].Zxid {
			t.Fatalf("answers %+v", got)
		}
	}
}

// A session that has gone on at another server leaves no write behind that could be
// sent to the next leader, even if its old connection looks alive.
func TestSessionLeavesNoWriteBehind(t *testing.T) {
	e := newEnsemble(t, 5, 0, nil)
	lead := e.leader()
	a := e.other(lead)
	b := e.other(lead, a)
	g := e.guest(a)
	g.call(1, wire.OpCreate, create("/x", "", 0))
	e.drop = func(to int64, m zab.Message) bool { return to == lead && m.Type == zab.Request && m.From == a }
	g.feed(request(2, wire.OpSetData, setData("/x", "old")))
	e.settle()
	h := e.dial(b)
	h.id, h.passwd = g.id, g.passwd
	if r := h.join(); r.SessionID != g.id {
		t.Fatalf("the session did not move: %+v", r)
	}
	if x := h.call(9, wire.OpSetData, setData("/x", "new")); x.Err != wire.OK {
		t.Fatal(x.Err)
	}
	e.drop = nil
	e.kill(lead)
	e.leader()
	for range 20 {
		e.tick()
		e.settle()
	}
	w := e.guest(b)
	if x := w.call(1, wire.OpGetData, unwatched("/x")); x.data() != "new" {
		t.Fatalf("the session's past came after its present: %q", x.data())
	}
	if g.c.State() != replica.StateClosed {
		t.Fatal("the connection whose write was dropped is open")
	}
}

// A server that has lost its leader, and whose client has left for another one without
// its knowing, does not take the session back when it returns; nor does anything of what
// the client had asked for there happen any more, under this leader or under the next.
func TestSessionIsNotTakenBack(t *testing.T) {
	for _, next := range []bool{false, true} {
		e := newEnsemble(t, 5, 0, nil)
		lead := e.leader()
		a := e.other(lead)
		b := e.other(lead, a)
		g := e.guest(a)
		g.call(1, wire.OpCreate, create("/x", "", 0))
		e.drop = func(to int64, m zab.Message) bool { return to == a || m.From == a }
		for c, l := range e.conns {
			if l.learner == a {
				e.close(c, lead)
			}
		}
		e.run(func() bool { return !e.members[a].m.Serving() })
		g.feed(request(2, wire.OpSetData, setData("/x", "past")))
		h := e.dial(b)
		h.id, h.passwd = g.id, g.passwd
		if r := h.join(); r.SessionID != g.id {
			t.Fatalf("next %v: the session did not move: %+v", next, r)
		}
		if x := h.call(3, wire.OpGetData, unwatched("/x")); x.data() != "" {
			t.Fatalf("next %v: %q", next, x.data())
		}
		if next {
			e.kill(lead)
		}
		e.drop = nil
		e.leader()
		for range 100 {
			g.feed(nil)
			e.settle()
			e.tick()
		}
		if g.c.State() != replica.StateClosed {
			t.Fatalf("next %v: the connection that the client has left is open", next)
		}
		if x := h.call(4, wire.OpGetData, unwatched("/x")); x.data() != "" || h.c.State() != replica.StateConnected {
			t.Fatalf("next %v: read %q, the connection is in state %d", next, x.data(), h.c.State())
		}
	}
}

// A session that comes to the leader is given to its client when all is over that it
// did elsewhere.
func TestSessionComesToTheLeaderWithItsPast(t *testing.T) {
	e := newEnsemble(t, 3, 0, nil)
	lead := e.leader()
	at := e.other(lead)
	g := e.guest(at)
	g.call(1, wire.OpCreate, create("/x", "", 0))
	held := true
	var late []zab.Message
	e.drop = func(to int64, m zab.Message) bool {
		if held && to == lead && m.Type == zab.Ack {
			late = append(late, m)
			return true
		}
		return false
	}
	g.feed(request(2, wire.OpSetData, setData("/x", "past")))
	e.settle()
	h := e.dial(lead)
	h.id, h.passwd = g.id, g.passwd
	req := wire.ConnectRequest{TimeOut: 10_000, SessionID: g.id, Passwd: g.passwd}
	h.feed(frame(req.Append(nil)))
	e.settle()
	if out := h.take(); len(out) != 0 {
		t.Fatalf("the session is given away while a write of it is under way: %x", out)
	}
	held = false
	e.members[lead].inbox = append(e.members[lead].inbox, late...)
	e.run(func() bool { return h.c.State() == replica.StateConnected })
	h.take()
	if x := h.call(3, wire.OpGetData, unwatched("/x")); x.data() != "past" {
		t.Fatalf("read %q", x.data())
	}
}

// A multi of a session that has moved is not answered, like any other write.
func TestMultiOfAMovedSession(t *testing.T) {
	e := newEnsemble(t, 3, 0, nil)
	lead := e.leader()
	a := e.other(lead)
	g := e.guest(a)
	g.call(1, wire.OpCreate, create("/x", "", 0))
	h := e.dial(e.other(lead, a))
	h.id, h.passwd = g.id, g.passwd
	e.drop = func(to int64, m zab.Message) bool { return to == a && m.Type == zab.Commit }
	if r := h.join(); r.SessionID != g.id {
		t.Fatalf("the session did not move: %+v", r)
	}
	body := wire.MultiHeader{Op: wire.OpSetData, Err: -1}.Append(nil)
	body = wire.MultiEnd.Append(append(body, setData("/x", "stale")...))
	g.feed(request(2, wire.OpMulti, body))
	e.settle()
	e.drop = nil
	for c, l := range e.conns {
		if l.learner == a {
			e.close(c, a)
			e.close(c, lead)
		}
	}
	e.run(func() bool {
		if got := g.answers(); len(got) != 0 {
			t.Fatalf("answers %+v", got)
		}
		return g.c.State() == replica.StateClosed
	})
}

// A client that brings its session back to a server ends the connection it had there
// before, at once: what still comes on that is from before what it did meanwhile.
func TestOldConnectionEndsWhenTheSessionIsBroughtBack(t *testing.T) {
	e := newEnsemble(t, 3, 0, nil)
	lead := e.leader()
	at := e.other(lead)
	g := e.guest(at)
	g.call(1, wire.OpCreate, create("/x", "", 0))
	h := e.dial(e.other(lead, at))
	h.id, h.passwd = g.id, g.passwd
	e.drop = func(to int64, m zab.Message) bool { return to == at && m.Type == zab.Commit }
	if r := h.join(); r.SessionID != g.id {
		t.Fatalf("the session did not move: %+v", r)
	}
	back := e.dial(at)
	req := wire.ConnectRequest{TimeOut: 10_000, SessionID: g.id, Passwd: g.passwd}
	back.feed(frame(req.Append(nil)))
	g.feed(request(2, wire.OpSetData, setData("/x", "late")))
	e.settle()
	for range 20 {
		e.tick()
		e.settle()
	}
	w := e.guest(lead)
	if x := w.call(1, wire.OpGetData, unwatched("/x")); x.data() != "" {
		t.Fatalf("%q was written on the old connection", x.data())
	}
	if g.c.State() != replica.StateClosed {
		t.Fatal("the old connection is open")
	}
}
