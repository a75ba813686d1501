package replica_test

import (
	"encoding/hex"
	"net/netip"
	"testing"

	"github.com/quorate/quorate/internal/replica"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/znode"
)

// world is a replica with a log in memory and a clock that a test moves. What
// is submitted is proposed at once; it is applied when the test commits it.
type world struct {
	t    testing.TB
	r    *replica.Replica
	log  memLog
	time replica.Time
}

// memLog is the log of a world: proposed entries that are not applied yet.
type memLog struct {
	zxids    []int64
	payloads [][]byte
}

func (l *memLog) Begin() []byte { return nil }

func (l *memLog) End(buf []byte, zxid int64) {
	l.zxids, l.payloads = append(l.zxids, zxid), append(l.payloads, buf)
}

func (l *memLog) Len() int                    { return len(l.zxids) }
func (l *memLog) Entry(i int) (int64, []byte) { return l.zxids[i], l.payloads[i] }

func newWorld(t testing.TB, change func(*replica.Options)) *world {
	t.Helper()
	tree, err := znode.Open(znode.Options{Backend: znode.NewMemBackend(), Digest: true})
	if err != nil {
		t.Fatal(err)
	}
	auth, err := znode.NewAuth(znode.AuthConfig{})
	if err != nil {
		t.Fatal(err)
	}
	tree.ACLs().SetAuth(auth)
	o := replica.Options{
		Tree: tree, Rules: znode.Rules{Digest: true, Auth: auth},
		TickMillis: 2000, OversizedBytesMax: 4 << 20,
	}
	if change != nil {
		change(&o)
	}
	w := &world{t: t, time: replica.Time{Mono: 1_000_000, Wall: 1_700_000_000_000}}
	w.r = replica.New(o, w.time)
	return w
}

// commit applies everything that is proposed.
func (w *world) commit() {
	w.t.Helper()
	for w.log.Len() > 0 {
		log := w.log
		w.log = memLog{}
		if err := w.r.Apply(&log, w.time.Mono); err != nil {
			w.t.Fatal(err)
		}
		w.r.Committed(log.zxids[len(log.zxids)-1])
	}
}

// pass moves the clock and lets the replica look at it as often as it should.
func (w *world) pass(ms int64) {
	w.t.Helper()
	for ; ms > 0; ms -= stepMillis {
		w.stall(min(ms, stepMillis))
	}
}

// stepMillis is how often the replicas of worlds are to look at the clock.
const stepMillis = 200

// stall moves the clock while the replica stands still, and then lets it look.
func (w *world) stall(ms int64) {
	w.t.Helper()
	w.time.Mono += ms
	w.time.Wall += ms
	if err := w.r.Tick(&w.log, w.time); err != nil {
		w.t.Fatal(err)
	}
}

// peer is one connection of a world, seen from the other end.
type peer struct {
	w       *world
	c       *replica.Client
	unfed   []byte
	flushes int
	resumes int
	id      int64
	passwd  []byte
}

func (p *peer) Flush()  { p.flushes++ }
func (p *peer) Resume() { p.resumes++ }

func (w *world) dial() *peer {
	p := &peer{w: w}
	p.c = w.r.NewClient(netip.MustParseAddr("127.0.0.1"), p)
	return p
}

// send feeds bytes and submits what comes of them.
func (p *peer) send(b []byte) (replica.Status, error) {
	p.w.t.Helper()
	p.unfed = append(p.unfed, b...)
	n, subs, status, err := p.c.Feed(p.unfed, p.w.time.Mono, nil)
	for i := range subs {
		if err := p.w.r.Submit(&p.w.log, &subs[i], p.w.time); err != nil {
			p.w.t.Fatal(err)
		}
	}
	p.unfed = p.unfed[n:]
	p.w.r.Flush()
	return status, err
}

func frame(body []byte) []byte { return append(wire.AppendInt(nil, int32(len(body))), body...) }

