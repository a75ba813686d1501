package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/quorate/quorate/wire"
)

// mustConnect makes a session that ends with the test.
func mustConnect(t testing.TB, addr string, o ConnectOptions) *Session {
	t.Helper()
	s, err := Connect(addr, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Drop)
	return s
}

// TestConnectionLimits: maxClientCnxns counts per address, maxCnxns all.
func TestConnectionLimits(t *testing.T) {
	eachFlavor(t, func(t *testing.T, f Flavor) {
		for _, key := range []string{"maxClientCnxns", "maxCnxns"} {
			t.Run(key, func(t *testing.T) {
				s := newServer(t, f, Options{key: "2"})
				awaitConnections(t, s, 1) // the test's own word: earlier connections are gone
				a, b := mustConnect(t, s.Addr, ConnectOptions{}), mustConnect(t, s.Addr, ConnectOptions{})
				c, err := Dial(s.Addr)
				if err == nil {
					defer c.Close()
					_, err = Handshake(c, ConnectOptions{})
				}
				if !closed(err) {
					t.Fatalf("a third connection: %v", err)
				}
				for _, live := range []*Session{a, b} {
					if _, _, err := live.Ping(); err != nil {
						t.Error(err)
					}
				}
				// One that leaves makes room.
				if err := a.Close(); err != nil {
					t.Fatal(err)
				}
				retry(t, "a connection in the place of a closed one", func() error {
					s, err := Connect(s.Addr, ConnectOptions{})
					if err == nil {
						err = s.Close()
					}
					return err
				})
			})
		}
	})
}

// awaitConnections waits until the server counts no more than n connections.
func awaitConnections(t *testing.T, s *Server, n int) {
	t.Helper()
	retry(t, fmt.Sprintf("only %d connections", n), func() error {
		answer, err := FourLetterWord(s.Addr, "srvr")
		if err != nil {
			return err
		}
		_, rest, _ := strings.Cut(answer, "Connections: ")
		count, _, _ := strings.Cut(rest, "\n")
		if got, err := strconv.Atoi(count); err != nil || got > n {
			return fmt.Errorf("%s connections: %w", count, err)
		}
		return nil
	})
}

