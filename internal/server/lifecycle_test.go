package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/zab/txnlog"
	"github.com/quorate/quorate/znode"
)

func TestStartStop(t *testing.T) {
	dir := t.TempDir()
	r := start(t, testConfig(dir))
	c := r.client()
	c.create("/a", "one")
	c.set("/a", "two")
	if got := r.s.Recovery(); got.Replayed != 0 || got.Zxid != 0 || got.Imported {
		t.Errorf("a new server recovered %+v", got)
	}
	r.stop()
	if _, err := net.Dial("tcp", r.addr); err == nil {
		t.Error("a stopped server takes connections")
	}

	// A server that was stopped has nothing to replay.
	r = start(t, testConfig(dir))
	if got := r.s.Recovery(); got.Replayed != 0 || got.Zxid != 3 || got.Checkpoint != 3 || got.Znodes != 5 {
		t.Errorf("after a stop it recovered %+v", got)
	}
	// The session lives on, with its password.
	again := r.dial()
	again.id, again.passwd = c.id, c.passwd
	if err := again.connect(30_000); err != nil {
		t.Fatal(err)
	}
	again.wantData("/a", "two")
	again.create("/b", "three")
	r.stop()
}

// TestStopAnswersWhatIsCommitted sends writes until the connection ends: what
// is there at the next start is what was answered, no more and no less.
func TestStopAnswersWhatIsCommitted(t *testing.T) {
	dir := t.TempDir()
	r := start(t, testConfig(dir))
	c := r.client()
	c.create("/n", "")
	answered := make(chan int)
	enough := make(chan struct{})
	room := make(chan struct{}, 200) // the answers to so many fit in a socket's buffer
	go func() {
		n := 0
		for {
			h, _, err := c.recv()
			if err != nil || h.Err != wire.OK {
				break
			}
			<-room
			if n++; n == 1000 {
				close(enough)
			}
		}
		answered <- n
	}()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for {
			select {
			case room <- struct{}{}:
			case <-r.s.stopped:
				return
			}
			if _, err := c.send(wire.OpCreate, createBody("/n/x-", "", wire.FlagPersistentSequential)); err != nil {
				return
			}
		}
	}()
	<-enough
	r.stop()
	got := <-answered
	<-sent
	r = start(t, testConfig(dir))
	if rec := r.s.Recovery(); rec.Replayed != 0 {
		t.Errorf("%d transactions were replayed after a stop", rec.Replayed)
	}
	there := len(r.client().children("/n"))
	if there != got {
		t.Errorf("%d znodes are there, %d were answered", there, got)
	}
}

func TestSecondServerIsRefused(t *testing.T) {
	dir := t.TempDir()
	r := start(t, testConfig(dir))
	_, err := Open(testConfig(dir))
	if !errors.Is(err, znode.ErrStoreInUse) || !strings.Contains(err.Error(), dir) {
		t.Errorf("a second server on the directory got %v", err)
	}
	r.client().create("/still", "alive")
	r.stop()
	start(t, testConfig(dir)).client().wantData("/still", "alive")
}

func TestAddressInUse(t *testing.T) {
	r := start(t, testConfig(t.TempDir()))
	cfg := testConfig(t.TempDir())
	cfg.ClientAddrs = []string{"127.0.0.1:0", r.addr}
	_, err := Open(cfg)
	if err == nil || !strings.Contains(err.Error(), r.addr) {
		t.Fatalf("binding %s twice gave %v", r.addr, err)
	}
	cfg.ClientAddrs = cfg.ClientAddrs[:1] // and nothing is held after the error
	start(t, cfg).client().create("/a", "")
}

// TestRestartFromACopy copies the data directory of a running server, as a
// kill -9 leaves it: what was acknowledged is in the copy.
func TestRestartFromACopy(t *testing.T) {
	dir := t.TempDir()
	cfg := testConfig(dir)
	cfg.SnapCount = 50
	r := start(t, cfg)
	c := r.client()
	for i := range 200 {
		c.create(name("/n%03d", i), name("data %d", i))
	}
	c.must(wire.OpCreate, createBody("/mine", "e", wire.FlagEphemeral))
	two := start(t, testConfig(copyData(r, dir)))
	if got := two.s.Recovery(); got.Zxid != 202 {
		t.Errorf("recovered %+v", got)
	}
	d := two.client()
	for i := range 200 {
		d.wantData(name("/n%03d", i), name("data %d", i))
	}
	d.wantData("/mine", "e") // its session has not expired yet
	d.create("/n200", "")
}

// copyData copies a data directory while nothing changes in it: no checkpoint is
// written, and no file comes, goes or grows, as Pebble's do in the background.
func copyData(r *running, dir string) string {
	r.t.Helper()
	for {
		copied, same := r.t.TempDir(), false
		if !r.s.onLoop(func() {
			before := listing(r.t, dir)
			err := os.CopyFS(copied, os.DirFS(dir))
			same = err == nil && !r.s.loop.ckpt.running && listing(r.t, dir) == before
		}) {
			r.t.Fatal("the server has stopped")
		}
		if same {
			return copied
		}
	}
}

