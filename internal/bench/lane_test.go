package bench

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/wire"
)

// decodeRequests splits written bytes into headers.
func decodeRequests(t *testing.T, b []byte) []wire.RequestHeader {
	t.Helper()
	var out []wire.RequestHeader
	for len(b) > 0 {
		n := int(wire.FrameLength(b)) + wire.FrameHeaderBytes
		r := wire.NewReader(b[wire.FrameHeaderBytes:n])
		var h wire.RequestHeader
		h.Decode(&r)
		if r.Err() != nil {
			t.Fatal(r.Err())
		}
		out = append(out, h)
		b = b[n:]
	}
	return out
}

func getScript(value int) *readWrite {
	return &readWrite{tree: tree{"/k"}, keys: 100, readPercent: 100, value: make([]byte, value), rng: newRNG(0)}
}

func getReply(xid int32, value int) []byte {
	return replyFrame(xid, 9, wire.OK, (&wire.Stat{}).Append(wire.AppendString(nil, make([]byte, value))))
}

func newTestLane(s script, window int) *lane {
	l := newLane("test:1", nil, s, window, 4096)
	l.begin(newPhase(0, true), -1)
	return l
}

// send does what a driver does with a lane whose socket takes everything.
func (l *lane) send(now int64) []byte {
	l.fill(now)
	due := append([]byte(nil), l.take(now)...)
	l.wrote(len(due))
	return due
}

func TestLaneKeepsItsWindowFull(t *testing.T) {
	l := newTestLane(getScript(5), 3)
	if got := decodeRequests(t, l.send(10)); len(got) != 3 || got[0].Xid != 1 || got[2].Xid != 3 || got[0].Op != wire.OpGetData {
		t.Fatalf("first burst: %v", got)
	}
	if due := l.send(11); len(due) != 0 {
		t.Fatalf("a full window sends %d bytes", len(due))
	}
	// Two answers and a half, in pieces.
	in := append(getReply(1, 5), getReply(2, 5)...)
	third := getReply(3, 5)
	in = append(in, third[:7]...)
	for i := range in { // byte by byte
		b := append(append([]byte(nil), l.rest...), in[i])
		if err := l.received(b, 110); err != nil {
			t.Fatal(err)
		}
	}
	if got := decodeRequests(t, l.send(120)); len(got) != 2 || got[0].Xid != 4 {
		t.Fatalf("after two answers: %v", got)
	}
	if err := l.received(append(l.rest, third[7:]...), 210); err != nil {
		t.Fatal(err)
	}
	if l.tally.ok != 3 || l.tally.hist.Max() != 200 || l.tally.hist.Quantile(0.1) != 100 || l.tally.last != 210 {
		t.Fatalf("tally: %d answers, max %v, min %v, last %d", l.tally.ok, l.tally.hist.Max(), l.tally.hist.Quantile(0.1), l.tally.last)
	}
}

func TestLaneStopsAtLimitAndDeadline(t *testing.T) {
	l := newTestLane(getScript(5), 8)
	l.begin(newPhase(0, true), 5)
	if got := decodeRequests(t, l.send(0)); len(got) != 5 || l.idle(0) {
		t.Fatalf("%d requests of 5 allowed; idle: %v", len(got), l.idle(0))
	}
	for xid := range int32(5) {
		if err := l.received(getReply(xid+1, 5), 1); err != nil {
			t.Fatal(err)
		}
	}
	if !l.idle(1) {
		t.Error("not idle although all is answered")
	}
	l.begin(newPhase(time.Second, true), -1)
	if due := l.send(int64(time.Second)); len(due) != 0 || !l.idle(int64(time.Second)) {
		t.Error("requests after the deadline")
	}
}

func TestLaneCountsErrors(t *testing.T) {
	l := newTestLane(getScript(5), 2)
	l.send(0)
	if err := l.received(replyFrame(1, 9, wire.ErrNoNode, nil), 5); err != nil {
		t.Fatal(err)
	}
	if l.tally.ok != 0 || l.tally.errors[wire.ErrNoNode] != 1 {
		t.Errorf("tally: %d, %v", l.tally.ok, l.tally.errors)
	}
}

