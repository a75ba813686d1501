package server

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/znode"
)

// TestDamagedTreeStopsTheServer damages the tree at rest, while a server runs or before
// it starts: it stops, and says at which file, as soon as it reads there.
func TestDamagedTreeStopsTheServer(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.TreeBytes = 1 // nothing is kept in memory
	r := start(t, cfg)
	c := r.client()
	for i := range 300 {
		c.create(name("/n%03d", i), strings.Repeat("data", 200))
	}
	r.stop()
	r = start(t, cfg)
	c = r.client()
	dir := filepath.Join(cfg.DataDir, treeDir)
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("no tables in %s: %v", dir, err)
	}
	for _, table := range tables {
		damageBlocks(t, table)
	}
	for i := range 300 { // until the connection ends
		if _, err := c.send(wire.OpGetData, wire.PathWatch{Path: []byte(name("/n%03d", i))}.Append(nil)); err != nil {
			break
		}
		if _, _, err := c.recv(); err != nil {
			break
		}
	}
	err = r.wait(false)
	if !errors.Is(err, znode.ErrCorrupt) || errors.Is(err, ErrStopped) {
		t.Fatalf("the server ended with %v", err)
	}
	requireNamesTable(t, err, dir)

	for _, table := range tables {
		if b, err := os.ReadFile(table); err != nil || os.WriteFile(table, flipped(b, 0), 0o600) != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(cfg)
	if err == nil { // it had not to read there yet
		_ = s.closeStorage()
		t.Fatal("a damaged tree was opened")
	}
	requireNamesTable(t, err, dir)
}

// requireNamesTable wants directory and file, and nothing that only Pebble's authors
// understand.
func requireNamesTable(t *testing.T, err error, dir string) {
	t.Helper()
	text := err.Error()
	if !strings.Contains(text, dir+"/") || !strings.Contains(text, ".sst") || strings.Contains(text, "carrier") {
		t.Errorf("unclear: %v", err)
	}
}

// damageBlocks flips bytes in the blocks of a table, and leaves the index and the
// footer at its end.
func damageBlocks(t *testing.T, table string) {
	t.Helper()
	b, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(table, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(flipped(b, len(b)/3), 0)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// flipped flips a bit of every 16th byte, up to keep bytes before the end.
func flipped(b []byte, keep int) []byte {
	out := append([]byte(nil), b...)
	for i := 8; i < len(out)-keep; i += 16 {
		out[i] ^= 1
	}
	return out
}

// TestOlderTreeIsRefused: a tree that is older than what the log was purged to, as a
// manifest without its last record leaves it, is not gone on from.
func TestOlderTreeIsRefused(t *testing.T) {
	o := historyOptions{DataDir: t.TempDir()}
	o.LogDir, o.Log.PreallocBytes = o.DataDir, -1
	h := mustHistory(t, o)
	one, two := entriesOf(zx(1, 1), 10, 0), entriesOf(zx(2, 1), 10, 0)
	tree := filepath.Join(o.DataDir, treeDir)
	mustWriteHistory(t, h, joinEpoch(1, one)...)
	mustWriteHistory(t, h, joinEpoch(2, two)...)
	older := filepath.Join(t.TempDir(), "older")
	if err := h.current.store.Backup(older); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(applyEntries(h.tree(), one), applyEntries(h.tree(), two[:5]), checkpointNow(h.tree())); err != nil {
		t.Fatal(err)
	}
	if after, err := h.purge(zx(2, 5), 0); err != nil || after != zx(1, 10) {
		t.Fatalf("purged up to %#x, %v", after, err)
	}
	mustCloseHistory(t, h)
	if err := errors.Join(os.RemoveAll(tree), os.Rename(older, tree)); err != nil {
		t.Fatal(err)
	}
	_, err := openHistory(o)
	requireErr(t, err, "it is an older copy, or the last record of the MANIFEST in it is damaged")
}
