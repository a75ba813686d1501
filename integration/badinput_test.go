package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/quorate/quorate/wire"
)

// Bad input must cost its sender the connection at most. These tests run
// against Quorate alone: some of what they send ends a Java server.

// witness is a client that must notice nothing of what others do.
type witness struct {
	*Session
	server *Server
	writes int
	before int64 // the server's resident memory at the beginning, bytes
}

func newWitness(t *testing.T, s *Server) *witness {
	t.Helper()
	w := &witness{Session: mustConnect(t, s.Addr, ConnectOptions{TimeoutMs: 40000}), server: s}
	if _, err := w.Create("/witness", []byte("0"), wire.FlagEphemeral); err != nil {
		t.Fatal(err)
	}
	w.before = s.resident(t)
	return w
}

// check writes, reads back, and opens a second session, which closes.
func (w *witness) check(t *testing.T) {
	t.Helper()
	if !w.server.Running() {
		t.Fatalf("the server is gone:\n%s", w.server.LastLines())
	}
	w.writes++
	want := fmt.Append(nil, w.writes)
	if _, err := w.Set("/witness", want, int32(w.writes-1)); err != nil {
		t.Fatalf("the witness's write: %v", err)
	}
	other := mustConnect(t, w.server.Addr, ConnectOptions{})
	got, st, err := other.Get("/witness", false)
	if err != nil || !bytes.Equal(got, want) || st.EphemeralOwner != w.ID {
		t.Fatalf("the witness's node is %q %+v, %v", got, st, err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
}

// checkMemory fails when the server's resident memory has grown by more.
func (w *witness) checkMemory(t *testing.T, max int64) {
	t.Helper()
	if grown := w.server.resident(t) - w.before; grown > max {
		t.Errorf("resident memory has grown by %d MiB, at most %d MiB are fine", grown>>20, max>>20)
	}
}

// resident returns the resident memory of the server's process in bytes.
func (s *Server) resident(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// someone returns a session, or only a socket, for saying bad things.
func someone(t *testing.T, s *Server, session bool) *Conn {
	t.Helper()
	if session {
		return mustConnect(t, s.Addr, ConnectOptions{}).Conn
	}
	c, err := Dial(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestHoles sends what stops, hangs or corrupts a Java server.
func TestHoles(t *testing.T) {
	s := newServer(t, Quorate, Options{"extendedTypesEnabled": "true"})
	w := newWitness(t, s)
	for name, lines := range map[string][]string{
		"limits for the root":            {`create /zookeeper/quota/zookeeper_limits "count=1,bytes=1"`, `create /x/../y`, `create /h1`},
		"stats for the root":             {`create /zookeeper/quota/zookeeper_stats "count=1,bytes=1"`, `create /h2`},
		"limits that are none":           {`create /zookeeper/quota/h3 null`, `create /zookeeper/quota/h3/zookeeper_limits "a=b=c,;;=,bytes=x"`, `create /h3`, `setData /h3 "x"`},
		"limits without data":            {`create /zookeeper/quota/h4 null`, `create /zookeeper/quota/h4/zookeeper_limits null`, `create /zookeeper/quota/h4/zookeeper_stats null`, `create /h4 "x"`},
		"limits of a node that is gone":  {`create /h5`, `create /zookeeper/quota/h5 null`, `create /zookeeper/quota/h5/zookeeper_limits "count=1,bytes=1"`, `delete /h5`, `create /zookeeper/quota/h5/zookeeper_stats "count=0,bytes=0"`, `create /h5`},
		"check outside a multi":          {`check /witness 0`},
		"no ttl in a multi":              {`multi createTTL /h6 ms=0`, `multi createTTL /h6 ms=-1`, `multi createTTL /h6 ms=1099511627776`},
		"a ttl operation without a ttl":  {`createTTL /h7 flags=0 ms=-1`, `createTTL /h7e ephemeral ms=-1`, `createTTL /h7c container ms=-1`},
		"an empty sasl token":            {`sasl null`, `op 102`, `op 102 i32:2147483647`},
		"multis in multis":               {`op 14 i32:14 i8:0 i32:-1 i32:14 i8:0 i32:-1 i32:-1 i8:1 i32:-1`},
		"a multi that says it is done":   {`op 14 i32:1 i8:1 i32:0`, `op 14`, `op 22`},
		"internal operations":            {`op -1`},
		"a session from a request":       {`op -10 i32:30000`},
		"deleting what is no container":  {`deleteContainer /witness`, `deleteContainer /`, `deleteContainer /zookeeper/config`},
		"the config node":                {`setData /zookeeper/config "x"`, `create /zookeeper/config/x`, `reconfig null null null 0`},
		"watches of everything":          {`setWatches2 z0 five data=/,/,/ exist=/,/ child=/,/ persistent=/,/ recursive=/,/`},
		"the end of numbers":             {`setData /witness "x" 2147483647`, `setWatches -9223372036854775808 data=/`, `delete /witness -2147483648`},
		"a sequential node of no parent": {`create seq seq`, `create "" seq`, `create / ephseq`},
	} {
		t.Run(name, func(t *testing.T) {
			r := &runner{addr: s.Addr, actors: map[string]*actor{}, names: names{sessions: map[int64]string{}, times: map[int64]int64{}}}
			defer r.Close()
			for i, line := range lines {
				// Each on a session of its own: it may cost the connection.
				if answer, err := r.step(fmt.Sprintf("S%d %s", i, line)); err != nil {
					t.Errorf("%s: %q %v", line, answer, err)
				}
			}
			w.check(t)
		})
	}
}

// TestLengthFields claims lengths that are not there, in front of frames and
// inside them.
func TestLengthFields(t *testing.T) {
	s := newServer(t, Quorate, nil)
	w := newWitness(t, s)
	lengths := []int32{-1, math.MinInt32, -2, 0, 1, 7, 1 << 20, 0xfffff + 1, 1 << 26, 1 << 30, math.MaxInt32 - 1, math.MaxInt32}
	var open []*Conn
	for _, session := range []bool{false, true} {
		for _, n := range lengths {
			for range 20 {
				c := someone(t, s, session)
				if _, err := c.Write(append(be32(n), "some of it, never all"...)); err != nil && !closed(err) {
					t.Fatal(err)
				}
				open = append(open, c)
			}
		}
	}
	w.check(t)
	w.checkMemory(t, 64<<20)
	for _, c := range open {
		c.Close()
	}
	for _, n := range lengths {
		for _, op := range []wire.Op{wire.OpCreate, wire.OpGetData, wire.OpSetACL, wire.OpMulti, wire.OpSetWatches2, wire.OpAuth, wire.OpReconfig} {
			c := someone(t, s, true)
			body := append(wire.RequestHeader{Xid: 1, Op: op}.Append(nil), be32(n)...)
			if err := c.WriteFrame(append(body, "short"...)); err != nil && !closed(err) {
				t.Fatal(err)
			}
			if _, err := c.ReadFrame(); err != nil && !closed(err) {
				t.Errorf("%v with a length of %d: %v", op, n, err)
			}
			c.Close()
		}
	}
	w.check(t)
	w.checkMemory(t, 64<<20)
}

// TestOversized: a request that is too long is refused on its own xid, costs
// no memory and not the connection.
func TestOversized(t *testing.T) {
	s := newServer(t, Quorate, nil)
	w := newWitness(t, s)
	c := mustConnect(t, s.Addr, ConnectOptions{})
	for i, size := range []int{0xfffff + 1, 2 << 20, 8 << 20, 32 << 20} {
		body := wire.RequestHeader{Xid: int32(100 + i), Op: wire.OpSetData}.Append(nil)
		if err := c.WriteFrame(append(body, make([]byte, size-len(body))...)); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if rep, err := c.Next(); err != nil || rep.Xid != int32(100+i) || rep.Err == wire.OK {
			t.Fatalf("%d bytes: %+v %v", size, rep, err)
		}
		if _, _, err := c.Ping(); err != nil {
			t.Fatalf("after %d bytes: %v", size, err)
		}
	}
	w.check(t)
	w.checkMemory(t, 96<<20)
}

// TestGarbage sends random bytes and broken requests by many clients.
func TestGarbage(t *testing.T) {
	s := newServer(t, Quorate, nil)
	w := newWitness(t, s)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 3))
	for i := range 300 {
		c := someone(t, s, i%2 == 1)
		junk := make([]byte, random.IntN(2000))
		for j := range junk {
			junk[j] = byte(random.Uint32())
		}
		if i%3 == 0 && len(junk) > 4 { // a length that fits, then anything
			copy(junk, be32(int32(len(junk)-4)))
		}
		if _, err := c.Write(junk); err != nil && !closed(err) {
			t.Fatal(err)
		}
		c.Close()
	}
	w.check(t)
	breakRequests(t, s, random)
	w.check(t)
	w.checkMemory(t, 64<<20)
}

// breakRequests sends well-formed requests with bytes changed, cut or added.
func breakRequests(t *testing.T, s *Server, random *rand.Rand) {
	g := &generator{random, []string{"A"}}
	c := mustConnect(t, s.Addr, ConnectOptions{})
	for range 3000 {
		line := strings.TrimPrefix(g.next(), "A ")
		if strings.HasPrefix(line, "resume") {
			line = "close"
		}
		op, body, err := encodeRequest(parseArguments(splitWords(line), func(k int64) int64 { return k }))
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		frame := append(wire.RequestHeader{Xid: 5, Op: op}.Append(nil), body...)
		for range 1 + random.IntN(3) {
			frame = damage(frame, random)
		}
		if err := c.WriteFrame(frame); err != nil && !closed(err) {
			t.Fatal(err)
		}
		// Whatever it became, a ping behind it is answered or the socket closed.
		if _, _, err := c.Ping(); err != nil {
			if !closed(err) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%s as %x: %v", line, frame, err)
			}
			c = mustConnect(t, s.Addr, ConnectOptions{})
		}
	}
}

func damage(b []byte, random *rand.Rand) []byte {
	if len(b) == 0 {
		return []byte{1}
	}
	at := random.IntN(len(b))
	switch random.IntN(4) {
	case 0:
		b[at] = byte(random.Uint32())
	case 1:
		return b[:at]
	case 2:
		return append(b, b[at:]...)
	default:
		copy(b[at:], be32(int32(random.Uint32())))
	}
	return b
}

// TestHalfFrames: clients that stop in the middle of anything keep nobody
// else waiting.
func TestHalfFrames(t *testing.T) {
	s := newServer(t, Quorate, nil)
	w := newWitness(t, s)
	hello := ConnectOptions{}.request()
	handshake := append(be32(45), hello.Append(nil)...)
	req := wire.CreateRequest{Path: []byte("/half"), Data: make([]byte, 1000), ACL: wire.OpenACL}
	body := append(wire.RequestHeader{Xid: 1, Op: wire.OpCreate}.Append(nil), req.Append(nil, wire.OpCreate)...)
	request := append(be32(int32(len(body))), body...)
	for i := range 400 {
		whole, session := handshake, i%2 == 1
		if session {
			whole = request
		}
		c := someone(t, s, session)
		if _, err := c.Write(whole[:i%len(whole)]); err != nil {
			t.Fatal(err)
		}
	}
	w.check(t)
	// Byte by byte is slow, but right: it gets its answer.
	slow := someone(t, s, false)
	for _, b := range handshake {
		if _, err := slow.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
		w.check(t)
	}
	if body, err := slow.ReadFrame(); err != nil || len(body) != 37 {
		t.Errorf("the slow client got %x, %v", body, err)
	}
	if _, err := w.Exists("/half", false); !errors.Is(err, wire.ErrNoNode) {
		t.Errorf("half a request was carried out: %v", err)
	}
	w.checkMemory(t, 64<<20)
}

// TestManyConnections opens 10,000 sessions at once, fewer when the process
// may not have so many files, and uses each.
func TestManyConnections(t *testing.T) {
	if testing.Short() {
		t.Skip("opens 10,000 connections")
	}
	want := 10000
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Logf("raise the limit of open files: %v", err)
	}
	if int(limit.Max) < want+500 {
		want = int(limit.Max) - 500
		t.Logf("only %d connections: at most %d files may be open here", want, limit.Max)
	}
	s := newServer(t, Quorate, nil)
	w := newWitness(t, s)
	sessions := connectMany(t, s, want)
	w.check(t)
	w.checkMemory(t, int64(want)*48<<10)
	for i, c := range sessions {
		if _, _, err := c.Ping(); err != nil {
			t.Fatalf("session %d of %d: %v", i, want, err)
		}
	}
	// All leave at once, half of them without a word.
	var wg sync.WaitGroup
	for part := range 8 {
		wg.Go(func() {
			for i := part; i < len(sessions); i += 8 {
				if i%2 == 0 {
					sessions[i].Drop()
				} else if err := sessions[i].Close(); err != nil {
					t.Errorf("close session %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
	w.check(t)
	awaitConnections(t, s, 2)
}

// connectMany makes n sessions, each with an ephemeral node's watch.
func connectMany(t *testing.T, s *Server, n int) []*Session {
	t.Helper()
	sessions := make([]*Session, n)
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for part := range 8 {
		wg.Go(func() {
			for i := part; i < n && errs[part] == nil; i += 8 {
				sessions[i], errs[part] = Connect(s.Addr, ConnectOptions{TimeoutMs: 40000})
			}
		})
	}
	wg.Wait()
	for _, c := range sessions {
		if c != nil {
			t.Cleanup(c.Drop)
		}
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return sessions
}

// TestFlood: a session that asks without end and never reads is slowed down,
// and nobody pays for it.
func TestFlood(t *testing.T) {
	s := newServer(t, Quorate, nil)
	w := newWitness(t, s)
	if _, err := w.Create("/flood", make([]byte, 100_000), 0); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	var floods []*Session
	requests := func(op wire.Op, body []byte) []byte {
		b, mark := wire.BeginFrame(nil)
		one := wire.EndFrame(append(wire.RequestHeader{Xid: 1, Op: op}.Append(b), body...), mark)
		return bytes.Repeat(one, 1000)
	}
	set := wire.SetDataRequest{Path: []byte("/flood/x"), Data: make([]byte, 1000), Version: -1}
	for _, many := range [][]byte{
		requests(wire.OpGetData, wire.PathWatch{Path: []byte("/flood"), Watch: true}.Append(nil)),
		requests(wire.OpSetData, set.Append(nil)),
		requests(wire.OpPing, nil),
		requests(wire.OpGetChildren2, wire.PathWatch{Path: []byte("/")}.Append(nil)),
	} {
		c := mustConnect(t, s.Addr, ConnectOptions{})
		floods = append(floods, c)
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				// The server stops reading sooner or later; the deadline lets this
				// goroutine look whether the test is over.
				if err := c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
					return
				}
				if _, err := c.Write(many); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
					return
				}
			}
		})
	}
	for range 500 {
		w.check(t)
	}
	w.checkMemory(t, 256<<20)
	close(stop)
	wg.Wait()
	for _, c := range floods {
		c.Drop()
	}
	w.check(t)
}

// TestWatchFlood: a client that watches much and never reads does not hold up
// those who change things, nor fill the server's memory.
func TestWatchFlood(t *testing.T) {
	s := newServer(t, Quorate, nil)
	w := newWitness(t, s)
	name := "/w" + strings.Repeat("n", 2000)
	if _, err := w.Create(name, nil, 0); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		c := mustConnect(t, s.Addr, ConnectOptions{})
		if _, err := c.do(wire.OpAddWatch, wire.PathType{Path: []byte("/"), Type: 1}.Append(nil)); err != nil {
			t.Fatal(err)
		}
		if tcp, ok := c.Conn.Conn.(*net.TCPConn); ok {
			if err := tcp.SetReadBuffer(4096); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range 5000 {
		if _, err := w.Set(name, fmt.Append(nil, i), -1); err != nil {
			t.Fatal(err)
		}
	}
	w.check(t)
	// 200 MB of events were made, of which 16 may wait, in buffers that double; the collector lets the heap become five
	// times what lives.
	w.checkMemory(t, 160<<20)
}

// TestDeepAndLong makes a deep tree, long names, and a directory whose listing
// is longer than a request may be.
func TestDeepAndLong(t *testing.T) {
	s := newServer(t, Quorate, nil)
	w := newWitness(t, s)
	path := ""
	for i := range 2000 {
		path += "/d"
		if _, err := w.Create(path, nil, 0); err != nil {
			t.Fatalf("depth %d: %v", i, err)
		}
	}
	if _, err := w.Exists(path, true); err != nil {
		t.Fatal(err)
	}
	long := "/" + strings.Repeat("l", 900_000)
	if _, err := w.Create(long, []byte("x"), 0); err != nil {
		t.Fatal(err)
	}
	if data, _, err := w.Get(long, false); err != nil || string(data) != "x" {
		t.Fatalf("%q %v", data, err)
	}
	if _, err := w.Create("/wide", nil, 0); err != nil {
		t.Fatal(err)
	}
	for i := range 1500 {
		if _, err := w.Create(fmt.Sprintf("/wide/%04d%s", i, strings.Repeat("x", 1000)), nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	if names, err := w.Children("/wide"); err != nil || len(names) != 1500 {
		t.Fatalf("%d names, %v", len(names), err)
	}
	slashes := mustConnect(t, s.Addr, ConnectOptions{})
	if _, err := slashes.Create(strings.Repeat("/", 1_000_000), nil, 0); !errors.Is(err, wire.ErrBadArguments) && !errors.Is(err, wire.ErrNoNode) {
		t.Errorf("a million slashes: %v", err)
	}
	rep, err := w.do(wire.OpGetAllChildrenNumber, wire.AppendString(nil, "/"))
	r := wire.NewReader(rep.Body)
	if n := r.Int(); err != nil || n != 2000+1500+6 {
		t.Errorf("%d nodes, %v", n, err)
	}
	for _, p := range []string{"/d", "/wide", long} {
		if err := w.DeleteTree(p); err != nil {
			t.Fatal(err)
		}
	}
	w.check(t)
}
