package replica_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/quorate/quorate/internal/replica"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/znode"
)

func TestPipelinedReadsSeeTheWritesBeforeThemAndNoLater(t *testing.T) {
	w := newWorld(t, nil)
	p := w.connected(10000)
	p.must(wire.OpCreate, create("/a", "0", 0))
	var b []byte
	for i := 1; i <= 3; i++ {
		b = append(b, request(int32(10*i), wire.OpSetData, setData("/a", fmt.Sprint(i)))...)
		b = append(b, request(int32(10*i+1), wire.OpGetData, unwatched("/a"))...)
		b = append(b, request(int32(10*i+2), wire.OpPing, nil)...)
	}
	if _, err := p.send(b); err != nil {
		t.Fatal(err)
	}
	if out := p.answers(); len(out) != 0 {
		t.Fatalf("answered before the commit: %+v", out)
	}
	w.commit()
	out := p.answers()
	if len(out) != 9 {
		t.Fatalf("%d answers, want 9", len(out))
	}
	for i := 1; i <= 3; i++ {
		set, get, ping := out[3*i-3], out[3*i-2], out[3*i-1]
		if set.Xid != int32(10*i) || get.Xid != int32(10*i+1) || ping.Xid != wire.XidPing {
			t.Fatalf("order of answers: %+v", out)
		}
		if got := get.data(); got != fmt.Sprint(i) {
			t.Errorf("get behind set %d sees %q", i, got)
		}
		if get.Zxid != set.Zxid {
			t.Errorf("get behind set %d: zxid 0x%x, the set's is 0x%x", i, get.Zxid, set.Zxid)
		}
	}
}

func TestReadsOfOthersDoNotWait(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.connected(10000), w.connected(10000)
	a.must(wire.OpCreate, create("/a", "old", 0))
	if _, err := a.send(request(2, wire.OpSetData, setData("/a", "new"))); err != nil {
		t.Fatal(err)
	}
	if _, err := b.send(request(3, wire.OpGetData, unwatched("/a"))); err != nil {
		t.Fatal(err)
	}
	if out := b.answers(); len(out) != 1 || out[0].data() != "old" {
		t.Fatalf("another session's read: %+v", out)
	}
	w.commit()
}

func TestEventComesBeforeTheDataAndBeforeOnesOwnAnswer(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.connected(10000), w.connected(10000)
	a.must(wire.OpCreate, create("/a", "old", 0))
	a.must(wire.OpGetData, watched("/a"))
	b.must(wire.OpGetData, watched("/a"))
	var s []byte
	s = append(s, request(5, wire.OpSetData, setData("/a", "new"))...)
	s = append(s, request(6, wire.OpGetData, unwatched("/a"))...)
	if _, err := a.send(s); err != nil {
		t.Fatal(err)
	}
	w.commit()
	out := a.answers()
	if len(out) != 3 || out[0].Xid != wire.XidNotification || out[1].Xid != 5 || out[2].Xid != 6 {
		t.Fatalf("own event, own answer, own read: %+v", out)
	}
	if e := out[0].event(); e.Type != wire.EventNodeDataChanged || string(e.Path) != "/a" || e.State != wire.StateSyncConnected {
		t.Errorf("event %+v", e)
	}
	if out[0].Zxid != out[1].Zxid {
		t.Errorf("the notification's zxid is 0x%x, the write's 0x%x", out[0].Zxid, out[1].Zxid)
	}
	if _, err := b.send(request(7, wire.OpGetData, unwatched("/a"))); err != nil {
		t.Fatal(err)
	}
	if out := b.answers(); len(out) != 2 || out[0].Xid != wire.XidNotification || out[1].data() != "new" {
		t.Fatalf("the other watcher: %+v", out)
	}
}

func TestSessionResumesAndTheOldConnectionEnds(t *testing.T) {
	w := newWorld(t, nil)
	a := w.connected(10000)
	a.must(wire.OpCreate, create("/e", "x", wire.FlagEphemeral))
	b := w.dial()
	b.id, b.passwd = a.id, a.passwd
	resp, ok := b.connect(30000)
	if !ok || resp.SessionID != a.id || resp.TimeOut != 30000 {
		t.Fatalf("resumed: %+v %v", resp, ok)
	}
	if a.c.State() != replica.StateClosed {
		t.Error("the session's first connection is still open")
	}
	b.must(wire.OpExists, unwatched("/e"))
}