func TestLaneRefusesWrongReplies(t *testing.T) {
	short, mark := wire.BeginFrame(nil)
	short = wire.EndFrame(append(short, 1, 2, 3), mark)
	for name, c := range map[string]struct {
		in   []byte
		want error
		text string
	}{
		"another xid":      {getReply(2, 5), ErrUnexpected, "getData with xid 1: xid 2"},
		"a short body":     {getReply(1, 4), ErrUnexpected, "getData with xid 1: a body of 76 bytes instead of 77"},
		"session expired":  {replyFrame(1, 0, wire.ErrSessionExpired, nil), ErrExpired, "getData with xid 1"},
		"no header":        {short, ErrUnexpected, "a frame of 3 bytes"},
		"a huge frame":     {[]byte{0x7f, 0xff, 0xff, 0xff}, ErrUnexpected, "a frame of 2147483647 bytes"},
		"a negative frame": {[]byte{0xff, 0, 0, 0}, ErrUnexpected, "a frame of -16777216 bytes"},
		"a notification":   {wire.AppendNotification(nil, 1, wire.EventNodeCreated, "/a"), ErrUnexpected, "nobody asked for"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newTestLane(getScript(5), 4)
			l.send(0)
			err := l.received(c.in, 1)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), "test:1") {
				t.Errorf("error %v, want one with %q", err, c.text)
			}
		})
	}
}

func TestLaneRefusesReplyWithoutRequest(t *testing.T) {
	l := newTestLane(getScript(5), 4)
	if err := l.received(getReply(1, 5), 1); !errors.Is(err, ErrUnexpected) {
		t.Errorf("error %v", err)
	}
}

func TestLaneNoticesStall(t *testing.T) {
	l := newTestLane(getScript(5), 4)
	if err := l.stalled(int64(time.Hour), time.Second); err != nil {
		t.Errorf("stalled with nothing sent: %v", err)
	}
	l.send(100)
	if err := l.stalled(100+int64(time.Second)-1, time.Second); err != nil {
		t.Errorf("stalled too early: %v", err)
	}
	if err := l.stalled(100+int64(time.Second), time.Second); !errors.Is(err, ErrStalled) || !strings.Contains(err.Error(), "getData with xid 1") {
		t.Errorf("not stalled: %v", err)
	}
}

// A socket that takes a few bytes at a time gets every byte once.
func TestLanePartialWrites(t *testing.T) {
	l := newTestLane(&readWrite{tree: tree{"/k"}, keys: 1, value: make([]byte, 3000), rng: newRNG(0)}, 4)
	l.fill(0)
	var got []byte
	for now := int64(0); ; now++ {
		due := l.take(now)
		if len(due) == 0 {
			break
		}
		n := min(len(due), 777)
		got = append(got, due[:n]...)
		l.wrote(n)
	}
	if hs := decodeRequests(t, got); len(hs) != 4 || hs[3].Xid != 4 || hs[3].Op != wire.OpSetData {
		t.Errorf("requests: %v", hs)
	}
}

func TestXidsStayNonNegative(t *testing.T) {
	for i, want := range map[int64]int32{0: 1, 1: 2, math.MaxInt32 - 1: math.MaxInt32, math.MaxInt32: 0, math.MaxInt32 + 1: 1} {
		if got := xidOf(i); got != want {
			t.Errorf("request %d has xid %d, want %d", i, got, want)
		}
	}
}

// What the generator costs must not show up in what it measures.
func TestLaneAllocatesNothing(t *testing.T) {
	value := make([]byte, 128)
	sets := &readWrite{tree: tree{"/k"}, keys: 100, value: value, rng: newRNG(0)}
	for name, c := range map[string]struct {
		script script
		reply  func(xid int32) []byte
	}{
		"get":    {getScript(128), func(xid int32) []byte { return getReply(xid, 128) }},
		"set":    {sets, func(xid int32) []byte { return replyFrame(xid, 1, wire.OK, (&wire.Stat{}).Append(nil)) }},
		"create": {newCreator(tree{"/c"}, value, 0, 1, 0), func(xid int32) []byte { return replyFrame(xid, 1, wire.OK, wire.AppendString(nil, "/c/p000000")) }},
	} {
		t.Run(name, func(t *testing.T) {
			l := newTestLane(c.script, 16)
			l.wrote(len(l.take(0))) // nothing yet
			replies := make([][]byte, 0, 2000)
			for xid := range int32(2000) {
				replies = append(replies, c.reply(xid+1))
			}
			next := 0
			step := func() {
				l.fill(int64(next))
				l.wrote(len(l.take(int64(next))))
				if err := l.received(replies[next], int64(next)); err != nil {
					t.Fatal(err)
				}
				next++
			}
			step() // buffers grow here
			if n := testing.AllocsPerRun(1000, step); n != 0 {
				t.Errorf("%v allocations per operation", n)
			}
		})
	}
}