func request(xid int32, op wire.Op, body []byte) []byte {
	return frame(append(wire.RequestHeader{Xid: xid, Op: op}.Append(nil), body...))
}

func watched(p string) []byte { return wire.PathWatch{Path: []byte(p), Watch: true}.Append(nil) }

func unwatched(p string) []byte { return wire.PathWatch{Path: []byte(p)}.Append(nil) }

func setData(p, data string) []byte {
	r := wire.SetDataRequest{Path: []byte(p), Data: []byte(data), Version: -1}
	return r.Append(nil)
}

func create(p, data string, flags int32) []byte {
	r := wire.CreateRequest{Path: []byte(p), Data: []byte(data), ACL: wire.OpenACL, Flags: flags}
	return r.Append(nil, wire.OpCreate)
}

// connect opens a session, or attaches to the peer's, and returns the answer;
// ok is false when there was none.
func (p *peer) connect(timeout int32) (resp wire.ConnectResponse, ok bool) {
	p.w.t.Helper()
	req := wire.ConnectRequest{TimeOut: timeout, SessionID: p.id, Passwd: p.passwd, HasReadOnly: true}
	if _, err := p.send(frame(req.Append(nil))); err != nil {
		p.w.t.Fatal(err)
	}
	p.w.commit()
	out := p.take()
	if len(out) == 0 {
		return resp, false
	}
	rd := wire.NewReader(out[wire.FrameHeaderBytes:])
	resp.Decode(&rd)
	if rd.Err() != nil {
		p.w.t.Fatalf("connect response %s: %v", hex.EncodeToString(out), rd.Err())
	}
	p.id, p.passwd = resp.SessionID, append([]byte(nil), resp.Passwd...)
	return resp, true
}

func (w *world) connected(timeout int32) *peer {
	w.t.Helper()
	p := w.dial()
	if resp, ok := p.connect(timeout); !ok || resp.SessionID == 0 {
		w.t.Fatalf("no session: %+v %v", resp, ok)
	}
	return p
}

// take returns the bytes the peer was sent since the last time.
func (p *peer) take() []byte {
	out, _ := p.c.TakeOut(nil)
	return out
}

// answer is one packet from the server.
type answer struct {
	wire.ReplyHeader
	body []byte
}

func (a answer) event() (e wire.WatcherEvent) {
	rd := wire.NewReader(a.body)
	e.Decode(&rd)
	return e
}

// data reads the body of a getData answer.
func (a answer) data() string {
	rd := wire.NewReader(a.body)
	return rd.String()
}

// answers decodes all packets the peer was sent since the last time.
func (p *peer) answers() []answer {
	p.w.t.Helper()
	out := p.take()
	var list []answer
	for len(out) > 0 {
		n := int(wire.FrameLength(out))
		rd := wire.NewReader(out[wire.FrameHeaderBytes : wire.FrameHeaderBytes+n])
		var a answer
		a.Decode(&rd)
		if rd.Err() != nil {
			p.w.t.Fatal(rd.Err())
		}
		a.body = rd.Remaining()
		list = append(list, a)
		out = out[wire.FrameHeaderBytes+n:]
	}
	return list
}

// ask sends one request, commits, and returns its answer.
func (p *peer) ask(xid int32, op wire.Op, body []byte) answer {
	p.w.t.Helper()
	if _, err := p.send(request(xid, op, body)); err != nil {
		p.w.t.Fatal(err)
	}
	p.w.commit()
	list := p.answers()
	if len(list) == 0 || list[len(list)-1].Xid != xid {
		p.w.t.Fatalf("%v: answers %+v", op, list)
	}
	return list[len(list)-1]
}

// must is ask for a request that has to succeed.
func (p *peer) must(op wire.Op, body []byte) answer {
	p.w.t.Helper()
	a := p.ask(1, op, body)
	if a.Err != wire.OK {
		p.w.t.Fatalf("%v: %v", op, a.Err)
	}
	return a
}
