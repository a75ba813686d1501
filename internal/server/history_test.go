package server

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/zab/txnlog"
	"github.com/quorate/quorate/znode"
)

func zx(epoch int64, counter uint32) int64 { return zab.MakeZxid(epoch, counter) }

// joinEpoch is what the core writes when a learner joins an epoch by DIFF.
func joinEpoch(e int64, entries []zab.Entry) []zab.Write {
	return []zab.Write{
		{Kind: zab.WriteAcceptedEpoch, Epoch: e},
		{Kind: zab.WriteSyncMark},
		{Kind: zab.WriteAppend, Entries: entries},
		{Kind: zab.WriteCurrentEpoch, Epoch: e},
	}
}

func TestHistoryNew(t *testing.T) {
	h := mustHistory(t, memHistory(t.TempDir()))
	for range 2 {
		b := mustBoot(t, h)
		if b.Base != 0 || b.Applied != 0 || b.AcceptedEpoch != 0 || b.CurrentEpoch != 0 || b.SyncMark || b.Blank {
			t.Fatalf("boot %+v", b)
		}
		requireHolds(t, h, b, nil)
		h = reopen(t, h)
	}
}

// TestHistoryAppend: appends and epochs are there after a restart, as a tail;
// what is noted as committed is in the tree.
func TestHistoryAppend(t *testing.T) {
	h := mustHistory(t, memHistory(t.TempDir()))
	var all []zab.Entry
	for epoch := int64(1); epoch <= 3; epoch++ {
		es := entriesOf(zx(epoch, 1), 20, 0)
		all = append(all, es...)
		mustWriteHistory(t, h, joinEpoch(epoch, es[:7])...)
		mustWriteHistory(t, h, zab.Write{Kind: zab.WriteAppend, Entries: es[7:9]}, zab.Write{Kind: zab.WriteAppend, Entries: es[9:]})
	}
	if n := len(h.log.Files()); n != 3 {
		t.Errorf("%d log files for three epochs", n)
	}
	h = reopen(t, h)
	b := mustBoot(t, h)
	want := []zab.Run{{First: zx(1, 1), Last: zx(1, 20)}, {First: zx(2, 1), Last: zx(2, 20)}, {First: zx(3, 1), Last: zx(3, 20)}}
	if b.Applied != 0 || b.AcceptedEpoch != 3 || b.CurrentEpoch != 3 || !slices.Equal(b.Runs, want) {
		t.Fatalf("boot %+v", b)
	}
	requireHolds(t, h, b, all)

	if err := h.noteCommitted(zx(2, 13)); err != nil {
		t.Fatal(err)
	}
	h = reopen(t, h)
	b = mustBoot(t, h)
	if b.Applied != zx(2, 13) || b.Base != 0 || !slices.Equal(b.Runs, want) {
		t.Fatalf("boot %+v", b)
	}
	requireHolds(t, h, b, all)
	if h.recovered.Replayed != 33 {
		t.Errorf("recovered %+v", h.recovered)
	}
}

// TestHistoryUnproven: a tree that came as a snapshot proves nothing until a note says that this server has taken part.
func TestHistoryUnproven(t *testing.T) {
	h := mustHistory(t, memHistory(t.TempDir()))
	mustWriteHistory(t, h, joinEpoch(1, entriesOf(zx(1, 1), 10, 0))...)
	if h = reopen(t, h); h.unproven() {
		t.Error("a tree of our own is unproven")
	}
	if err := errors.Join(h.noteCommitted(zx(1, 3)), receiveInto(h, entriesOf(zx(1, 1), 15, 1), 5, zx(1, 15))); err != nil {
		t.Fatal(err)
	}
	mustWriteHistory(t, h, zab.Write{Kind: zab.WriteInstall, Conn: 5, Zxid: zx(1, 15), Entries: entriesOf(zx(1, 16), 4, 2)})
	if h = reopen(t, h); !h.unproven() {
		t.Error("a snapshot is proven by a note about the tree before")
	}
	if err := h.noteCommitted(zx(1, 19)); err != nil {
		t.Fatal(err)
	}
	if h = reopen(t, h); h.unproven() || h.tree().LastZxid() != zx(1, 19) {
		t.Errorf("unproven: %v, at %s", h.unproven(), zab.FormatZxid(h.tree().LastZxid()))
	}
}