// TestSessionlessSockets: who connects and says nothing is sent away.
func TestSessionlessSockets(t *testing.T) {
	eachFlavor(t, func(t *testing.T, f Flavor) {
		s := newServer(t, f, Options{"nio.sessionlessCnxnTimeout": "1000"})
		live := mustConnect(t, s.Addr, ConnectOptions{})
		silent, err := Dial(s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
		half, err := Dial(s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer half.Close()
		if _, err := half.Write([]byte{0, 0, 0, 44, 0}); err != nil {
			t.Fatal(err)
		}
		for _, c := range []*Conn{silent, half} {
			if b, err := c.ReadFrame(); !closed(err) {
				t.Errorf("got %x, %v", b, err)
			}
		}
		if _, _, err := live.Ping(); err != nil {
			t.Errorf("one with a session: %v", err)
		}
	})
}

// TestRaisedPacketLimit: jute.maxbuffer is the bound of requests.
func TestRaisedPacketLimit(t *testing.T) {
	eachFlavor(t, func(t *testing.T, f Flavor) {
		s := newServer(t, f, Options{"jute.maxbuffer": "4194304"})
		c := mustConnect(t, s.Addr, ConnectOptions{})
		big := bytes.Repeat([]byte("0123456789abcdef"), 2<<20/16)
		if _, err := c.Create("/big", big, 0); err != nil {
			t.Fatal(err)
		}
		got, st, err := c.Get("/big", false)
		if err != nil || !bytes.Equal(got, big) || int(st.DataLength) != len(big) {
			t.Fatalf("%d bytes, %+v, %v", len(got), st, err)
		}
		if _, _, err := c.Ping(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestSessionIDs: the top byte of a standalone server's ids is 1, and ids
// increase.
func TestSessionIDs(t *testing.T) {
	eachFlavor(t, func(t *testing.T, f Flavor) {
		s := pool.borrow(t, f, nil)
		last := int64(0)
		for range 5 {
			c := mustConnect(t, s.Addr, ConnectOptions{})
			if c.ID>>56 != 1 || c.ID <= last {
				t.Errorf("id %#x after %#x", c.ID, last)
			}
			last = c.ID
			if !bytes.Equal(c.Passwd, sessionPasswd(c.ID)) {
				t.Errorf("session %#x has the password %x, want %x", c.ID, c.Passwd, sessionPasswd(c.ID))
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// sessionPasswd is what client-protocol.md says about passwords: 16 bytes of
// Java's Random, seeded with the id.
func sessionPasswd(id int64) []byte {
	const a, c, mask = 0x5DEECE66D, 0xB, 1<<48 - 1
	seed := (uint64(id) ^ 0xB3415C00 ^ a) & mask
	var out []byte
	for range 4 {
		seed = (seed*a + c) & mask
		v := uint32(seed >> 16)
		out = append(out, byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
	}
	return out
}

// TestClientPortAddress: a server bound to ::1 is found there alone.
func TestClientPortAddress(t *testing.T) {
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skipf("no IPv6 loopback: %v", err)
	} else {
		l.Close()
	}
	eachFlavor(t, func(t *testing.T, f Flavor) {
		s := newServer(t, f, Options{"clientPortAddress": "::1"})
		mustConnect(t, s.Addr, ConnectOptions{})
		_, port, err := net.SplitHostPort(s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := Dial("127.0.0.1:" + port); err == nil {
			c.Close()
			t.Error("127.0.0.1 is served too")
		}
		c := mustConnect(t, s.Addr, ConnectOptions{})
		rep, err := c.do(wire.OpWhoAmI, nil)
		if err != nil {
			t.Fatal(err)
		}
		r := wire.NewReader(rep.Body)
		if got := shownIDs(&r); got != `["ip:0:0:0:0:0:0:0:1"]` {
			t.Errorf("whoAmI says %s", got)
		}
	})
}

// TestSessionsSurviveRestart: sessions, ephemerals and Stats are there after a
// clean stop, and a session that nobody takes up again expires.
func TestSessionsSurviveRestart(t *testing.T) {
	eachFlavor(t, func(t *testing.T, f Flavor) {
		s := newServer(t, f, nil)
		live := mustConnect(t, s.Addr, ConnectOptions{TimeoutMs: 10000})
		dead := mustConnect(t, s.Addr, ConnectOptions{TimeoutMs: 4000})
		for _, step := range []func() (string, error){
			func() (string, error) { return live.Create("/live", []byte("x"), wire.FlagEphemeral) },
			func() (string, error) { return dead.Create("/dead", nil, wire.FlagEphemeral) },
			func() (string, error) { return live.Create("/kept", []byte("y"), 0) },
		} {
			if _, err := step(); err != nil {
				t.Fatal(err)
			}
		}
		before, err := live.Exists("/kept", false)
		if err != nil {
			t.Fatal(err)
		}
		s.Terminate()
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		again := mustConnect(t, s.Addr, ConnectOptions{SessionID: live.ID, Passwd: live.Passwd, TimeoutMs: 10000})
		if st, err := again.Exists("/live", false); err != nil || st.EphemeralOwner != live.ID {
			t.Errorf("/live: %+v %v", st, err)
		}
		if after, err := again.Exists("/kept", false); err != nil || after != before {
			t.Errorf("/kept was %+v, is %+v, %v", before, after, err)
		}
		switch _, err := again.Exists("/dead", true); {
		case err == nil: // its end is announced
			if rep, err := again.Next(); err != nil || !rep.IsEvent() {
				t.Fatalf("instead of the end of /dead: %+v %v", rep, err)
			}
		case !errors.Is(err, wire.ErrNoNode):
			t.Fatal(err)
		}
		ask := func() (*Session, error) {
			return Connect(s.Addr, ConnectOptions{SessionID: dead.ID, Passwd: dead.Passwd})
		}
		expired, err := ask()
		if f != Quorate && errors.Is(err, io.EOF) {
			// Java announces what ends with a session before it closes the connections that
			// name it, this one too if it came in between.
			expired, err = ask()
		}
		if !errors.Is(err, ErrSessionInvalid) {
			t.Errorf("the dead session: %+v %v", expired, err)
		}
	})
}

// TestPipelinedThousand sends a thousand mixed requests in one go.
func TestPipelinedThousand(t *testing.T) {
	eachFlavor(t, func(t *testing.T, f Flavor) {
		s := pool.borrow(t, f, nil)
		c := mustConnect(t, s.Addr, ConnectOptions{})
		if _, err := c.Create("/thousand", nil, 0); err != nil {
			t.Fatal(err)
		}
		defer c.DeleteTree("/thousand")
		var all []byte
		var xids []int32
		for i := range 1000 {
			op, body := wire.OpGetData, wire.PathWatch{Path: []byte("/thousand")}.Append(nil)
			if i%3 == 0 {
				req := wire.SetDataRequest{Path: []byte("/thousand"), Data: fmt.Append(nil, i), Version: -1}
				op, body = wire.OpSetData, req.Append(nil)
			}
			xid := int32(i % 7 * (i%2*2 - 1))
			xids = append(xids, xid)
			var mark int
			all, mark = wire.BeginFrame(all)
			all = append(wire.RequestHeader{Xid: xid, Op: op}.Append(all), body...)
			all = wire.EndFrame(all, mark)
		}
		if _, err := c.Write(all); err != nil {
			t.Fatal(err)
		}
		checkThousand(t, c, xids)
	})
}

// checkThousand: every answer in its place, and reads see the write before.
func checkThousand(t *testing.T, c *Session, xids []int32) {
	for i, xid := range xids {
		rep, err := c.Next()
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		if rep.Xid != xid || rep.Err != wire.OK {
			t.Fatalf("answer %d has xid %d, err %d, want xid %d", i, rep.Xid, rep.Err, xid)
		}
		if i%3 == 0 {
			continue
		}
		r := wire.NewReader(rep.Body)
		if got, want := string(r.Buffer()), fmt.Sprint(i/3*3); got != want {
			t.Fatalf("answer %d reads %q, want %q", i, got, want)
		}
	}
}

// retry repeats what another process makes true until it is, with a pause that
// only spares the processor.
func retry(t testing.TB, what string, try func() error) {
	t.Helper()
	if err := patientRetry(try); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// TestEphemeralsOfManySessions: a hundred sessions end at once, each takes its
// own nodes along.
func TestEphemeralsOfManySessions(t *testing.T) {
	eachFlavor(t, func(t *testing.T, f Flavor) {
		s := pool.borrow(t, f, nil)
		c := mustConnect(t, s.Addr, ConnectOptions{})
		if _, err := c.Create("/many", nil, 0); err != nil {
			t.Fatal(err)
		}
		defer c.DeleteTree("/many")
		var all []*Session
		for i := range 100 {
			o := mustConnect(t, s.Addr, ConnectOptions{})
			all = append(all, o)
			if _, err := o.Create(fmt.Sprintf("/many/%03d", i), nil, wire.FlagEphemeral); err != nil {
				t.Fatal(err)
			}
		}
		for i, o := range all {
			if i%2 == 0 {
				if err := o.Close(); err != nil {
					t.Fatal(err)
				}
			}
		}
		names, err := c.Children("/many")
		slices.Sort(names)
		if err != nil || len(names) != 50 || names[0] != "001" || names[49] != "099" {
			t.Errorf("%v %q", err, names)
		}
	})
}

// TestLargeAnswers: answers of the largest size, read late or at once, one by
// one or pipelined, do not stop a connection.
func TestLargeAnswers(t *testing.T) {
	eachFlavor(t, func(t *testing.T, f Flavor) {
		s := pool.borrow(t, f, nil)
		c := mustConnect(t, s.Addr, ConnectOptions{})
		big := bytes.Repeat([]byte("x"), 1048526-len("large")+len("a"))
		if _, err := c.Create("/large", big, 0); err != nil {
			t.Fatal(err)
		}
		defer c.DeleteTree("/large")
		for i := range 20 {
			if data, _, err := c.Get("/large", false); err != nil || len(data) != len(big) {
				t.Fatalf("read %d: %d bytes, %v", i, len(data), err)
			}
			if _, _, err := c.Ping(); err != nil {
				t.Fatalf("ping after read %d: %v", i, err)
			}
		}
		body := wire.PathWatch{Path: []byte("/large")}.Append(nil)
		for range 20 {
			if _, err := c.Send(wire.OpGetData, body); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 20 {
			if rep, err := c.Next(); err != nil || len(rep.Body) < len(big) {
				t.Fatalf("pipelined read %d: %d bytes, %v", i, len(rep.Body), err)
			}
		}
		if _, err := c.Set("/large", big, -1); err != nil {
			t.Fatal(err)
		}
	})
}

// TestRequestsBehindClose: what is pipelined behind closeSession is dropped,
// or refused because the session has ended, and nothing of it happens.
func TestRequestsBehindClose(t *testing.T) {
	eachFlavor(t, func(t *testing.T, f Flavor) {
		s := pool.borrow(t, f, nil)
		c := mustConnect(t, s.Addr, ConnectOptions{})
		closing, err := c.Send(wire.OpCloseSession, nil)
		if err != nil {
			t.Fatal(err)
		}
		late := wire.CreateRequest{Path: []byte("/late"), ACL: wire.OpenACL}
		for range 3 {
			if _, err := c.Send(wire.OpCreate, late.Append(nil, wire.OpCreate)); err != nil && !closed(err) {
				t.Fatal(err)
			}
		}
		for {
			rep, err := c.Next()
			if closed(err) {
				break
			}
			if err != nil || rep.Xid == closing && rep.Err != wire.OK || rep.Xid != closing && rep.Err != wire.ErrSessionExpired {
				t.Fatalf("%+v %v", rep, err)
			}
		}
		other := mustConnect(t, s.Addr, ConnectOptions{})
		if _, err := other.Exists("/late", false); !errors.Is(err, wire.ErrNoNode) {
			t.Errorf("/late: %v", err)
		}
	})
}

// TestLongReads: requests that name thousands of znodes, or get megabytes, are carried out
// in pieces by Quorate, with a tree that does not fit into memory. It answers as ZooKeeper
// does.
func TestLongReads(t *testing.T) {
	answers := map[Flavor][]byte{}
	eachFlavor(t, func(t *testing.T, f Flavor) {
		o := Options{}
		if f == Quorate {
			o = Options{"quorate.tree.budgetBytes": "1m", "snapCount": "100"}
		}
		s := newServer(t, f, o)
		c := mustConnect(t, s.Addr, ConnectOptions{})
		var reads []byte
		var again wire.SetWatchesRequest
		for i := range 2500 {
			path := fmt.Sprintf("/n%04d", i)
			q := wire.CreateRequest{Path: []byte(path), Data: bytes.Repeat([]byte{byte(i)}, 1000), ACL: wire.OpenACL}
			if i%5 == 0 {
				q.Path = nil // refused; at the end there are 2,000
			}
			if _, err := c.Send(wire.OpCreate, q.Append(nil, wire.OpCreate)); err != nil {
				t.Fatal(err)
			}
			op := []wire.Op{wire.OpGetData, wire.OpGetChildren}[i%2]
			reads = wire.MultiHeader{Op: op, Err: -1}.Append(reads)
			reads = wire.PathWatch{Path: []byte(path)}.Append(reads)
			again.Lists[i%3] = append(again.Lists[i%3], []byte(path))
		}
		for range 2500 {
			if _, err := c.Next(); err != nil {
				t.Fatal(err)
			}
		}
		again.RelativeZxid = 1
		r, _, err := c.Call(wire.OpMultiRead, wire.MultiEnd.Append(reads))
		if err != nil || r.Err != wire.OK {
			t.Fatalf("multiRead: %v %v", r.Err, err)
		}
		got := withoutTimes(t, r.Body)
		w, events, err := c.Call(wire.OpSetWatches, again.Append(nil, wire.OpSetWatches))
		if err != nil || w.Err != wire.OK {
			t.Fatalf("setWatches: %v %v", w.Err, err)
		}
		for _, e := range events {
			got = append(got, e.Body...)
		}
		answers[f] = got
		if java := answers[ZooKeeper39]; java != nil && !bytes.Equal(got, java) {
			t.Errorf("%d bytes, not ZooKeeper's %d", len(got), len(java))
		}
	})
}

// withoutTimes is the answer to a multiRead of getData and getChildren without the times
// in its stats.
func withoutTimes(t *testing.T, body []byte) (out []byte) {
	t.Helper()
	rd := wire.NewReader(body)
	for {
		var h wire.MultiHeader
		h.Decode(&rd)
		out = h.Append(out)
		switch {
		case rd.Err() != nil:
			t.Fatal(rd.Err())
		case h.Done:
			return out
		case h.Op == wire.OpError:
			out = wire.AppendInt(out, rd.Int())
		case h.Op == wire.OpGetChildren:
			out = wire.AppendInt(out, rd.Int())
		default:
			out = wire.AppendBuffer(out, rd.Buffer())
			var s wire.Stat
			s.Decode(&rd)
			s.Ctime, s.Mtime = 0, 0
			out = s.Append(out)
		}
	}
}
