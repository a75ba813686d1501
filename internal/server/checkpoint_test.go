package server

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/znode"
)

// TestCheckpointWithoutRoom: a disk that is full stops checkpoints and nothing
// else; the log has all that the next start needs.
func TestCheckpointWithoutRoom(t *testing.T) {
	var d fullDisk
	cfg := testConfig(t.TempDir())
	cfg.SnapCount = 20
	cfg.hooks.store = func(o *znode.StoreOptions) { o.FS = d.wrap() }
	r := start(t, cfg)
	c := r.client()
	d.full.Store(true)
	for i := range 100 {
		c.create(name("/n%d", i), "x")
	}
	if err := r.wait(true); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("the last checkpoint had no room, and the server ended with %v", err)
	}
	d.full.Store(false)
	r = start(t, cfg)
	if got := r.s.Recovery(); got.Zxid != 101 || got.Replayed == 0 {
		t.Errorf("recovered %+v", got)
	}
	r.client().wantData("/n99", "x")
	r.stop()
	r = start(t, cfg)
	if got := r.s.Recovery(); got.Zxid != 102 || got.Replayed != 0 {
		t.Errorf("recovered %+v", got)
	}
}

// TestWritesWaitWhenTheTreeIsFullOfChanges: while checkpoints fail, what has
// changed cannot be dropped; writes wait before it takes more memory than it
// may, and go on when a checkpoint is through.
func TestWritesWaitWhenTheTreeIsFullOfChanges(t *testing.T) {
	var d fullDisk
	cfg := testConfig(t.TempDir())
	cfg.TreeBytes, cfg.CheckpointLogBytes = 1<<20, 4<<20
	cfg.hooks.store = func(o *znode.StoreOptions) { o.FS = d.wrap() }
	r := start(t, cfg)
	c := r.client()
	d.full.Store(true)
	const writes, size = 200, 500_000
	sent := make(chan error, 1)
	go func() {
		for i := range writes {
			if _, err := c.send(wire.OpCreate, createBody(name("/n%d", i), strings.Repeat("x", size), 0)); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	for waits := false; !waits; {
		var used int64
		if !r.s.onLoop(func() { waits, used = r.s.loop.ckpt.throttled(), r.s.tree.MemoryBytes() }) {
			t.Fatal("the server has stopped")
		}
		if used > 80<<20 {
			t.Fatalf("%d bytes in memory and writes go on", used)
		}
	}
	d.full.Store(false)
	if !r.s.onLoop(func() { r.s.loop.ckpt.retryAt = time.Now() }) {
		t.Fatal("the server has stopped")
	}
	for i := range writes {
		if h, _, err := c.recv(); err != nil || h.Err != wire.OK {
			t.Fatalf("write %d: %+v, %v", i, h, err)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	c.wantData("/n0", strings.Repeat("x", size))
}