// TestHistoryNoteDamaged: a damaged note is no note.
func TestHistoryNoteDamaged(t *testing.T) {
	h := mustHistory(t, memHistory(t.TempDir()))
	mustWriteHistory(t, h, joinEpoch(1, entriesOf(zx(1, 1), 20, 0))...)
	for _, z := range []int64{zx(1, 5), zx(1, 9), zx(1, 12)} { // slots 0, 1, 0
		if err := h.noteCommitted(z); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		damage int64
		want   int64
	}{{-1, zx(1, 12)}, {9, zx(1, 9)}, {noteSlotBytes + 19, 0}} {
		if c.damage >= 0 {
			f, err := h.o.Log.FS.Open(h.metaPath(noteName), true)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt([]byte{0xff}, c.damage); err != nil {
				t.Fatal(err)
			}
		}
		// The tree is not written to rest here, so each start begins anew.
		h = reopen(t, h)
		if b := mustBoot(t, h); b.Applied != c.want {
			t.Fatalf("damaged at %d: the tree is at %#x, want %#x", c.damage, b.Applied, c.want)
		}
	}
}

func TestHistoryTruncate(t *testing.T) {
	h := mustHistory(t, memHistory(t.TempDir()))
	first := entriesOf(zx(1, 1), 10, 0)
	mustWriteHistory(t, h, joinEpoch(1, first)...)
	snapshots := map[string]bool{"snapshot.100000004": true, "snapshot.100000005.gz": false, "snapshot.200000001": false}
	for name := range snapshots {
		f, err := h.o.Log.FS.Create(h.metaPath(name))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	h.place.Java = zx(2, 1) // they were there when the tree was imported
	if err := h.writePlace(); err != nil {
		t.Fatal(err)
	}
	second := entriesOf(zx(2, 1), 3, 1)
	mustWriteHistory(t, h,
		zab.Write{Kind: zab.WriteAcceptedEpoch, Epoch: 2}, zab.Write{Kind: zab.WriteSyncMark},
		zab.Write{Kind: zab.WriteTruncate, Zxid: zx(1, 4)}, zab.Write{Kind: zab.WriteAppend, Entries: second},
		zab.Write{Kind: zab.WriteCurrentEpoch, Epoch: 2})
	h = reopen(t, h)
	requireHolds(t, h, mustBoot(t, h), append(slices.Clone(first[:4]), second...))
	for name, stays := range snapshots {
		if _, err := h.o.Log.FS.Open(h.metaPath(name), false); (err == nil) != stays {
			t.Errorf("%s: %v", name, err)
		}
	}

	// Everything may go, and what is applied must not.
	mustWriteHistory(t, h, zab.Write{Kind: zab.WriteTruncate, Zxid: 0})
	requireHolds(t, h, mustBoot(t, h), nil)
	if _, err := h.write([]zab.Write{{Kind: zab.WriteAppend, Entries: entriesOf(zx(2, 2), 1, 0)}}); !errors.Is(err, txnlog.ErrNotConsecutive) {
		t.Fatalf("a gap was appended: %v", err)
	}
	mustWriteHistory(t, h, zab.Write{Kind: zab.WriteAppend, Entries: second})
	if err := applyEntries(h.tree(), second[:2]); err != nil {
		t.Fatal(err)
	}
	_, err := h.write([]zab.Write{{Seq: 9, Kind: zab.WriteTruncate, Zxid: zx(2, 1)}})
	requireErr(t, err, "write 9, TRUNCATE: cutting the log after 0x200000001, but the tree is at 0x200000002")
	if !errors.Is(err, errDisk) {
		t.Error(err)
	}
}

func TestHistoryInstall(t *testing.T) {
	h := mustHistory(t, memHistory(t.TempDir()))
	mustWriteHistory(t, h, joinEpoch(1, entriesOf(zx(1, 1), 10, 0))...)
	if err := h.noteCommitted(zx(1, 3)); err != nil {
		t.Fatal(err)
	}
	old := h.tree()
	base := append(entriesOf(zx(1, 1), 5, 1), entriesOf(zx(2, 1), 5, 1)...)
	behind := append(entriesOf(zx(2, 6), 4, 2), entriesOf(zx(4, 1), 4, 2)...)
	if err := receiveInto(h, base, 5, zx(2, 5)); err != nil {
		t.Fatal(err)
	}
	installed := mustWriteHistory(t, h,
		zab.Write{Kind: zab.WriteAcceptedEpoch, Epoch: 5}, zab.Write{Kind: zab.WriteSyncMark},
		zab.Write{Kind: zab.WriteInstall, Conn: 5, Zxid: zx(2, 5), Entries: behind},
		zab.Write{Kind: zab.WriteCurrentEpoch, Epoch: 5})
	if installed == nil || installed != h.tree() || installed == old {
		t.Fatal("write did not return the new tree")
	}
	more := entriesOf(zx(5, 1), 3, 3)
	mustWriteHistory(t, h, zab.Write{Kind: zab.WriteAppend, Entries: more})
	all := slices.Concat(base, behind, more)
	requireHolds(t, h, mustBoot(t, h), all)
	if err := h.retire(old); err != nil {
		t.Fatal(err)
	}
	if n, err := h.o.Store.Siblings(); err != nil || !slices.Equal(n, []int{1}) {
		t.Fatalf("trees %v, %v", n, err)
	}
	for range 2 {
		h = reopen(t, h)
		b := mustBoot(t, h)
		if b.Base != zx(2, 5) || b.CurrentEpoch != 5 || b.Runs[0] != (zab.Run{First: zx(2, 6), Last: zx(2, 9)}) {
			t.Fatalf("boot %+v", b)
		}
		requireHolds(t, h, b, all)
	}
	if err := h.LogRange(zx(2, 4), zx(2, 9), nil); !errors.Is(err, txnlog.ErrMissing) {
		t.Errorf("the log before the snapshot is served: %v", err)
	}
}

// TestHistoryInstallRefuses: what was not received cannot be installed, and
// what was received for another write neither.
func TestHistoryInstallRefuses(t *testing.T) {
	h := mustHistory(t, memHistory(t.TempDir()))
	install := func(conn zab.ConnID, z int64, es []zab.Entry) error {
		_, err := h.write([]zab.Write{{Kind: zab.WriteInstall, Conn: conn, Zxid: z, Entries: es}})
		return err
	}
	requireErr(t, install(1, 5, nil), "no snapshot was received on connection 1")
	if err := receiveInto(h, entriesOf(1, 3, 0), 1, 3); err != nil {
		t.Fatal(err)
	}
	h.DropSnapshot(1)
	requireErr(t, install(1, 3, nil), "no snapshot was received")
	if err := receiveInto(h, entriesOf(1, 3, 0), 1, 3); err != nil {
		t.Fatal(err)
	}
	requireErr(t, receiveInto(h, nil, 1, 3), "a second snapshot on connection 1")
	requireErr(t, install(1, 4, nil), "what was received is stamped 0x3")

	// Of those that nobody installs or drops, one stays.
	for conn := zab.ConnID(2); conn < 6; conn++ {
		if err := receiveInto(h, entriesOf(1, 3, 0), conn, 3); err != nil {
			t.Fatal(err)
		}
	}
	if len(h.aside) != 2 {
		t.Errorf("%d snapshots are kept", len(h.aside))
	}
	if err := install(5, 3, nil); err != nil {
		t.Fatal(err)
	}
}

// TestHistoryRefusesForeignBytes: bytes that are not the transaction they are
// said to be do not get into the log.
func TestHistoryRefusesForeignBytes(t *testing.T) {
	h := mustHistory(t, memHistory(t.TempDir()))
	for _, data := range [][]byte{nil, []byte("short"), entryOf(zx(1, 2), 0).Data} {
		_, err := h.write([]zab.Write{{Kind: zab.WriteAppend, Entries: []zab.Entry{{Zxid: zx(1, 1), Data: data}}}})
		requireErr(t, err, "under zxid 0x100000001 are not that transaction")
	}
}

// TestHistoryStream: what one sends the other holds, wherever it was: at rest,
// applied, or in the log only.
func TestHistoryStream(t *testing.T) {
	h := mustHistory(t, memHistory(t.TempDir()))
	es := entriesOf(zx(1, 1), 30, 0)
	mustWriteHistory(t, h, joinEpoch(1, es)...)
	asked := 0
	h.o.Checkpoint = func() error { asked++; return checkpointNow(h.tree()) }
	if err := applyEntries(h.tree(), es[:10]); err != nil {
		t.Fatal(err)
	}
	if err := checkpointNow(h.tree()); err != nil {
		t.Fatal(err)
	}
	if err := applyEntries(h.tree(), es[10:20]); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct{ through, holds, asked int }{{5, 10, 0}, {10, 10, 0}, {30, 30, 0}, {21, 21, 0}, {15, 20, 1}, {20, 20, 1}} {
		var out bytes.Buffer
		if err := h.SendSnapshot(&out, zx(1, uint32(c.through)), begun); err != nil {
			t.Fatal(err)
		}
		to := mustHistory(t, memHistory(t.TempDir()))
		z := zx(1, uint32(c.holds))
		if err := to.ReceiveSnapshot(&out, 1, z); err != nil {
			t.Fatal(err)
		}
		mustWriteHistory(t, to, zab.Write{Kind: zab.WriteAcceptedEpoch, Epoch: 1}, zab.Write{Kind: zab.WriteSyncMark}, zab.Write{Kind: zab.WriteInstall, Conn: 1, Zxid: z})
		to = reopen(t, to)
		requireHolds(t, to, mustBoot(t, to), es[:c.holds])
		if asked != c.asked {
			t.Errorf("case %d: %d checkpoints, want %d", i, asked, c.asked)
		}
	}
	if n, err := h.o.Store.Siblings(); err != nil || !slices.Equal(n, []int{0}) {
		t.Errorf("copies are left: %v, %v", n, err)
	}
	if err := h.SendSnapshot(io.Discard, zx(1, 31), begun); !errors.Is(err, txnlog.ErrMissing) {
		t.Errorf("more was sent than there is: %v", err)
	}
}

// TestHistoryPurge: what a checkpoint makes needless goes, and the log says
// where it begins, although an epoch begins there too.
func TestHistoryPurge(t *testing.T) {
	h := mustHistory(t, memHistory(t.TempDir()))
	one, two := entriesOf(zx(1, 1), 10, 0), entriesOf(zx(2, 1), 10, 0)
	mustWriteHistory(t, h, joinEpoch(1, one)...)
	mustWriteHistory(t, h, joinEpoch(2, two)...)
	if err := applyEntries(h.tree(), append(slices.Clone(one), two[:5]...)); err != nil {
		t.Fatal(err)
	}
	if after, err := h.purge(zx(2, 5), 0); err != nil || after != 0 {
		t.Fatalf("purged up to %#x without a checkpoint: %v", after, err)
	}
	if err := checkpointNow(h.tree()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"snapshot.100000002", "snapshot.10000000a"} {
		f, err := h.o.Log.FS.Create(h.metaPath(name))
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if after, err := h.purge(zx(2, 5), 0); err != nil || after != zx(1, 10) {
		t.Fatalf("purged up to %#x, %v", after, err)
	}
	if names, err := h.o.Log.FS.List(h.o.metaDir()); err != nil || !slices.Contains(names, "disused-snapshot.100000002") ||
		slices.Contains(names, "snapshot.100000002") || !slices.Contains(names, "snapshot.10000000a") {
		t.Errorf("a snapshot that the log no longer goes with is left: %v, %v", names, err)
	}
	h = reopen(t, h)
	b := mustBoot(t, h)
	if b.Base != zx(1, 10) || b.Applied != zx(2, 5) || !slices.Equal(b.Runs, []zab.Run{{First: zx(2, 1), Last: zx(2, 10)}}) {
		t.Fatalf("boot %+v", b)
	}
	requireHolds(t, h, b, append(slices.Clone(one), two...))
	if after, err := h.purge(zx(9, 9), 0); err != nil || after != zx(1, 10) {
		t.Fatalf("purged up to %#x, %v: another tree's checkpoint counted", after, err)
	}
}

// TestHistoryPlace: without the place file, or with a damaged one, nobody
// guesses.
func TestHistoryPlace(t *testing.T) {
	o := historyOptions{DataDir: t.TempDir()}
	o.LogDir, o.Log.PreallocBytes = o.DataDir, -1
	h := mustHistory(t, o)
	if err := receiveInto(h, entriesOf(zx(1, 1), 3, 0), 1, zx(1, 3)); err != nil {
		t.Fatal(err)
	}
	mustWriteHistory(t, h, zab.Write{Kind: zab.WriteInstall, Conn: 1, Zxid: zx(1, 3)})
	mustCloseHistory(t, h)
	path := filepath.Join(o.DataDir, versionDir, placeName)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ content, says string }{
		{"", "is damaged"},
		{strings.Replace(string(good), "tree 1", "tree 0", 1), "is damaged"},
	} {
		if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := openHistory(o)
		requireErr(t, err, c.says)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	_, err = openHistory(o)
	requireErr(t, err, "is missing, so nobody knows")
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (znode.StoreOptions{Dir: filepath.Join(o.DataDir, treeDir)}).Sibling(1).Remove(); err != nil {
		t.Fatal(err)
	}
	_, err = openHistory(o)
	requireErr(t, err, "is empty, but")
}
