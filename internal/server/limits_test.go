package server

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quorate/quorate/wire"
)

// wantClosed waits for the server's end of a connection.
func wantClosed(t *testing.T, c *rawClient, why string) {
	t.Helper()
	var timeout interface{ Timeout() bool }
	if n, err := io.Copy(io.Discard, c.nc); n != 0 || errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("%s: %d bytes, %v; want the end", why, n, err)
	}
}

func TestConnectionsPerAddress(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.ConnsPerIP = 3
	r := start(t, cfg)
	var cs []*rawClient
	for range 3 {
		cs = append(cs, r.client())
	}
	wantClosed(t, r.dial(), "the fourth connection")
	cs[0].create("/a", "")
	// The place of one that ends is free again; it is taken notice of on the way.
	_ = cs[1].nc.Close()
	for r.s.connCount() > 2 {
		cs[0].must(wire.OpExists, pathBody("/a", false))
	}
	r.client().set("/a", "x")
	if got := r.s.stats.rejected.Load(); got != 1 {
		t.Errorf("%d connections were rejected, want 1", got)
	}
}

func TestConnectionsInAll(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.ConnsMax = 2
	r := start(t, cfg)
	c := r.client()
	r.client()
	wantClosed(t, r.dial(), "the third connection")
	c.create("/a", "")
}

func TestHandshakeTimeout(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.HandshakeTimeout = time.Millisecond
	r := start(t, cfg)
	half := r.dial()
	if _, err := half.nc.Write([]byte{0, 0}); err != nil {
		t.Fatal(err)
	}
	wantClosed(t, r.dial(), "a connection that says nothing")
	wantClosed(t, half, "a connection that says little")
}

func TestGarbageClosesOneConnection(t *testing.T) {
	r := start(t, testConfig(t.TempDir()))
	c := r.client()
	for what, b := range map[string][]byte{
		"a negative length":      {0xff, 0xff, 0xff, 0xf0, 1, 2, 3},
		"a packet of nothing":    {0, 0, 0, 0},
		"a huge length":          {0x7f, 0xff, 0xff, 0xff, 1},
		"a short connect":        {0, 0, 0, 3, 1, 2, 3},
		"HTTP":                   []byte("GET / HTTP/1.1\r\n\r\n"),
		"a password of -2 bytes": append(append([]byte{0, 0, 0, 44}, make([]byte, 24)...), bytes.Repeat([]byte{0xfe}, 20)...),
	} {
		d := r.dial()
		if _, err := d.nc.Write(b); err != nil {
			t.Fatal(err)
		}
		wantClosed(t, d, what)
	}
	c.create("/alive", "")
}

func TestOversizedRequest(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.RequestBytesMax, cfg.OversizedBytesMax = 2000, 1<<20
	r := start(t, cfg)
	c := r.client()
	c.create("/a", "")
	if code, _ := c.call(wire.OpSetData, setBody("/a", strings.Repeat("x", 500_000))); code != wire.ErrBadArguments {
		t.Errorf("a request above jute.maxbuffer: %v", code)
	}
	c.set("/a", "still connected")
	c.wantData("/a", "still connected")
	if _, err := c.send(wire.OpSetData, setBody("/a", strings.Repeat("x", 2<<20))); err == nil {
		if _, _, err = c.recv(); err == nil {
			t.Error("a request above the limit for oversized ones was answered")
		}
	}
	r.client().wantData("/a", "still connected")
}