func TestWrongPasswordDoesNotDisturbTheOwner(t *testing.T) {
	w := newWorld(t, nil)
	a := w.connected(10000)
	b := w.dial()
	b.id, b.passwd = a.id, make([]byte, 16)
	resp, ok := b.connect(10000)
	if !ok || resp.SessionID != 0 || resp.TimeOut != 0 {
		t.Fatalf("wrong password: %+v %v", resp, ok)
	}
	if b.c.State() != replica.StateClosed {
		t.Error("the intruder's connection is open")
	}
	a.must(wire.OpGetChildren, unwatched("/"))
}

func TestClientAheadOfTheServerGetsNoAnswer(t *testing.T) {
	w := newWorld(t, nil)
	p := w.dial()
	req := wire.ConnectRequest{LastZxidSeen: 1 << 62, TimeOut: 1000, HasReadOnly: true}
	if _, err := p.send(frame(req.Append(nil))); err != nil {
		t.Fatal(err)
	}
	w.commit()
	if out := p.take(); len(out) != 0 || p.c.State() != replica.StateClosed {
		t.Fatalf("answer %x, state %v", out, p.c.State())
	}
}

func TestOldHandshakeIsMirrored(t *testing.T) {
	w := newWorld(t, nil)
	p := w.dial()
	req := wire.ConnectRequest{TimeOut: 1000}
	if _, err := p.send(frame(req.Append(nil))); err != nil {
		t.Fatal(err)
	}
	w.commit()
	if out := p.take(); len(out) != wire.FrameHeaderBytes+36 {
		t.Fatalf("%d bytes", len(out))
	}
}

func TestSilentSessionExpiresWithItsEphemerals(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.connected(4000), w.connected(40000)
	a.must(wire.OpCreate, create("/e", "x", wire.FlagEphemeral))
	b.must(wire.OpExists, watched("/e"))
	for range 5 { // pings keep it
		w.pass(3000)
		a.ask(wire.XidPing, wire.OpPing, nil)
		b.ask(wire.XidPing, wire.OpPing, nil)
	}
	w.pass(3900)
	w.commit()
	if out := b.answers(); len(out) != 0 {
		t.Fatalf("expired before its timeout: %+v", out)
	}
	w.pass(2200) // past the timeout and the tick it is rounded up to
	w.commit()
	out := b.answers()
	if len(out) != 1 || out[0].event().Type != wire.EventNodeDeleted {
		t.Fatalf("events after expiry: %+v", out)
	}
	if a.c.State() != replica.StateClosed {
		t.Error("the expired session's connection is open")
	}
	again := w.dial()
	again.id, again.passwd = a.id, a.passwd
	if resp, ok := again.connect(4000); !ok || resp.SessionID != 0 {
		t.Errorf("an expired session was resumed: %+v", resp)
	}
}

func TestCloseSessionAnswersThenEnds(t *testing.T) {
	w := newWorld(t, nil)
	p := w.connected(10000)
	var b []byte
	b = append(b, request(7, wire.OpCloseSession, nil)...)
	b = append(b, request(8, wire.OpGetData, unwatched("/"))...)
	if _, err := p.send(b); err != nil {
		t.Fatal(err)
	}
	w.commit()
	out := p.answers()
	if len(out) != 1 || out[0].Xid != 7 || out[0].Err != wire.OK || p.c.State() != replica.StateClosed {
		t.Fatalf("%+v, state %v", out, p.c.State())
	}
}

func TestOversizedRequestIsRefusedAlone(t *testing.T) {
	w := newWorld(t, func(o *replica.Options) { o.RequestBytesMax = 1000 })
	p := w.connected(10000)
	p.must(wire.OpCreate, create("/a", "x", 0))
	big := request(9, wire.OpSetData, setData("/a", string(make([]byte, 5000))))
	rest := request(10, wire.OpGetData, unwatched("/a"))
	for len(big) > 0 { // in pieces, as a socket would bring it
		n := min(700, len(big))
		if _, err := p.send(big[:n]); err != nil {
			t.Fatal(err)
		}
		big = big[n:]
	}
	if _, err := p.send(rest); err != nil {
		t.Fatal(err)
	}
	out := p.answers()
	if len(out) != 2 || out[0].Xid != 9 || out[0].Err != wire.ErrBadArguments || out[1].Xid != 10 || out[1].data() != "x" {
		t.Fatalf("%+v", out)
	}
	if _, err := p.send(wire.AppendInt(nil, 5<<20)); !errors.Is(err, replica.ErrProtocol) {
		t.Errorf("a length beyond the bound: %v", err)
	}
}

