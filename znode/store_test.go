package znode

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"pgregory.net/rapid"

	"github.com/quorate/quorate/wire"
)

// recordOf makes a consistent record.
func recordOf(path string, data []byte, owner int64) Record {
	return Record{Data: data, Info: Info{
		Stat: Stat{Czxid: 7, Mzxid: 9, Pzxid: 7, Ctime: 1000, Mtime: 1001, Version: 2, EphemeralOwner: owner},
		ACL:  OpenACLID, DataLength: storedLength(data), Prefix: DataPrefix([]byte(path), data),
	}}
}

// changesOf yields the changes in storage order, whatever order they are given in.
func changesOf(changes ...Change) func(*Change) (bool, error) {
	slices.SortFunc(changes, func(a, b Change) int { return CompareKeys(a.Path, b.Path) })
	return func(c *Change) (bool, error) {
		if len(changes) == 0 {
			return false, nil
		}
		*c, changes = changes[0], changes[1:]
		return true, nil
	}
}

func putChange(path, data string, owner int64) Change {
	return Change{Path: []byte(path), Record: recordOf(path, []byte(data), owner)}
}

func deleteChange(path string) Change { return Change{Path: []byte(path), Deleted: true} }

func openTestStore(t testing.TB, fs vfs.FS, dir string) *Store {
	t.Helper()
	s, err := OpenStore(StoreOptions{Dir: dir, FS: fs, Logger: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// dump is everything a backend says, as text.
func dump(t testing.TB, b Backend) string {
	t.Helper()
	text, err := tryDump(b)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func tryDump(b Backend) (string, error) {
	var out strings.Builder
	m, found, err := b.Meta()
	if err != nil || !found {
		return "never written\n", err
	}
	fmt.Fprintf(&out, "zxid %d digest %x nodes %d bytes %d sessions %v acls %v\n", m.Zxid, m.Digest, m.NodeCount, m.DataBytes, m.Sessions, m.ACLs)
	snap, err := b.Snapshot()
	if err != nil {
		return "", err
	}
	defer snap.Close()
	var paths [][]byte
	err = snap.Walk(func(path []byte, rec *Record) error {
		fmt.Fprintf(&out, "%s %+v data %q null %v\n", path, rec.Info, rec.Data, rec.Data == nil)
		paths = append(paths, bytes.Clone(path))
		return nil
	})
	if err != nil {
		return "", err
	}
	for _, path := range paths {
		var rec Record
		found, _, err := b.Get(path, nil, &rec)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&out, "get %s %v %q kids", path, found, rec.Data)
		err = b.Children(path, func(name []byte) bool { fmt.Fprintf(&out, " %s", name); return true })
		if err != nil {
			return "", err
		}
		out.WriteByte('\n')
	}
	err = b.Owned(func(owner int64, path []byte) bool { fmt.Fprintf(&out, "owned %s %x\n", path, owner); return true })
	return out.String(), err
}

func TestStoreRoundTrip(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	s := openTestStore(t, nil, dir)
	if _, found, err := s.Meta(); found || err != nil {
		t.Fatalf("new store: found %v, %v", found, err)
	}
	meta := Meta{
		Zxid: 0x700000001, Digest: 0xfedcba9876543210, NodeCount: 4, DataBytes: 99,
		Sessions: map[int64]int32{-5: 30000, 0x100: 4000},
		ACLs:     map[ACLID]ACLEntry{2: {ACL: []wire.ACL{{Perms: 31, ID: wire.ID{Scheme: "digest", ID: "é:x"}}}, Refs: 3}, 3: {ACL: []wire.ACL{}}},
	}
	null := putChange("/a", "", 0)
	null.Record = recordOf("/a", nil, 0)
	negative := putChange("/cfg", "x", 0)
	negative.Record.Stat = Stat{Version: -1, Aversion: -1, Mzxid: -1 << 63, Pzxid: 1<<63 - 1, Czxid: -1, EphemeralOwner: -1 << 63}
	negative.Record.ACL, negative.Record.NumChildren = 1<<32-1, -3
	if err := s.Checkpoint(meta, changesOf(putChange("/", "", 0), null, putChange("/a/b", "data", 77), negative)); err != nil {
		t.Fatal(err)
	}
	want := dump(t, s)
	if got, _, _ := s.Meta(); !reflect.DeepEqual(got, meta) {
		t.Errorf("meta %+v, want %+v", got, meta)
	}
	var rec Record
	if found, _, err := s.Get([]byte("/cfg"), nil, &rec); !found || err != nil || !reflect.DeepEqual(rec, negative.Record) {
		t.Errorf("Get: %v %v %+v, want %+v", found, err, rec, negative.Record)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Meta(); !errors.Is(err, ErrStoreClosed) {
		t.Errorf("Meta after Close: %v", err)
	}
	if got := dump(t, openTestStore(t, nil, dir)); got != want {
		t.Errorf("after reopening\n%swant\n%s", got, want)
	}
}

// TestStoreLikeMemBackend applies random checkpoints to both backends.
func TestStoreLikeMemBackend(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		fs, dir := vfs.NewMem(), "/tree"
		mem := NewMemBackend()
		store, err := OpenStore(StoreOptions{Dir: dir, FS: fs})
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { store.Close() }()
		for zxid := range rapid.IntRange(1, 8).Draw(rt, "checkpoints") {
			changes := drawChanges(rt)
			m := Meta{Zxid: int64(zxid), Sessions: map[int64]int32{int64(zxid): 1}, ACLs: map[ACLID]ACLEntry{}}
			if err := errors.Join(mem.Checkpoint(m, changesOf(changes...)), store.Checkpoint(m, changesOf(changes...))); err != nil {
				rt.Fatal(err)
			}
			if rapid.IntRange(0, 3).Draw(rt, "reopen") == 0 {
				if err := store.Close(); err != nil {
					rt.Fatal(err)
				}
				if store, err = OpenStore(StoreOptions{Dir: dir, FS: fs}); err != nil {
					rt.Fatal(err)
				}
			}
			want, _ := tryDump(mem)
			if got, err := tryDump(store); err != nil || got != want {
				rt.Fatalf("store (%v)\n%swant\n%s", err, got, want)
			}
		}
	})
}

// drawChanges draws changes of distinct znodes out of a small tree with names
// around the separators.
func drawChanges(rt *rapid.T) []Change {
	part := rapid.SampledFrom([]string{"a", "b", "a-", "a!", "\x01", "ä", "aa", "0000000001"})
	path := rapid.Custom(func(rt *rapid.T) string {
		return "/" + strings.Join(rapid.SliceOfN(part, 0, 3).Draw(rt, "parts"), "/")
	})
	paths := rapid.SliceOfDistinct(path, func(p string) string { return p }).Draw(rt, "paths")
	changes := make([]Change, 0, len(paths))
	for _, p := range paths {
		owner := rapid.SampledFrom([]int64{0, 0, 5, 6, -1 << 63}).Draw(rt, "owner")
		c := putChange(p, rapid.SampledFrom([]string{"", "x", "long long data"}).Draw(rt, "data"), owner)
		switch rapid.IntRange(0, 4).Draw(rt, "kind") {
		case 0:
			c = deleteChange(p)
		case 1:
			c.Record = recordOf(p, nil, owner)
		}
		changes = append(changes, c)
	}
	return changes
}

func TestStoreSnapshotStays(t *testing.T) {
	for _, b := range []Backend{NewMemBackend(), openTestStore(t, vfs.NewMem(), "/tree")} {
		if err := b.Checkpoint(Meta{Zxid: 1}, changesOf(putChange("/", "", 0), putChange("/a", "one", 0), putChange("/b", "one", 0))); err != nil {
			t.Fatal(err)
		}
		snap, err := b.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Checkpoint(Meta{Zxid: 2}, changesOf(putChange("/a", "two", 0), deleteChange("/b"), putChange("/c", "two", 0))); err != nil {
			t.Fatal(err)
		}
		var got []string
		err = snap.Walk(func(path []byte, rec *Record) error { got = append(got, string(path)+"="+string(rec.Data)); return nil })
		if m, merr := snap.Meta(); err != nil || merr != nil || m.Zxid != 1 || !slices.Equal(got, []string{"/=", "/a=one", "/b=one"}) {
			t.Errorf("%T: snapshot sees %v at zxid %d (%v, %v)", b, got, m.Zxid, err, merr)
		}
		if err := snap.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestStoreReadersSeeWholeCheckpoints reads all the time while checkpoints go
// by: every child of a scan must be of the same generation.
func TestStoreReadersSeeWholeCheckpoints(t *testing.T) {
	s := openTestStore(t, vfs.NewMem(), "/tree")
	const nodes, generations = 200, 60
	generation := func(g int) func(*Change) (bool, error) {
		changes := []Change{putChange("/", "", 0)}
		for i := range nodes {
			if g > 0 {
				changes = append(changes, deleteChange(fmt.Sprintf("/g%02d-%03d", g-1, i)))
			}
			changes = append(changes, putChange(fmt.Sprintf("/g%02d-%03d", g, i), "", 9))
		}
		return changesOf(changes...)
	}
	if err := s.Checkpoint(Meta{}, generation(0)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		for g := 1; g < generations; g++ {
			if err := s.Checkpoint(Meta{Zxid: int64(g)}, generation(g)); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for scans := 0; ; scans++ {
		seen := map[string]int{}
		err := s.Children([]byte("/"), func(name []byte) bool { seen[string(name[:3])]++; return true })
		owned := map[string]int{}
		err = errors.Join(err, s.Owned(func(_ int64, path []byte) bool { owned[string(path[1:4])]++; return true }))
		for _, m := range []map[string]int{seen, owned} {
			for g, n := range m {
				if err != nil || len(m) != 1 || n != nodes {
					t.Fatalf("scan %d saw %v (%v); generation %s", scans, m, err, g)
				}
			}
		}
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
		}
	}
}

// TestStoreIndexIsExact replaces owned nodes by others in all ways that leave a
// trace in a careless index.
func TestStoreIndexIsExact(t *testing.T) {
	s := openTestStore(t, vfs.NewMem(), "/tree")
	steps := []struct {
		changes []Change
		want    string
	}{
		{[]Change{putChange("/", "", 0), putChange("/a", "", 1), putChange("/b", "", 2), putChange("/c", "", 0)}, "/a:1 /b:2 "},
		{[]Change{putChange("/a", "x", 1), putChange("/b", "", 0), putChange("/c", "", 3)}, "/a:1 /c:3 "},
		{[]Change{putChange("/a", "", 4), deleteChange("/b"), deleteChange("/c"), deleteChange("/d")}, "/a:4 "},
		{[]Change{deleteChange("/a"), putChange("/z", "", 5)}, "/z:5 "},
	}
	for i, step := range steps {
		if err := s.Checkpoint(Meta{Zxid: int64(i)}, changesOf(step.changes...)); err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := s.Owned(func(owner int64, path []byte) bool { got += fmt.Sprintf("%s:%d ", path, owner); return true }); err != nil || got != step.want {
			t.Errorf("step %d: %q (%v), want %q", i, got, err, step.want)
		}
	}
}

func TestStoreRefusesBadChanges(t *testing.T) {
	for _, b := range []Backend{NewMemBackend(), openTestStore(t, vfs.NewMem(), "/tree")} {
		if err := b.Checkpoint(Meta{Zxid: 1}, changesOf(putChange("/", "first", 0))); err != nil {
			t.Fatal(err)
		}
		want := dump(t, b)
		damaged := putChange("/a", "data", 0)
		damaged.Record.Prefix++
		boom := errors.New("boom")
		calls := 0
		bad := map[string]func(*Change) (bool, error){
			"out of order": unsorted(putChange("/b", "", 0), putChange("/a", "", 0)),
			"twice":        unsorted(putChange("/b", "", 0), putChange("/b", "", 0)),
			"relative":     unsorted(putChange("a", "", 0)),
			"empty":        unsorted(putChange("", "", 0)),
			"trailing":     unsorted(putChange("/a/", "", 0)),
			"double":       unsorted(putChange("/a//b", "", 0)),
			"NUL":          unsorted(putChange("/a\x00b", "", 0)),
			"damaged":      unsorted(damaged),
			"error": func(c *Change) (bool, error) {
				*c = putChange("/", "second", 0)
				if calls++; calls > 1 {
					return false, boom
				}
				return true, nil
			},
		}
		for name, next := range bad {
			err := b.Checkpoint(Meta{Zxid: 2}, next)
			if err == nil || (name == "error") != errors.Is(err, boom) || (name == "damaged") != errors.Is(err, ErrCorrupt) {
				t.Errorf("%T, %s: %v", b, name, err)
			}
			if got := dump(t, b); got != want {
				t.Errorf("%T, %s: changed to\n%s", b, name, got)
			}
		}
		if err := b.Checkpoint(Meta{Zxid: 3}, changesOf(putChange("/", "third", 0))); err != nil {
			t.Errorf("%T: not usable after refusals: %v", b, err)
		}
	}
}

func unsorted(changes ...Change) func(*Change) (bool, error) {
	return func(c *Change) (bool, error) {
		if len(changes) == 0 {
			return false, nil
		}
		*c, changes = changes[0], changes[1:]
		return true, nil
	}
}

func TestStoreBackup(t *testing.T) {
	dir := t.TempDir()
	s := openTestStore(t, nil, filepath.Join(dir, "tree"))
	if err := s.Checkpoint(Meta{Zxid: 1}, changesOf(putChange("/", "", 0), putChange("/a", "one", 3))); err != nil {
		t.Fatal(err)
	}
	want := dump(t, s)
	backup := filepath.Join(dir, "backups", "1")
	if err := s.Backup(backup); err != nil {
		t.Fatal(err)
	}
	if err := s.Checkpoint(Meta{Zxid: 2}, changesOf(putChange("/a", "two", 0))); err != nil {
		t.Fatal(err)
	}
	if got := dump(t, openTestStore(t, nil, backup)); got != want {
		t.Errorf("backup holds\n%swant\n%s", got, want)
	}
	if err := s.Backup(backup); !errors.Is(err, os.ErrExist) {
		t.Errorf("second backup into one directory: %v", err)
	}
}

func TestStoreRefusesSecondOpen(t *testing.T) {
	dir := t.TempDir()
	openTestStore(t, nil, dir)
	_, err := OpenStore(StoreOptions{Dir: dir})
	if !errors.Is(err, ErrStoreInUse) || !strings.Contains(err.Error(), dir) {
		t.Errorf("second open: %v", err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=TestStoreOpenHelper$", "-test.v")
	cmd.Env = append(os.Environ(), "QUORATE_TEST_OPEN="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "in use by another server") {
		t.Errorf("open in another process: %v\n%s", err, out)
	}
}

// TestStoreOpenHelper is the other process of TestStoreRefusesSecondOpen.
func TestStoreOpenHelper(t *testing.T) {
	dir := os.Getenv("QUORATE_TEST_OPEN")
	if dir == "" {
		t.Skip("run by TestStoreRefusesSecondOpen")
	}
	_, err := OpenStore(StoreOptions{Dir: dir})
	t.Logf("open: %v", err)
}

func TestStoreRefusesForeign(t *testing.T) {
	fill := map[string]func(t *testing.T, dir string){
		"files of something else": func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "myid"), []byte("1"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"another program's database": func(t *testing.T, dir string) {
			fillPebble(t, dir, &pebble.Options{}, "someone", "else")
		},
		"a newer format": func(t *testing.T, dir string) {
			fillPebble(t, dir, (&Store{opts: StoreOptions{Dir: dir}, fs: vfs.Default, merger: newMerger()}).pebbleOptions(), string(keyFormat), "quorate tree 2")
		},
		"no format key": func(t *testing.T, dir string) {
			fillPebble(t, dir, (&Store{opts: StoreOptions{Dir: dir}, fs: vfs.Default, merger: newMerger()}).pebbleOptions(), "x", "y")
		},
		"a file where the directory should be": func(t *testing.T, dir string) {
			if err := errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, prepare := range fill {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "tree")
			if err := os.Mkdir(dir, 0o750); err != nil {
				t.Fatal(err)
			}
			prepare(t, dir)
			_, err := OpenStore(StoreOptions{Dir: dir})
			t.Log(err)
			if !errors.Is(err, ErrStoreForeign) || !strings.Contains(err.Error(), dir) {
				t.Errorf("OpenStore: %v", err)
			}
		})
	}
}

func fillPebble(t *testing.T, dir string, o *pebble.Options, key, value string) {
	o.DisableWAL, o.Logger = false, storeLogger{}
	db, err := pebble.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Set([]byte(key), []byte(value), pebble.Sync), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestStoreReportsCorruption flips every byte of every sstable in turn, or a
// sample of them: whatever is read afterwards is right or refused.
func TestStoreReportsCorruption(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tree")
	s := openTestStore(t, nil, dir)
	changes := []Change{putChange("/", "", 0)}
	for i := range 100 {
		changes = append(changes, putChange(fmt.Sprintf("/n%03d", i), strings.Repeat("data", i), int64(i%3)))
	}
	if err := s.Checkpoint(Meta{Zxid: 1}, changesOf(changes...)); err != nil {
		t.Fatal(err)
	}
	want := dump(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatal(tables, err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	refused := 0
	for _, table := range tables {
		good, err := os.ReadFile(table)
		if err != nil {
			t.Fatal(err)
		}
		for range 40 {
			bad := bytes.Clone(good)
			at := rng.IntN(len(bad))
			bad[at] ^= 1 << rng.IntN(8)
			if err := os.WriteFile(table, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := readAll(dir, want); err != nil {
				refused++
				if !strings.Contains(err.Error(), dir) && !errors.Is(err, ErrCorrupt) {
					t.Errorf("byte %d of %s: unclear error: %v", at, table, err)
				}
				if strings.Contains(err.Error(), "served") {
					t.Errorf("byte %d of %s: %v", at, table, err)
				}
			}
		}
		if err := os.WriteFile(table, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if refused < 20 {
		t.Errorf("only %d damages were noticed", refused)
	}
	if err := readAll(dir, want); err != nil {
		t.Errorf("undamaged: %v", err)
	}
}

// readAll opens the store and compares all it says with want.
func readAll(dir, want string) error {
	s, err := OpenStore(StoreOptions{Dir: dir})
	if err != nil {
		return err
	}
	defer s.Close()
	got, err := tryDump(s)
	if err == nil && got != want {
		err = fmt.Errorf("wrong data were served:\n%s", got)
	}
	return err
}

// TestStoreDiskFailures lets the disk refuse one operation of a checkpoint
// after the other: the error is told, the last checkpoint stays, and reopening
// gives one of the two.
func TestStoreDiskFailures(t *testing.T) {
	n, stuck := 0, 0
	for storeDiskFailure(t, n, &stuck) {
		n++
	}
	if n < 10 || stuck == 0 || stuck > n/2 {
		t.Errorf("%d operations failed, %d of them for good", n, stuck)
	}
	t.Logf("%d operations failed, %d of them for good", n, stuck)
}

// storeDiskFailure fails the nth write operation of a checkpoint; false when
// there are fewer. stuck counts the failures that Pebble does not survive.
func storeDiskFailure(t *testing.T, n int, stuck *int) bool {
	mem := vfs.NewCrashableMem()
	inject := errorfs.OnIndex(-1)
	full := errors.New("no space left on device")
	s, err := OpenStore(StoreOptions{Dir: "/tree", FS: errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && inject.MaybeError(op) != nil {
			return full
		}
		return nil
	}))})
	if err != nil {
		t.Fatal(err)
	}
	twin := NewMemBackend()
	var states []string
	for zxid, changes := range [][]Change{
		{putChange("/", "", 0), putChange("/a", "one", 1)},
		{putChange("/a", "two", 0), putChange("/b", "", 2)},
	} {
		m := Meta{Zxid: int64(zxid), Sessions: map[int64]int32{}, ACLs: map[ACLID]ACLEntry{}}
		if err := twin.Checkpoint(m, changesOf(changes...)); err != nil {
			t.Fatal(err)
		}
		states = append(states, dump(t, twin))
		if zxid == 1 {
			inject.Store(int32(n))
		}
		err = s.Checkpoint(m, changesOf(changes...))
	}
	failed := inject.Load() < 0
	inject.Store(-1)
	switch {
	case err == nil:
		states = states[1:]
	case !strings.Contains(err.Error(), full.Error()) || !strings.Contains(err.Error(), "/tree"):
		t.Errorf("failure %d: unclear error %v", n, err)
	case s.failed() == nil:
		if got := dump(t, s); got != states[0] {
			t.Errorf("failure %d (%v): checkpoint half there:\n%s", n, err, got)
		}
	default: // only the next open knows
		*stuck++
		if _, _, again := s.Meta(); again == nil || again.Error() != err.Error() {
			t.Errorf("failure %d: %v, later %v", n, err, again)
		}
	}
	if err := s.Close(); err != nil && s.failed() == nil {
		t.Errorf("failure %d: Close: %v", n, err)
	}
	left := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
	if err := oneOf(left, "/tree", states); err != nil {
		t.Errorf("failure %d: %v", n, err)
	}
	return failed
}
