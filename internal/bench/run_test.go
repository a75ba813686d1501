package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quorate/quorate/wire"
)

// drivers are all the ways to move bytes on this system.
func drivers() map[string]Config {
	return map[string]Config{
		"fastest":     {driver: defaultDriver, connector: defaultConnector},
		"per lane":    {driver: perGoroutine, connector: connectPerGoroutine},
		"two threads": {driver: defaultDriver, connector: defaultConnector, Threads: 2},
	}
}

// small returns a short run against the fake server.
func small(c Config, f *fakeServer, w ...Workload) Config {
	c.Servers = []string{f.addr()}
	c.Workloads = w
	c.Connections, c.InFlight, c.Keys, c.Nodes, c.Watchers = 3, []int{4}, 20, 2500, 10
	c.Ops, c.Warmup = 300, time.Millisecond
	return c
}

// Each workload does the operations it was asked for with every driver, leaves
// no znode behind and closes all its sessions.
func TestWorkloads(t *testing.T) {
	ops := map[Workload]int64{
		Get: 300, Set: 300, Create: 300, Mixed: 300, Ephemeral: 300, Watch: 300, WatchPersistent: 300, Connect: 300,
		Load: 2503, IdleTail: 300, CheckpointTail: 300,
	}
	for name, c := range drivers() {
		for w, want := range ops {
			t.Run(name+"/"+string(w), func(t *testing.T) {
				f := startFake(t)
				rep, err := Run(t.Context(), small(c, f, w))
				if err != nil {
					t.Fatal(err)
				}
				r := rep.Results[0]
				if r.Ops != want || len(r.Errors) != 0 || r.hist.Count() != uint64(want) {
					t.Errorf("%d operations, %v errors, %d latencies; want %d", r.Ops, r.Errors, r.hist.Count(), want)
				}
				if r.Throughput <= 0 || r.Latency.P50 <= 0 || r.Latency.Max < r.Latency.P999 || r.Latency.P99 < r.Latency.P50 {
					t.Errorf("figures: %+v", r)
				}
				if paths, sessions := f.left(); len(paths) != 0 || sessions != 0 {
					t.Errorf("left behind: %d sessions, %v", sessions, paths)
				}
			})
		}
	}
}

func TestMixedDoesBoth(t *testing.T) {
	f := startFake(t)
	c := small(Config{}, f, Mixed)
	c.ReadPercent = 50
	if _, err := Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if f.count(wire.OpGetData) < 50 || f.count(wire.OpSetData) < 50 {
		t.Errorf("%d reads, %d writes of at least 300", f.count(wire.OpGetData), f.count(wire.OpSetData))
	}
}

