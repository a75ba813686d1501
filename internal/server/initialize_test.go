package server

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/quorate/quorate/zab/members"
	"github.com/quorate/quorate/zab/transport"
	"github.com/quorate/quorate/zab/txnlog"
)

func exitCode(err error) int {
	var e interface{ ExitCode() int }
	if errors.As(err, &e) {
		return e.ExitCode()
	}
	return 1
}

func TestMissingDirectoriesAreNotMade(t *testing.T) {
	dir := t.TempDir()
	cfg := testConfig(filepath.Join(dir, "data"))
	cfg.LogDir = filepath.Join(dir, "log")
	cfg.NoDirAutocreate = true
	for _, d := range []string{cfg.DataDir, cfg.LogDir} {
		_, err := Open(cfg)
		if err == nil || exitCode(err) != 3 || !strings.Contains(err.Error(), filepath.Join(d, versionDir)) {
			t.Fatalf("without %s: %v, exit code %d", d, err, exitCode(err))
		}
		if _, err := os.Stat(d); err == nil {
			t.Fatalf("%s was made", d)
		}
		if err := os.MkdirAll(filepath.Join(d, versionDir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	start(t, cfg).client().create("/a", "")
}

func TestDirectoryThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(testConfig(filepath.Join(file, "data"))); err == nil || exitCode(err) != 3 {
		t.Errorf("%v, exit code %d", err, exitCode(err))
	}
}

func writeInitialize(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, initializeName), nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestEmptyDatabaseAlone(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.NoDBAutocreate = true
	for range 2 { // trying is no reason either
		if _, err := Open(cfg); err == nil || !strings.Contains(err.Error(), "db.autocreate is false") {
			t.Fatalf("an empty database: %v", err)
		}
	}
	writeInitialize(t, cfg.DataDir)
	r := start(t, cfg)
	r.client().create("/a", "x")
	if _, err := os.Stat(filepath.Join(cfg.DataDir, initializeName)); err == nil {
		t.Error("the file is not used up")
	}
	r.stop()
	start(t, cfg).client().wantData("/a", "x")
}

// TestEmptyDatabaseDoesNotVote: two blank members have no leader, not even after a
// restart; one that somebody vouches for makes three.
func TestEmptyDatabaseDoesNotVote(t *testing.T) {
	g := newTeam(t, 3, 0)
	g.change = func(c *Config) { c.NoDBAutocreate = true }
	writeInitialize(t, filepath.Join(g.dir, "1"))
	for id := int64(1); id <= 2; id++ {
		g.start(id)
		if got := bootedBlank(g.up[id]); got != (id == 2) {
			t.Fatalf("server %d is blank: %v", id, got)
		}
	}
	g.up[2].stop()
	g.start(2)
	if !bootedBlank(g.up[2]) {
		t.Error("a restart makes it trusted")
	}
	writeInitialize(t, filepath.Join(g.dir, "3"))
	g.start(3)
	g.leader()
	g.up[2].client().create("/a", "x")
	g.up[2].stop()
	g.start(2)
	if bootedBlank(g.up[2]) {
		t.Error("it has data and is blank")
	}
	g.leader()
}

// bootedBlank reports whether a member was started without a vote.
func bootedBlank(r *running) bool {
	_, err := os.Stat(filepath.Join(r.s.cfg.DataDir, versionDir, blankName))
	return err == nil
}

func TestPortUnavailable(t *testing.T) {
	g := newTeam(t, 3, 0)
	r := g.start(1)
	cfg := r.s.cfg
	cfg.DataDir, cfg.LogDir, cfg.hooks = filepath.Join(t.TempDir(), strconv.Itoa(2)), "", hooks{}
	_, err := Open(cfg)
	if !PortUnavailable(err) || exitCode(err) != 14 {
		t.Errorf("taken: %v, exit code %d", err, exitCode(err))
	}
	// A machine that is starting may not have its address yet.
	away := *cfg.Ensemble
	away.List = members.List{Members: slices.Clone(g.list.Members)}
	away.List.Members[0].Addresses = []members.Address{{Host: "192.0.2.1", QuorumPort: 2888, ElectionPort: 3888}}
	cfg.Ensemble = &away
	_, err = Open(cfg)
	if !PortUnavailable(err) || exitCode(err) != 14 {
		t.Errorf("not of this machine: %v, exit code %d", err, exitCode(err))
	}
	for _, err := range []error{errors.New("other"), &exitError{exitQuorumPort, transport.ErrOptions}} {
		if PortUnavailable(err) {
			t.Errorf("%v will not go away", err)
		}
	}
}

// TestDirectoryNotWritable: directories that are there and cannot be written end a start
// with ZooKeeper's code for that, whatever it was that could not be.
func TestDirectoryNotWritable(t *testing.T) {
	for kind, fault := range map[txnlog.OpKind]error{
		txnlog.OpMkdir: syscall.EACCES, txnlog.OpCreate: syscall.EROFS, txnlog.OpRename: syscall.EACCES,
	} {
		d := newDisks(1)
		d.record = false
		d.fail = func(op txnlog.Op) error {
			if op.Kind == kind {
				return &os.PathError{Op: string(op.Kind), Path: op.Name, Err: fault}
			}
			return nil
		}
		_, err := Open(d.config(testConfig(t.TempDir())))
		if got := exitCode(err); got != exitDataDir || !errors.Is(err, fault) {
			t.Errorf("%s: exit code %d, %v", kind, got, err)
		}
	}
	cfg := testConfig(t.TempDir())
	if err := os.WriteFile(filepath.Join(cfg.DataDir, versionDir), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(cfg)
	if got := exitCode(err); got != exitDataDir {
		t.Errorf("a file is in the way: exit code %d, %v", got, err)
	}
	if os.Geteuid() == 0 {
		return // nothing is forbidden to root
	}
	cfg = testConfig(t.TempDir())
	if err := os.Chmod(cfg.DataDir, 0o555); err != nil {
		t.Fatal(err)
	}
	_, err = Open(cfg)
	if got := exitCode(err); got != exitDataDir {
		t.Errorf("read-only: exit code %d, %v", got, err)
	}
}