// listing tells the names and sizes of all files below dir.
func listing(t testing.TB, dir string) string {
	var out strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && d.IsDir() {
			return nil // it went while we looked
		}
		if err != nil {
			return err
		}
		if info, err := d.Info(); err == nil {
			fmt.Fprintln(&out, path, info.Size(), info.ModTime())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestStopDuringACheckpoint stops a server while it writes a checkpoint.
func TestStopDuringACheckpoint(t *testing.T) {
	dir := t.TempDir()
	cfg := testConfig(dir)
	cfg.SnapCount = 10
	g := newGate()
	cfg.hooks.store = func(o *znode.StoreOptions) { o.FS = g.wrap(o.Dir) }
	r := start(t, cfg)
	c := r.client()
	g.shut()
	for i := range 30 {
		c.create(name("/n%d", i), "")
	}
	<-g.waiting // the checkpoint is being written
	r.cancel()
	<-r.s.stopped
	g.release()
	r.stop()
	cfg.hooks.store = nil
	r = start(t, cfg)
	if got := r.s.Recovery(); got.Replayed != 0 || got.Zxid != 31 {
		t.Errorf("recovered %+v", got)
	}
}

// TestLogThatEndsBeforeTheTree: without syncs a power loss may take the end of
// the log and leave the checkpoint. What is lost is lost; the server goes on.
func TestLogThatEndsBeforeTheTree(t *testing.T) {
	dir := t.TempDir()
	mem := txnlog.NewMemFS()
	cfg := testConfig(dir)
	cfg.NoSync = true
	cfg.hooks.log = func(o *txnlog.Options) { o.FS = mem }
	r := start(t, cfg)
	c := r.client()
	for i := range 20 {
		c.create(name("/n%d", i), "")
	}
	before := mem.Crash(0)
	for i := range 20 {
		c.set(name("/n%d", i), "x")
	}
	r.stop()
	mem = before
	r = start(t, cfg)
	d := r.client()
	d.wantData("/n19", "x")
	d.create("/after", "1")
	d.set("/after", "2")
	r.stop()
	r = start(t, cfg)
	r.client().wantData("/after", "2")
}

// TestReplayOverBudget replays a log whose tree does not fit in its budget, and
// with a budget that not even an empty tree fits in.
func TestReplayOverBudget(t *testing.T) {
	dir := t.TempDir()
	r := start(t, testConfig(dir))
	c := r.client()
	for i := range 3000 {
		if _, err := c.send(wire.OpCreate, createBody(name("/n%04d", i), strings.Repeat("x", 100), 0)); err != nil {
			t.Fatal(err)
		}
	}
	for range 3000 {
		if h, _, err := c.recv(); err != nil || h.Err != wire.OK {
			t.Fatal(h, err)
		}
	}
	cfg := testConfig(copyData(r, dir))
	cfg.TreeBytes = 1
	r2 := start(t, cfg)
	if got := r2.s.Recovery(); got.Replayed != 3001 {
		t.Errorf("recovered %+v", got)
	}
	d := r2.client()
	for i := 0; i < 3000; i += 100 {
		d.wantData(name("/n%04d", i), strings.Repeat("x", 100))
	}
}

func TestOpenAfterShutdownContext(t *testing.T) {
	s, err := Open(testConfig(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Run(ctx); !errors.Is(err, ErrStopped) {
		t.Errorf("Run under a context that is over: %v", err)
	}
}

// TestConnectionsAtTheEnd: a connection that has said nothing does not hold up
// the stop.
func TestConnectionsAtTheEnd(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.HandshakeTimeout = time.Hour
	r := start(t, cfg)
	silent := r.dial()
	c := r.client()
	half := r.client()
	if _, err := half.nc.Write([]byte{0, 0, 0, 50, 1}); err != nil {
		t.Fatal(err)
	}
	c.create("/a", "")
	r.stop()
	for _, nc := range []net.Conn{silent.nc, half.nc, c.nc} {
		if n, err := io.Copy(io.Discard, nc); n != 0 || os.IsTimeout(err) {
			t.Errorf("after the stop: %d bytes, %v", n, err)
		}
	}
}

func TestLogDirOfItsOwn(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.LogDir = t.TempDir()
	r := start(t, cfg)
	r.client().create("/a", "x")
	if m, err := filepath.Glob(filepath.Join(cfg.LogDir, "version-2", "log.*")); err != nil || len(m) != 1 {
		t.Errorf("log files %v, %v", m, err)
	}
	r.stop()
	start(t, cfg).client().wantData("/a", "x")
}

// TestNoConnectionAfterTheStop: one that was on its way while the others were
// closed would hold up the end for as long as it says nothing.
func TestNoConnectionAfterTheStop(t *testing.T) {
	r := start(t, testConfig(t.TempDir()))
	r.stop()
	if r.s.admit(&conn{}, netip.MustParseAddrPort("127.0.0.1:1"), nil, func() {}) {
		t.Error("a server that has stopped admits a connection")
	}
}