// Values near the limit fill the socket's buffers, so that writes are cut.
func TestBigValues(t *testing.T) {
	for name, c := range drivers() {
		t.Run(name, func(t *testing.T) {
			f := startFake(t)
			c := small(c, f, Set, Get)
			c.ValueBytes, c.Keys, c.Ops = 1<<20, 2, 60
			rep, err := Run(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rep.Results {
				if r.Ops != 60 || len(r.Errors) != 0 {
					t.Errorf("%s: %d operations, errors %v", r.Workload, r.Ops, r.Errors)
				}
			}
		})
	}
}

func TestDurationEndsTheRun(t *testing.T) {
	for name, c := range drivers() {
		t.Run(name, func(t *testing.T) {
			f := startFake(t)
			c := small(c, f, Get, Watch, Connect)
			c.Ops, c.Duration, c.Warmup = 0, 20*time.Millisecond, -1
			rep, err := Run(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rep.Results {
				if r.Ops == 0 {
					t.Errorf("%s: nothing done", r.Workload)
				}
			}
		})
	}
}

// after returns an intercept that runs act once the n-th request of the given
// operation arrives.
func after(n int64, op wire.Op, act func(h wire.RequestHeader) ([]byte, bool)) func(wire.RequestHeader) ([]byte, bool) {
	var seen atomic.Int64
	return func(h wire.RequestHeader) ([]byte, bool) {
		if h.Op == op && seen.Add(1) == n {
			return act(h)
		}
		return nil, false
	}
}

// An interrupted run still removes what it has made.
func TestCancelCleansUp(t *testing.T) {
	for name, c := range drivers() {
		for w, op := range map[Workload]wire.Op{Create: wire.OpCreate, Watch: wire.OpSetData, Connect: wire.OpCloseSession} {
			t.Run(name+"/"+string(w), func(t *testing.T) {
				f := startFake(t)
				ctx, cancel := context.WithCancel(t.Context())
				f.intercept = after(100, op, func(wire.RequestHeader) ([]byte, bool) { cancel(); return nil, false })
				c := small(c, f, w)
				c.Ops = 1 << 40
				rep, err := Run(ctx, c)
				if !errors.Is(err, context.Canceled) || rep == nil {
					t.Fatalf("error %v, report %v", err, rep)
				}
				paths, sessions := f.left()
				if len(paths) != 0 {
					t.Errorf("left behind: %v", paths)
				}
				if w == Connect && name != "per lane" && sessions != 0 {
					t.Errorf("left behind: %d sessions", sessions)
				}
			})
		}
	}
}

// Removing a big tree takes longer than a session lasts without a request.
func TestCleanupKeepsNoSessionIdle(t *testing.T) {
	f := startFake(t)
	f.deletesPerTimeout = 3000
	c := small(Config{}, f, Load)
	c.Nodes = 9000
	if _, err := Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if paths, _ := f.left(); len(paths) != 0 {
		t.Errorf("%d znodes are left behind", len(paths))
	}
}

func TestKeepLeavesZnodes(t *testing.T) {
	f := startFake(t)
	c := small(Config{}, f, Load)
	c.Keep = true
	if _, err := Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if paths, _ := f.left(); len(paths) != 2500+3+2 {
		t.Errorf("%d znodes are left, want 2500, 3 parents and 2 above them", len(paths))
	}
}

// What a server can do wrong is reported with what was asked of it.
func TestServerFaults(t *testing.T) {
	wrongXid := func(h wire.RequestHeader) ([]byte, bool) { return replyFrame(h.Xid+7, 1, wire.OK, nil), false }
	hangup := func(wire.RequestHeader) ([]byte, bool) { return nil, true }
	expire := func(h wire.RequestHeader) ([]byte, bool) {
		return replyFrame(h.Xid, 1, wire.ErrSessionExpired, nil), false
	}
	for name, c := range map[string]struct {
		workload Workload
		op       wire.Op
		act      func(wire.RequestHeader) ([]byte, bool)
		want     error
		text     string
	}{
		"wrong xid":                {Get, wire.OpGetData, wrongXid, ErrUnexpected, "getData with xid"},
		"hangup":                   {Set, wire.OpSetData, hangup, ErrClosed, "the oldest setData with xid"},
		"expired":                  {Get, wire.OpGetData, expire, ErrExpired, "getData with xid"},
		"wrong xid while watching": {Watch, wire.OpGetData, wrongXid, ErrUnexpected, "getData with xid"},
		"failed change":            {Watch, wire.OpSetData, hangup, ErrClosed, "setData with xid"},
		"wrong xid of close":       {Connect, wire.OpCloseSession, wrongXid, ErrUnexpected, "closeSession with xid"},
		"hangup at close":          {Connect, wire.OpCloseSession, hangup, ErrClosed, ""},
	} {
		for driver, base := range drivers() {
			t.Run(name+"/"+driver, func(t *testing.T) {
				f := startFake(t)
				f.intercept = after(5, c.op, c.act)
				_, err := Run(t.Context(), small(base, f, c.workload))
				if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), f.addr()) {
					t.Errorf("error %v, want %v with %q", err, c.want, c.text)
				}
				if paths, _ := f.left(); len(paths) != 0 {
					t.Errorf("left behind: %v", paths)
				}
			})
		}
	}
}