// TestSlowReader: a client that asks for much and reads nothing, and one that
// watches and reads nothing, hold up nobody else.
func TestSlowReader(t *testing.T) {
	r := start(t, testConfig(t.TempDir()))
	c := r.client()
	const size = 200_000
	c.create("/big", strings.Repeat("x", size))
	c.create("/w", "")
	slow, watcher := r.client(), r.client()
	const asked = 400
	var wg sync.WaitGroup
	wg.Go(func() { // the server stops reading from it, so this waits
		for range asked {
			if _, err := slow.send(wire.OpGetData, pathBody("/big", false)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	persistent := wire.PathType{Path: []byte("/w"), Type: wire.AddWatchPersistent}
	watcher.must(wire.OpAddWatch, persistent.Append(nil))
	const changes = 3000
	for i := range changes {
		c.set("/w", name("%d", i))
	}
	c.wantData("/w", name("%d", changes-1))
	// And both get all they asked for once they read.
	for i := range asked {
		h, body, err := slow.recv()
		if err != nil || h.Err != wire.OK || len(body) != 4+size+wire.StatBytes {
			t.Fatalf("answer %d: %+v, %d bytes, %v", i, h, len(body), err)
		}
	}
	wg.Wait()
	watcher.wantData("/w", name("%d", changes-1))
	if len(watcher.events) != changes {
		t.Errorf("%d events, want %d", len(watcher.events), changes)
	}
}

// TestTinyBudget keeps a tree that is much larger than its budget: what is
// read comes from the tree at rest, and every answer is right.
func TestTinyBudget(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.TreeBytes = 256 << 10
	cfg.SnapCount = 500
	r := start(t, cfg)
	c := r.client()
	const dirs, each = 12, 200
	value := func(d, i, version int) string {
		return name("%d/%d/%d ", d, i, version) + strings.Repeat("v", 300)
	}
	pipeline(t, c, dirs*(each+1), func(n int) (wire.Op, []byte) {
		d, i := n/(each+1), n%(each+1)-1
		if i < 0 {
			return wire.OpCreate, createBody(name("/d%02d", d), "", 0)
		}
		return wire.OpCreate, createBody(name("/d%02d/n%03d", d, i), value(d, i, 0), 0)
	})
	pipeline(t, c, dirs*each/3, func(n int) (wire.Op, []byte) {
		d, i := n*3/each, n*3%each
		return wire.OpSetData, setBody(name("/d%02d/n%03d", d, i), value(d, i, 1))
	})
	check := func(c *rawClient) {
		for d := range dirs {
			if got := len(c.children(name("/d%02d", d))); got != each {
				t.Errorf("/d%02d has %d children", d, got)
			}
			for i := range each {
				version := 0
				if (d*each+i)%3 == 0 {
					version = 1
				}
				c.wantData(name("/d%02d/n%03d", d, i), value(d, i, version))
			}
			if _, ok := c.get(name("/d%02d/none", d)); ok {
				t.Error("a znode that is not there")
			}
		}
	}
	check(c)
	rd := wire.NewReader(c.must(wire.OpGetAllChildrenNumber, wire.AppendString(nil, "/")))
	if got := rd.Int(); got != dirs*(each+1)+3 {
		t.Errorf("%d znodes below the root", got)
	}
	for over := true; over; { // what the last reads brought in goes, too
		if !r.s.onLoop(func() { over = r.s.tree.OverBudget() }) {
			t.Fatal("the server has stopped")
		}
	}
	r.stop()
	r = start(t, cfg)
	check(r.client())
}

// pipeline sends n requests, some hundred at a time, all of which succeed.
func pipeline(t *testing.T, c *rawClient, n int, request func(i int) (wire.Op, []byte)) {
	t.Helper()
	for sent := 0; sent < n; {
		burst := min(200, n-sent)
		for range burst {
			op, body := request(sent)
			if _, err := c.send(op, body); err != nil {
				t.Fatal(err)
			}
			sent++
		}
		for range burst {
			if h, _, err := c.recv(); err != nil || h.Err != wire.OK {
				t.Fatalf("%+v, %v", h, err)
			}
		}
	}
}

// TestNoCheckpointsForNothing: a tree that does not fit in its budget, with
// nothing changed, is left alone.
func TestNoCheckpointsForNothing(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.TreeBytes = 1
	cfg.TickTime = 50 * time.Millisecond // the loop looks ten times per tick
	cfg.SessionTimeoutMax = time.Minute
	r := start(t, cfg)
	c := r.client()
	c.create("/a", "")
	rounds := func(n int) { // of the loop
		for range n {
			if !r.s.onLoop(func() {}) {
				t.Fatal("the server has stopped")
			}
		}
	}
	for !settled(r) {
		rounds(1)
	}
	before := r.s.stats.ckpts.View().Count
	rounds(2000)
	if after := r.s.stats.ckpts.View().Count; after != before {
		t.Errorf("%d checkpoints were written of nothing", after-before)
	}
	c.wantData("/a", "")
}

// settled reports that nothing has changed since the last checkpoint and none
// is under way.
func settled(r *running) (ok bool) {
	r.s.onLoop(func() { ok = !r.s.loop.ckpt.running && r.s.tree.DirtyBytes() == 0 })
	return ok
}
