package server

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/zab/txnlog"
	"github.com/quorate/quorate/znode"
)

// javaHistory makes the directory of a Java member: a log of these stretches,
// whatever lies between them, a snapshot under a zxid that holds the first
// `holds` entries, and epoch files.
func javaHistory(t *testing.T, snapshot int64, all []zab.Entry, holds int, epoch string, stretches ...[]zab.Entry) historyOptions {
	t.Helper()
	o := historyOptions{DataDir: t.TempDir()}
	o.LogDir, o.Log.PreallocBytes = o.DataDir, -1
	dir := filepath.Join(o.DataDir, versionDir)
	for _, es := range stretches {
		l, err := txnlog.Open(txnlog.Options{Dir: dir, PreallocBytes: -1})
		if err != nil {
			t.Fatal(err)
		}
		l.SkipTo(es[0].Zxid - 1)
		var b txnlog.Batch
		for _, e := range es {
			b.End(append(b.Begin(), e.Data...), e.Zxid)
		}
		if err := errors.Join(l.Append(&b), l.Sync(), l.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"acceptedEpoch", "currentEpoch"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(epoch), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	writeJavaSnapshot(t, o, snapshot, all[:holds])
	return o
}

func writeJavaSnapshot(t *testing.T, o historyOptions, zxid int64, es []zab.Entry) {
	t.Helper()
	b := znode.NewMemBackend()
	tree, err := znode.Open(znode.Options{Backend: b})
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close() //nolint:errcheck // it has none to tell
	if err := errors.Join(applyEntries(tree, es), checkpointNow(tree)); err != nil {
		t.Fatal(err)
	}
	snap, err := b.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := znode.WriteJavaSnapshot(&out, snap, znode.JavaSnapshotOptions{}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(o.DataDir, versionDir, znode.JavaSnapshotName(zxid))
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestHistoryOfJava: what a Java member has left is taken over: the snapshot is
// the tree, what follows in the log is the tail, and nothing before the snapshot
// serves anybody.
func TestHistoryOfJava(t *testing.T) {
	one, two := entriesOf(zx(1, 1), 10, 0), entriesOf(zx(2, 1), 10, 0)
	all := slices.Concat(one, two)
	for name, c := range map[string]struct {
		snapshot  int64
		holds     int
		stretches [][]zab.Entry
		want      []zab.Entry
		runs      []zab.Run
	}{
		"log behind the snapshot": {
			snapshot: zx(1, 6), holds: 6, stretches: [][]zab.Entry{all}, want: all,
			runs: []zab.Run{{First: zx(1, 7), Last: zx(1, 10)}, {First: zx(2, 1), Last: zx(2, 10)}},
		},
		"several files": {
			snapshot: zx(2, 3), holds: 13, stretches: [][]zab.Entry{one[:4], one[4:], two[:3], two[3:]}, want: all,
			runs: []zab.Run{{First: zx(2, 4), Last: zx(2, 10)}},
		},
		"nothing behind the snapshot": {snapshot: zx(2, 10), holds: 20, stretches: [][]zab.Entry{all}, want: all},
		"log ends before the snapshot": {
			snapshot: zx(2, 10), holds: 20, stretches: [][]zab.Entry{one[:5]}, want: all,
		},
		"hole before the snapshot": {
			snapshot: zx(2, 2), holds: 12, stretches: [][]zab.Entry{one[:5], two}, want: all,
			runs: []zab.Run{{First: zx(2, 3), Last: zx(2, 10)}},
		},
		"hole before a stamped snapshot": {
			snapshot: zx(2, 0), holds: 10, stretches: [][]zab.Entry{one[:5], two}, want: all,
			runs: []zab.Run{{First: zx(2, 1), Last: zx(2, 10)}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := mustHistory(t, javaHistory(t, c.snapshot, all, c.holds, "2", c.stretches...))
			for i := range 2 {
				b := mustBoot(t, h)
				if b.Base != c.snapshot || b.Applied != c.snapshot || b.CurrentEpoch != 2 || !slices.Equal(b.Runs, c.runs) {
					t.Fatalf("start %d: boot %+v", i, b)
				}
				requireHolds(t, h, b, c.want)
				h = reopen(t, h)
			}
			// What follows is logged, committed, written to rest; the base stays.
			next := entriesOf(zx(3, 1), 3, 0)
			mustWriteHistory(t, h, joinEpoch(3, next)...)
			if err := applyEntries(h.tree(), append(slices.Clone(mustBoot(t, h).Tail[:0]), c.want[c.holds:]...)); err != nil {
				t.Fatal(err)
			}
			if err := checkpointNow(h.tree()); err != nil {
				t.Fatal(err)
			}
			h = reopen(t, h)
			b := mustBoot(t, h)
			if b.Base != c.snapshot || b.Applied != c.want[len(c.want)-1].Zxid {
				t.Fatalf("boot %+v", b)
			}
			requireHolds(t, h, b, append(slices.Clone(c.want), next...))
		})
	}
}

// TestHistoryOfJavaFuzzy: a Java server writes its snapshots while it goes on,
// so one holds some of what the log behind it has.
func TestHistoryOfJavaFuzzy(t *testing.T) {
	all := entriesOf(zx(1, 1), 10, 0)
	h := mustHistory(t, javaHistory(t, zx(1, 4), all, 7, "1", all))
	b := mustBoot(t, h)
	if b.Applied != zx(1, 4) || len(b.Tail) != 6 {
		t.Fatalf("boot %+v", b)
	}
	if err := applyEntries(h.tree(), b.Tail); err != nil {
		t.Fatal(err)
	}
	b.Applied, b.Tail = zx(1, 10), nil
	requireHolds(t, h, b, all)
}

// TestHistoryAloneOfJava: alone, all of a Java server's log is committed.
func TestHistoryAloneOfJava(t *testing.T) {
	all := entriesOf(zx(1, 1), 10, 0)
	o := javaHistory(t, zx(1, 4), all, 4, "1", all)
	o.Alone = true
	h := mustHistory(t, o)
	if z := h.tree().LastZxid(); z != zx(1, 10) || !h.recovered.Imported || h.recovered.Replayed != 6 {
		t.Fatalf("at %#x, %+v", z, h.recovered)
	}
}

// TestHistoryAfterJava: when a Java server has run in the directory since, its
// snapshot says so, and the tree is not taken for the truth.
func TestHistoryAfterJava(t *testing.T) {
	all := entriesOf(zx(1, 1), 10, 0)
	o := javaHistory(t, zx(1, 4), all, 4, "1", all)
	// A newer one that is damaged was there before, and says nothing.
	if err := os.WriteFile(filepath.Join(o.DataDir, versionDir, "snapshot.100000009"), []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	h := mustHistory(t, o)
	h = reopen(t, h)
	mustCloseHistory(t, h)
	writeJavaSnapshot(t, o, zx(2, 1), all)
	_, err := openHistory(o)
	requireErr(t, err, "a ZooKeeper server has run here meanwhile")
	for _, path := range []string{filepath.Join(o.DataDir, treeDir), filepath.Join(o.DataDir, versionDir, placeName)} {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(o.DataDir, versionDir, "currentEpoch"), []byte("2"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(o.DataDir, versionDir, "acceptedEpoch"), []byte("2"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b := mustBoot(t, mustHistory(t, o)); b.Applied != zx(2, 1) || b.Base != zx(2, 1) {
		t.Errorf("boot %+v", b)
	}
}

// TestJavaFilesArePutAside: what a Java server has left is renamed, not removed, when it
// is not needed any more, because of checkpoints or of a snapshot from the leader.
func TestJavaFilesArePutAside(t *testing.T) {
	all := entriesOf(zx(1, 1), 10, 0)
	for name, c := range map[string]struct {
		discard func(t *testing.T, h *history)
		stay    []string
	}{
		"purge": {
			discard: func(t *testing.T, h *history) {
				if err := errors.Join(applyEntries(h.tree(), all[4:]), checkpointNow(h.tree())); err != nil {
					t.Fatal(err)
				}
				mustWriteHistory(t, h, joinEpoch(2, entriesOf(zx(2, 1), 3, 0))...)
				h.roll()
				mustWriteHistory(t, h, zab.Write{Kind: zab.WriteAppend, Entries: entriesOf(zx(2, 4), 3, 0)})
				if err := errors.Join(applyEntries(h.tree(), entriesOf(zx(2, 1), 6, 0)), checkpointNow(h.tree())); err != nil {
					t.Fatal(err)
				}
				if _, err := h.purge(zx(2, 6), 0); err != nil {
					t.Fatal(err)
				}
			},
			stay: []string{"log.200000004"},
		},
		"install": {
			discard: func(t *testing.T, h *history) {
				if err := receiveInto(h, entriesOf(zx(2, 1), 5, 1), 5, zx(2, 5)); err != nil {
					t.Fatal(err)
				}
				mustWriteHistory(t, h, zab.Write{Kind: zab.WriteAcceptedEpoch, Epoch: 2}, zab.Write{Kind: zab.WriteSyncMark},
					zab.Write{Kind: zab.WriteInstall, Conn: 5, Zxid: zx(2, 5), Entries: entriesOf(zx(2, 6), 2, 1)},
					zab.Write{Kind: zab.WriteCurrentEpoch, Epoch: 2})
			},
			stay: []string{"log.200000006"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := javaHistory(t, zx(1, 4), all, 4, "1", all[:6], all[6:])
			h := reopen(t, mustHistory(t, o))
			c.discard(t, h)
			mustCloseHistory(t, h)
			mustCloseHistory(t, mustHistory(t, o))
			for _, name := range []string{"disused-log.100000001", "disused-log.100000007", "disused-snapshot.100000004"} {
				if _, err := os.Stat(filepath.Join(o.DataDir, versionDir, name)); err != nil {
					t.Error(err)
				}
			}
			var stay []string
			for _, path := range logFiles(t, o.LogDir) {
				stay = append(stay, filepath.Base(path))
			}
			if !slices.Equal(stay, c.stay) {
				t.Errorf("log files %v, want %v", stay, c.stay)
			}
		})
	}
}