// A server that stops answering is given up on, not waited for.
func TestStalledServer(t *testing.T) {
	for driver, base := range drivers() {
		for w, op := range map[Workload]wire.Op{Get: wire.OpGetData, Watch: wire.OpSetData, Connect: wire.OpCloseSession} {
			t.Run(driver+"/"+string(w), func(t *testing.T) {
				f := startFake(t)
				release := make(chan struct{})
				t.Cleanup(func() { close(release) })
				f.intercept = after(5, op, func(wire.RequestHeader) ([]byte, bool) { <-release; return nil, true })
				c := small(base, f, w)
				c.Dial.ReplyTimeout = 200 * time.Millisecond
				_, err := Run(t.Context(), c)
				if !errors.Is(err, ErrStalled) {
					t.Errorf("error %v", err)
				}
			})
		}
	}
}

func TestErrorCodesAreCounted(t *testing.T) {
	f := startFake(t)
	var n atomic.Int64
	f.intercept = func(h wire.RequestHeader) ([]byte, bool) {
		if h.Op == wire.OpGetData && n.Add(1)%2 == 0 {
			return replyFrame(h.Xid, 1, wire.ErrNoAuth, nil), false
		}
		return nil, false
	}
	c := small(Config{Warmup: -1}, f, Get)
	c.Warmup = -1
	rep, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	r := rep.Results[0]
	if r.Ops != 150 || r.Errors["NoAuth"] != 150 {
		t.Errorf("%d operations and %v", r.Ops, r.Errors)
	}
	var text bytes.Buffer
	if err := rep.WriteText(&text); err != nil || !strings.Contains(text.String(), "150 NoAuth") {
		t.Errorf("the table does not count the errors: %v\n%s", err, text.String())
	}
}

func TestHandshakeFaults(t *testing.T) {
	noSession := wire.ConnectResponse{Passwd: make([]byte, wire.PasswdBytes)}
	refusal, mark := wire.BeginFrame(nil)
	refusal = wire.EndFrame(noSession.Append(refusal), mark)
	for name, c := range map[string]struct {
		greet []byte
		want  error
		text  string
	}{
		"hangup":     {nil, ErrClosed, "maxClientCnxns"},
		"no session": {refusal, ErrExpired, "gave no session"},
		"half":       {[]byte{0, 0, 0, 2, 1, 2}, ErrUnexpected, "connect request"},
		"huge":       {[]byte{0x7f, 0, 0, 0}, ErrUnexpected, "2130706432 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			f := startFake(t)
			f.greet = func() []byte { return c.greet }
			_, err := Run(t.Context(), small(Config{}, f, Get))
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %v, want %v with %q", err, c.want, c.text)
			}
		})
	}
}

// The connect workload's own sockets say the same about a bad handshake.
func TestConnectHandshakeFaults(t *testing.T) {
	for driver, base := range drivers() {
		for name, c := range map[string]struct {
			greet []byte
			want  error
		}{
			"hangup": {[]byte{}, ErrClosed},
			"huge":   {[]byte{0x7f, 0, 0, 0}, ErrUnexpected},
			"half":   {[]byte{0, 0, 0, 2, 1, 2}, ErrUnexpected},
		} {
			t.Run(driver+"/"+name, func(t *testing.T) {
				f := startFake(t)
				var n atomic.Int64
				good := func() []byte {
					resp := wire.ConnectResponse{TimeOut: 1, SessionID: 1, Passwd: make([]byte, wire.PasswdBytes)}
					b, mark := wire.BeginFrame(nil)
					return wire.EndFrame(resp.Append(b), mark)
				}
				f.greet = func() []byte {
					if n.Add(1) == 8 { // the setup's sessions come first
						return c.greet
					}
					return good()
				}
				_, err := Run(t.Context(), small(base, f, Connect))
				if !errors.Is(err, c.want) || !strings.Contains(err.Error(), f.addr()) {
					t.Errorf("error %v, want %v", err, c.want)
				}
			})
		}
	}
}