func TestBadLengthsEndTheConnection(t *testing.T) {
	for _, length := range []int32{-1, 0, 1 << 30} {
		w := newWorld(t, nil)
		if _, err := w.dial().send(wire.AppendInt(nil, length)); !errors.Is(err, replica.ErrProtocol) {
			t.Errorf("length %d before the handshake: %v", length, err)
		}
		if _, err := w.connected(10000).send(wire.AppendInt(nil, length)); !errors.Is(err, replica.ErrProtocol) {
			t.Errorf("length %d: %v", length, err)
		}
	}
}

func TestUnknownOperationIsAnsweredInTurnAndEnds(t *testing.T) {
	for _, op := range []wire.Op{99, wire.OpCheck, wire.OpNotification, 10} {
		w := newWorld(t, nil)
		p := w.connected(10000)
		var b []byte
		b = append(b, request(1, wire.OpCreate, create("/a", "", 0))...)
		b = append(b, request(2, op, unwatched("/a"))...)
		if _, err := p.send(b); err != nil {
			t.Fatal(err)
		}
		w.commit()
		out := p.answers()
		if len(out) != 2 || out[0].Xid != 1 || out[1].Err != wire.ErrUnimplemented || out[1].Zxid != -1 ||
			p.c.State() != replica.StateClosed {
			t.Errorf("op %d: %+v, state %v", op, out, p.c.State())
		}
	}
}

func TestUnparsableWriteIsAnsweredInTurnWithoutAZxid(t *testing.T) {
	w := newWorld(t, nil)
	p := w.connected(10000)
	before := p.must(wire.OpCreate, create("/a", "", 0)).Zxid
	var b []byte
	b = append(b, request(1, wire.OpSetData, setData("/a", "1"))...)
	b = append(b, request(2, wire.OpSetData, []byte{0, 0})...)
	b = append(b, request(3, wire.OpSetData, setData("/a", "2"))...)
	if _, err := p.send(b); err != nil {
		t.Fatal(err)
	}
	w.commit()
	out := p.answers()
	if len(out) != 3 || out[1].Xid != 2 || out[1].Err != wire.ErrMarshalling || out[2].Zxid != before+2 {
		t.Fatalf("%+v", out)
	}
}

func TestSetWatchesTellsWhatWasMissed(t *testing.T) {
	w := newWorld(t, nil)
	p := w.connected(10000)
	for _, n := range []string{"/data", "/same", "/exist", "/child"} {
		p.must(wire.OpCreate, create(n, "", 0))
	}
	since := p.must(wire.OpGetData, unwatched("/same")).Zxid
	p.must(wire.OpSetData, setData("/data", "new"))
	p.must(wire.OpCreate, create("/child/x", "", 0))
	req := wire.SetWatchesRequest{RelativeZxid: since}
	req.Lists[0] = [][]byte{[]byte("/data"), []byte("/gone"), []byte("/same")}
	req.Lists[1] = [][]byte{[]byte("/exist"), []byte("/later")}
	req.Lists[2] = [][]byte{[]byte("/child")}
	if _, err := p.send(request(wire.XidSetWatches, wire.OpSetWatches, req.Append(nil, wire.OpSetWatches))); err != nil {
		t.Fatal(err)
	}
	out := p.answers()
	want := []wire.WatcherEvent{
		{Type: wire.EventNodeDataChanged, Path: []byte("/data")},
		{Type: wire.EventNodeDeleted, Path: []byte("/gone")},
		{Type: wire.EventNodeCreated, Path: []byte("/exist")},
		{Type: wire.EventNodeChildrenChanged, Path: []byte("/child")},
	}
	if len(out) != len(want)+1 || out[len(want)].Xid != wire.XidSetWatches || out[len(want)].Err != wire.OK {
		t.Fatalf("%+v", out)
	}
	for i, e := range want {
		got := out[i].event()
		if out[i].Zxid != -1 || got.Type != e.Type || string(got.Path) != string(e.Path) {
			t.Errorf("event %d: zxid %d %d %s, want %d %s", i, out[i].Zxid, got.Type, got.Path, e.Type, e.Path)
		}
	}
	p.must(wire.OpSetData, setData("/same", "now")) // fires the one that was registered again
	var events int
	for _, op := range []struct {
		op   wire.Op
		body []byte
	}{{wire.OpSetData, setData("/same", "x")}, {wire.OpCreate, create("/later", "", 0)}} {
		if _, err := p.send(request(20, op.op, op.body)); err != nil {
			t.Fatal(err)
		}
		w.commit()
		events += len(p.answers()) - 1
	}
	if events != 1 {
		t.Errorf("%d events after registering again, want the creation of /later alone", events)
	}
}

