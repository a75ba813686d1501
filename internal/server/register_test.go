package server

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/zab/txnlog"
)

// logFiles are the paths of the log's files, oldest first.
func logFiles(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, versionDir, "log.*"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no log files in %s: %v", dir, err)
	}
	return names
}

func mustRemove(t *testing.T, paths ...string) {
	t.Helper()
	for _, p := range paths {
		if err := os.Remove(p); err != nil {
			t.Fatal(err)
		}
	}
}

// killedServer leaves the directories of a server that was killed after writes into
// two log files, and what is in them.
func killedServer(t *testing.T) Config {
	t.Helper()
	cfg := testConfig(t.TempDir())
	cfg.LogDir = t.TempDir()
	cfg.fillDefaults()
	s := newServer(cfg)
	if err := s.recover(); err != nil {
		t.Fatal(err)
	}
	var b txnlog.Batch
	for z := int64(1); z <= 6; z++ {
		b.Reset()
		b.End(append(b.Begin(), entryOf(z, 0).Data...), z)
		if err := errors.Join(s.txns.Append(&b), s.txns.Sync()); err != nil {
			t.Fatal(err)
		}
		if z == 3 {
			s.txns.Roll()
		}
	}
	if err := s.closeStorage(); err != nil { // the tree has not been written to rest
		t.Fatal(err)
	}
	return cfg
}

// TestMissingLogFile: a server whose log files are gone, one or all of them, neither
// starts nor is called sound.
func TestMissingLogFile(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, files []string){
		"the newest is removed":   func(t *testing.T, files []string) { mustRemove(t, files[1]) },
		"the oldest is removed":   func(t *testing.T, files []string) { mustRemove(t, files[0]) },
		"the newest is emptied":   func(t *testing.T, files []string) { mustTruncate(t, files[1], 0) },
		"the newest is zeroed":    func(t *testing.T, files []string) { mustTruncate(t, files[1], 0); mustTruncate(t, files[1], 4096) },
		"the disk is not mounted": func(t *testing.T, files []string) { mustRemove(t, files...) },
		"the directory is gone": func(t *testing.T, files []string) {
			if err := os.RemoveAll(filepath.Dir(filepath.Dir(files[0]))); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := killedServer(t)
			spoil(t, logFiles(t, cfg.LogDir))
			for range 2 {
				_, err := Open(cfg)
				requireErr(t, err, filepath.Join(cfg.LogDir, versionDir, "log."))
				requireErr(t, err, "Bring it back; or remove "+filepath.Join(cfg.DataDir, versionDir, registerName))
				_, cerr := Check(cfg)
				if !errors.Is(err, txnlog.ErrMissing) || !errors.Is(cerr, txnlog.ErrMissing) {
					t.Errorf("%v; check says %v", err, cerr)
				}
			}
		})
	}
}

func mustTruncate(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

// TestMissingLogFileOfJava: the log that was imported with a snapshot is missed as
// well as what was written since.
func TestMissingLogFileOfJava(t *testing.T) {
	all := entriesOf(zx(1, 1), 10, 0)
	o := javaHistory(t, zx(1, 4), all, 4, "1", all)
	mustCloseHistory(t, mustHistory(t, o))
	mustRemove(t, logFiles(t, o.LogDir)...)
	_, err := openHistory(o)
	if !errors.Is(err, txnlog.ErrMissing) {
		t.Fatal(err)
	}
}

// TestMissingLogFileOfInstall: a snapshot from the leader brings its own log.
func TestMissingLogFileOfInstall(t *testing.T) {
	o := historyOptions{DataDir: t.TempDir()}
	o.LogDir, o.Log.PreallocBytes = o.DataDir, -1
	h := mustHistory(t, o)
	mustWriteHistory(t, h, joinEpoch(1, entriesOf(zx(1, 1), 10, 0))...)
	base, behind := entriesOf(zx(2, 1), 5, 1), entriesOf(zx(2, 6), 4, 1)
	if err := receiveInto(h, base, 5, zx(2, 5)); err != nil {
		t.Fatal(err)
	}
	mustWriteHistory(t, h, zab.Write{Kind: zab.WriteAcceptedEpoch, Epoch: 2}, zab.Write{Kind: zab.WriteSyncMark},
		zab.Write{Kind: zab.WriteInstall, Conn: 5, Zxid: zx(2, 5), Entries: behind}, zab.Write{Kind: zab.WriteCurrentEpoch, Epoch: 2})
	h = reopen(t, h)
	requireHolds(t, h, mustBoot(t, h), slices.Concat(base, behind))
	mustCloseHistory(t, h)
	mustRemove(t, logFiles(t, o.LogDir)...)
	_, err := openHistory(o)
	requireErr(t, err, "log.200000006")
}

// TestLogOfJavaMeanwhile: a Java server to which the directories were given may have
// purged what this one wrote, and an operator may have moved the tree away by hand.
func TestLogOfJavaMeanwhile(t *testing.T) {
	for name, give := range map[string]func(t *testing.T, h *history){
		"exported": func(t *testing.T, h *history) {
			mustCloseHistory(t, h)
			if err := h.release(); err != nil {
				t.Fatal(err)
			}
		},
		"by hand": func(t *testing.T, h *history) {
			mustCloseHistory(t, h)
			mustRemove(t, h.metaPath(placeName))
			if err := h.o.Store.Remove(); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			all := entriesOf(zx(1, 1), 10, 0)
			o := javaHistory(t, zx(1, 4), all, 4, "1", all[:6])
			h := mustHistory(t, o)
			mustWriteHistory(t, h, zab.Write{Kind: zab.WriteAppend, Entries: all[6:]})
			give(t, h)
			mustRemove(t, logFiles(t, o.LogDir)...)
			writeJavaSnapshot(t, o, zx(1, 10), all)
			h = mustHistory(t, o)
			requireHolds(t, h, mustBoot(t, h), all)
		})
	}
}

// TestLogOfEarlierVersion: directories without a register are taken as they are, once.
func TestLogOfEarlierVersion(t *testing.T) {
	cfg := killedServer(t)
	register := filepath.Join(cfg.DataDir, versionDir, registerName)
	mustRemove(t, register)
	if r, err := Check(cfg); err != nil || r.Zxid != 6 {
		t.Fatalf("%+v, %v", r, err)
	}
	mustRemove(t, logFiles(t, cfg.LogDir)[1])
	_, err := Open(cfg)
	requireErr(t, err, "log.4")
}