func TestRefusedConnection(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	for _, w := range []Workload{Get, Connect} {
		_, err := Run(t.Context(), Config{Servers: []string{addr}, Workloads: []Workload{w}})
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), addr) || strings.Count(err.Error(), "refused") != 1 {
			t.Errorf("%s: error %v", w, err)
		}
	}
}

func TestRunReportsEveryBadSetting(t *testing.T) {
	_, err := Run(t.Context(), Config{
		Servers: []string{"nowhere"}, Connections: -1, InFlight: []int{0, 5000}, Keys: -1, ReadPercent: 101, ValueBytes: 1 << 30,
	})
	for _, want := range []string{`"nowhere"`, "connections", "in flight must be 1 to 500, not 0", "not 5000", "keys", "read percentage", "value size"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

func TestParseWorkloads(t *testing.T) {
	for list, want := range map[string]string{
		"get":             "[get]",
		"set, create":     "[set create]",
		"checkpoint-tail": "[idle-tail checkpoint-tail]",
		"all":             fmt.Sprint(everyday),
	} {
		if got, err := ParseWorkloads(list); err != nil || fmt.Sprint(got) != want {
			t.Errorf("%s: %v, %v", list, got, err)
		}
	}
	for _, bad := range []string{"", "gets", "get,,set"} {
		if got, err := ParseWorkloads(bad); err == nil {
			t.Errorf("%q is taken for %v", bad, got)
		}
	}
}

// Two sides run in turns, each row is compared, and both are left clean.
func TestAgainst(t *testing.T) {
	a, b := startFake(t), startFake(t)
	c := small(Config{}, a, Get, Connect)
	c.Against, c.Rounds = []string{b.addr()}, 3
	c.PIDs, c.AgainstPIDs = []int{os.Getpid()}, []int{os.Getpid()}
	var progress strings.Builder
	c.Progress = &progress
	rep, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Results) != 2 || len(rep.Against) != 2 || len(rep.Ratios) != 2 {
		t.Fatalf("%d, %d rows, %d ratios", len(rep.Results), len(rep.Against), len(rep.Ratios))
	}
	if r := rep.Results[0]; r.Ops != 900 || rep.Against[0].Ops != 900 {
		t.Errorf("three rounds did %d and %d operations", r.Ops, rep.Against[0].Ops)
	}
	wantTurns := "get with 4 in flight on [A], round 1 of 3\nget with 4 in flight on [B], round 1 of 3\nget with 4 in flight on [A], round 2 of 3"
	if got := strings.NewReplacer(a.addr(), "A", b.addr(), "B").Replace(progress.String()); !strings.HasPrefix(got, wantTurns) {
		t.Errorf("turns: %s", got)
	}
	var out bytes.Buffer
	if err := rep.WriteJSON(&out); err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || back.Results[0].Ops != 900 || back.Ratios[0].Throughput.Median <= 0 {
		t.Errorf("as JSON: %v, %+v", err, back)
	}
	out.Reset()
	if err := rep.WriteText(&out); err != nil || strings.Count(out.String(), "workload") != 3 {
		t.Errorf("as text: %v\n%s", err, out.String())
	}
	for _, f := range []*fakeServer{a, b} {
		if paths, sessions := f.left(); len(paths) != 0 || sessions != 0 {
			t.Errorf("left behind: %d sessions, %v", sessions, paths)
		}
	}
}

// Connections are spread over the servers. The fakes share no tree, so only
// reads of what each has can be checked: here none has the other's keys.
func TestConnectionsAreSpread(t *testing.T) {
	a, b := startFake(t), startFake(t)
	c := small(Config{}, a, Connect)
	c.Servers, c.Connections = []string{a.addr(), b.addr()}, 4
	if _, err := Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if x, y := a.count(wire.OpCloseSession), b.count(wire.OpCloseSession); x == 0 || y == 0 {
		t.Errorf("sessions: %d and %d", x, y)
	}
}