func TestFloodingClientIsPaused(t *testing.T) {
	w := newWorld(t, func(o *replica.Options) { o.QueueLimit = 10 })
	p := w.connected(10000)
	p.must(wire.OpCreate, create("/a", "", 0))
	var b []byte
	for i := range 100 {
		b = append(b, request(int32(i), wire.OpSetData, setData("/a", "x"))...)
	}
	status, err := p.send(b)
	if err != nil || status != replica.Wait {
		t.Fatalf("status %v, %v", status, err)
	}
	if _, n := p.c.Pending(); n != 10 {
		t.Errorf("%d requests wait, want 10", n)
	}
	answered := 0
	for round := 0; answered < 100; round++ {
		if round > 20 {
			t.Fatal("no progress")
		}
		w.commit()
		answered += len(p.answers())
		if _, err := p.send(nil); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWatcherThatReadsNothingIsClosed(t *testing.T) {
	w := newWorld(t, func(o *replica.Options) { o.EventBytes = 1000 })
	a, b := w.connected(10000), w.connected(10000)
	a.must(wire.OpCreate, create("/a", "", 0))
	b.must(wire.OpAddWatch, wire.PathType{Path: []byte("/a")}.Append(nil))
	for range 100 {
		a.must(wire.OpSetData, setData("/a", "x"))
	}
	if b.c.State() != replica.StateClosed {
		t.Error("still open")
	}
}

func TestEnforcedAuthentication(t *testing.T) {
	w := newWorld(t, func(o *replica.Options) { o.EnforceAuth = []string{"digest"} })
	p := w.connected(10000)
	auth := wire.AuthPacket{Scheme: []byte("digest"), Auth: []byte("bob:pw")}
	if a := p.ask(wire.XidAuth, wire.OpAuth, auth.Append(nil)); a.Err != wire.OK || a.Zxid != 0 {
		t.Fatalf("auth: %+v", a)
	}
	p.must(wire.OpGetData, unwatched("/"))
	q := w.connected(10000)
	if a := q.ask(wire.XidPing, wire.OpPing, nil); a.Err != wire.ErrSessionClosedRequiresAuth || q.c.State() != replica.StateClosed {
		t.Fatalf("ping without auth: %+v", a)
	}
}

// TestBareCloseSession: the transaction lists no ephemerals, and they go all the same,
// the tree's digest being what the transaction says.
func TestBareCloseSession(t *testing.T) {
	for _, bare := range []bool{false, true} {
		w := newWorld(t, func(o *replica.Options) { o.Rules.BareCloseSession = bare })
		p, q := w.connected(10000), w.connected(10000)
		p.must(wire.OpCreate, create("/e1", "", wire.FlagEphemeral))
		p.must(wire.OpCreate, create("/e2", "", wire.FlagEphemeral))
		if _, err := p.send(request(9, wire.OpCloseSession, nil)); err != nil {
			t.Fatal(err)
		}
		var txn znode.Txn
		payload := w.log.payloads[0][znode.TxnHeaderBytes:]
		if _, err := znode.DecodeTxn(payload, wire.OpCloseSession, &txn); err != nil || txn.CloseSession.Present == bare {
			t.Errorf("bare %v: %+v, %v", bare, txn.CloseSession, err)
		}
		w.commit()
		for _, path := range []string{"/e1", "/e2"} {
			if a := q.ask(1, wire.OpExists, unwatched(path)); a.Err != wire.ErrNoNode {
				t.Errorf("bare %v: %s: %v", bare, path, a.Err)
			}
		}
		w.r.View(func(tree *znode.Tree) {
			if n := tree.DigestMismatches(); n != 0 {
				t.Errorf("bare %v: %d digests differ", bare, n)
			}
		})
	}
}
