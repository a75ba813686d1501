package server

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/quorate/quorate/zab/txnlog"
)

// twoDirs are the directories of a server that has its log on a disk of its own, with
// one transaction in it.
func twoDirs(t *testing.T) historyOptions {
	t.Helper()
	o := historyOptions{DataDir: t.TempDir(), LogDir: t.TempDir(), Alone: true}
	o.Log.PreallocBytes = -1
	h := mustHistory(t, o)
	var b txnlog.Batch
	b.End(append(b.Begin(), entryOf(1, 0).Data...), 1)
	if err := errors.Join(h.log.Append(&b), h.log.Sync()); err != nil {
		t.Fatal(err)
	}
	mustCloseHistory(t, h)
	return o
}

// TestLogDirIsLocked: a second server, with a dataDir of its own, does not write to the
// log of the first.
func TestLogDirIsLocked(t *testing.T) {
	o := twoDirs(t)
	first := mustHistory(t, o)
	second := o
	second.DataDir = t.TempDir()
	for _, other := range []historyOptions{second, o} {
		_, err := openHistory(other)
		requireErr(t, err, "transaction log in "+filepath.Join(o.LogDir, versionDir)+": in use by another server")
	}
	mustCloseHistory(t, first)
	mustHistory(t, o)
}

// TestLogOfAnotherServer: the directories of two servers are not taken together, in
// whatever way they got there.
func TestLogOfAnotherServer(t *testing.T) {
	o, other := twoDirs(t), twoDirs(t)
	fresh := historyOptions{DataDir: t.TempDir()}
	for _, data := range []historyOptions{other, fresh} {
		mixed := o
		mixed.DataDir = data.DataDir
		_, err := openHistory(mixed)
		requireErr(t, err, "the log in "+filepath.Join(o.LogDir, versionDir)+" is not that of "+filepath.Join(data.DataDir, versionDir))
	}
	empty := o
	empty.LogDir = t.TempDir()
	_, err := openHistory(empty)
	if !errors.Is(err, txnlog.ErrMissing) {
		t.Error(err)
	}
	for _, whole := range []historyOptions{o, other} {
		mustHistory(t, whole)
	}
}

// TestIdentityIsCompleted: directories of an earlier version have no identity, one of
// them may have been restored, and Java servers' never had one.
func TestIdentityIsCompleted(t *testing.T) {
	o := twoDirs(t)
	data, log := filepath.Join(o.DataDir, versionDir, identityName), filepath.Join(o.LogDir, versionDir, identityName)
	was := mustReadFile(t, data)
	for _, gone := range [][]string{{log}, {data}, {data, log}} {
		mustRemove(t, gone...)
		mustCloseHistory(t, mustHistory(t, o))
		if d, l := mustReadFile(t, data), mustReadFile(t, log); d != l || len(d) != 33 || (d != was) != (len(gone) == 2) {
			t.Errorf("without %v: %q and %q, before %q", gone, d, l, was)
		}
	}
	all := entriesOf(zx(1, 1), 10, 0)
	j := javaHistory(t, zx(1, 4), all, 4, "1", all)
	h := mustHistory(t, j)
	mustCloseHistory(t, h)
	if err := h.release(); err != nil {
		t.Fatal(err)
	}
	h = mustHistory(t, j)
	requireHolds(t, h, mustBoot(t, h), all)
}

func mustReadFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
