package znode

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"hash/adler32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/quorate/quorate/wire"
)

// javaData makes the directories of a Java server; names are relative to the
// version-2 of dataDir, or to the directory itself with a leading "../".
func javaData(t *testing.T, files map[string][]byte) string {
	dir := t.TempDir()
	for name, contents := range files {
		path := filepath.Join(dir, javaVersionDir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o750), os.WriteFile(path, contents, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// preOrder writes the nodes of b as Java does: depth first, siblings in any
// order.
func preOrder(t *testing.T, b Backend, rng *rand.Rand) []byte {
	m, _, err := b.Meta()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := &javaWriter{w: bufio.NewWriter(&out), sum: adler32.New()}
	w.head(&m)
	var visit func(path string)
	visit = func(path string) {
		var rec Record
		var names []string
		_, _, err := b.Get([]byte(path), nil, &rec)
		err = errors.Join(err, w.node([]byte(path), &rec), b.Children([]byte(path), func(name []byte) bool {
			names = append(names, string(name))
			return true
		}))
		if err != nil {
			t.Fatal(err)
		}
		rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		for _, name := range names {
			visit(strings.TrimSuffix(path, "/") + "/" + name)
		}
	}
	visit("/")
	w.put(wire.AppendString(nil, "/"))
	w.seal()
	if err := errors.Join(w.err, w.w.Flush()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func gzipped(t *testing.T, b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestImportJava(t *testing.T) {
	src := sampleBackend(t)
	want := dump(t, src)
	rng := rand.New(rand.NewPCG(3, 4))
	plain := preOrder(t, src, rng)
	name := JavaSnapshotName(0x500000012)
	for suffix, file := range map[string][]byte{"": plain, ".gz": gzipped(t, plain), ".snappy": xerial(plain, 32<<10)} {
		dir := javaData(t, map[string][]byte{
			name + suffix: file, "snapshot.4ffffffff": []byte("older"), "currentEpoch": []byte("5"),
			"snapshot.zz": nil, "log.500000001": make([]byte, 100), "../myid": []byte("1"),
		})
		into := openTestStore(t, nil, filepath.Join(t.TempDir(), "tree"))
		res, err := ImportJava(ImportOptions{DataDir: dir}, into)
		if err != nil {
			t.Fatal(err)
		}
		if res.Replay != 0x500000012 || filepath.Base(res.Snapshot) != name+suffix || len(res.Skipped)+len(res.Warnings) > 0 || !res.MayVote {
			t.Errorf("%s: result %+v", suffix, res)
		}
		if got := dump(t, into); got != want {
			t.Errorf("%s: imported\n%.3000s\nwant\n%.3000s", suffix, got, want)
		}
		if left, err := os.ReadDir(into.TempDir()); len(left) > 0 || err != nil {
			t.Errorf("%s: left behind: %v, %v", suffix, left, err)
		}
		if _, err := ImportJava(ImportOptions{DataDir: dir}, into); !errors.Is(err, ErrNotEmpty) {
			t.Errorf("%s: second import: %v", suffix, err)
		}
	}
}

// TestImportLarge sorts more than fits in memory.
func TestImportLarge(t *testing.T) {
	src := NewMemBackend()
	changes := []Change{putChange("/", "", 0)}
	changes[0].Record.NumChildren = 10
	m := Meta{Zxid: 7, Sessions: map[int64]int32{}, ACLs: map[ACLID]ACLEntry{}}
	for i := range 10 {
		parent := fmt.Sprintf("/p%d", i)
		changes = append(changes, putChange(parent, "", 0))
		changes[len(changes)-1].Record.NumChildren = 300
		for j := range 300 {
			changes = append(changes, putChange(fmt.Sprintf("%s/%04d", parent, j), strings.Repeat("x", 170), 0))
		}
	}
	for _, c := range changes {
		m.NodeCount++
		m.DataBytes += int64(len(c.Path) + len(c.Record.Data))
		m.Digest += NodeDigest(c.Record.Prefix, &c.Record.Stat, c.Path)
	}
	if err := src.Checkpoint(m, changesOf(changes...)); err != nil {
		t.Fatal(err)
	}
	file := preOrder(t, src, rand.New(rand.NewPCG(3, 4)))
	into := NewMemBackend()
	o := ImportOptions{DataDir: javaData(t, map[string][]byte{"snapshot.7": file}), TempDir: t.TempDir(), sortBytes: len(file) / 100}
	if _, err := ImportJava(o, into); err != nil {
		t.Fatal(err)
	}
	if got, want := dump(t, into), dump(t, src); got != want {
		t.Errorf("imported %d bytes of text, want %d", len(got), len(want))
	}
}

// rawSnapshot writes a snapshot of just these paths, right or wrong.
func rawSnapshot(t *testing.T, acl int64, paths ...string) []byte {
	var out bytes.Buffer
	w := &javaWriter{w: bufio.NewWriter(&out), sum: adler32.New()}
	w.head(&Meta{})
	for _, path := range paths {
		b := wire.AppendInt(wire.AppendString(nil, path), -1)
		w.put(appendJavaStat(wire.AppendLong(b, acl), &Stat{}))
	}
	w.put(wire.AppendString(nil, "/"))
	w.seal()
	if err := errors.Join(w.err, w.w.Flush()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestImportFallsBack gives a good snapshot behind bad ones of every kind:
// the good one is taken, and nothing of the bad one is left.
func TestImportFallsBack(t *testing.T) {
	good := rawSnapshot(t, javaOpenACL, "", "/good")
	sample := javaSnapshotBytes(t, sampleBackend(t), JavaSnapshotOptions{})
	flipped := bytes.Clone(sample)
	flipped[len(flipped)/2] ^= 1
	bad := map[string][]byte{
		"snapshot.9": nil, "snapshot.a": []byte("short"), "snapshot.b": sample[:len(sample)-1], "snapshot.c": flipped,
		"snapshot.d":  rawSnapshot(t, javaOpenACL, "", "/orphan/x"),
		"snapshot.e":  rawSnapshot(t, javaOpenACL, "", "/a", "/a"),
		"snapshot.f":  rawSnapshot(t, javaOpenACL, "/a"),
		"snapshot.10": rawSnapshot(t, javaOpenACL, "", "a"), "snapshot.11": rawSnapshot(t, javaOpenACL, "", "/a//b"),
		"snapshot.12": rawSnapshot(t, javaOpenACL), "snapshot.13": rawSnapshot(t, javaOpenACL, "", ""),
		"snapshot.14.gz": gzipped(t, sample)[:300], "snapshot.15.gz": sample, "snapshot.16.snappy": xerial(sample, 1000)[:3000],
		"snapshot.17.gz": append(gzipped(t, sample)[:300:300], make([]byte, 3000)...),
	}
	for name, file := range bad {
		into := NewMemBackend()
		res, err := ImportJava(ImportOptions{DataDir: javaData(t, map[string][]byte{name: file, "snapshot.8": good})}, into)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(res.Skipped) != 1 || !strings.Contains(res.Skipped[0].Error(), name) || res.Replay != 8 {
			t.Errorf("%s: %+v", name, res)
		}
		if res.Meta.NodeCount != 2 || len(res.Meta.Sessions)+len(res.Meta.ACLs) > 0 || strings.Contains(dump(t, into), "guarded") {
			t.Errorf("%s: left traces: %s", name, dump(t, into))
		}
		// Alone it is an error, never an empty tree.
		_, err = ImportJava(ImportOptions{DataDir: javaData(t, map[string][]byte{name: file})}, NewMemBackend())
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s alone: %v", name, err)
		}
	}
}

func TestImportUnknownACL(t *testing.T) {
	into := NewMemBackend()
	dir := javaData(t, map[string][]byte{"snapshot.8": rawSnapshot(t, 77, "", "/a")})
	res, err := ImportJava(ImportOptions{DataDir: dir}, into)
	if err != nil || len(res.Warnings) != 1 {
		t.Fatal(res, err)
	}
	var rec Record
	if _, _, err := into.Get([]byte("/a"), nil, &rec); err != nil {
		t.Fatal(err)
	}
	if e := res.Meta.ACLs[rec.ACL]; rec.ACL <= OpenACLID || e.Refs != 2 || e.ACL[0].Perms != 0 {
		t.Errorf("list %d: %+v", rec.ACL, e)
	}
}

// TestImportFromBefore35 has no /zookeeper/config, which clients of today ask
// for.
func TestImportFromBefore35(t *testing.T) {
	into := NewMemBackend()
	dir := javaData(t, map[string][]byte{"snapshot.8": rawSnapshot(t, javaOpenACL, "", "/zookeeper", "/zookeeper/quota")})
	res, err := ImportJava(ImportOptions{DataDir: dir}, into)
	if err != nil || len(res.Warnings) > 0 || res.Meta.NodeCount != 4 {
		t.Fatal(res, err)
	}
	var config, parent Record
	found, _, err := into.Get([]byte("/zookeeper/config"), nil, &config)
	if !found || err != nil || config.Stat != (Stat{Aversion: -1}) || config.Data == nil || len(config.Data) > 0 {
		t.Errorf("config %+v, %v", config, err)
	}
	if e := res.Meta.ACLs[config.ACL]; e.Refs != 1 || len(e.ACL) != 1 || e.ACL[0].Perms != wire.PermRead {
		t.Errorf("list %+v", e)
	}
	if _, _, err := into.Get([]byte("/zookeeper"), nil, &parent); err != nil || parent.NumChildren != 2 {
		t.Errorf("parent %+v, %v", parent, err)
	}
}

func TestImportWithoutSnapshot(t *testing.T) {
	log := make([]byte, 100) // a header, then padding
	used := bytes.Clone(log)
	used[27] = 48
	tests := []struct {
		name  string
		files map[string][]byte
		opts  ImportOptions
		err   error
		vote  bool
	}{
		{"nothing", nil, ImportOptions{}, nil, true},
		{"padded log", map[string][]byte{"log.1": log, "log.2": nil}, ImportOptions{}, nil, true},
		{"log", map[string][]byte{"log.1": log, "log.2": used}, ImportOptions{}, ErrNoSnapshot, false},
		{"trusted log", map[string][]byte{"log.2": used}, ImportOptions{TrustEmpty: true}, nil, true},
		{"no autocreate", nil, ImportOptions{NoAutocreate: true}, nil, false},
		{"initialize", map[string][]byte{"../initialize": nil}, ImportOptions{NoAutocreate: true}, nil, true},
		{"first snapshot torn", map[string][]byte{"snapshot.0": []byte("ZKSN")}, ImportOptions{}, nil, true},
		{"first snapshot torn, but a log", map[string][]byte{"snapshot.0": []byte("ZKSN"), "log.1": used}, ImportOptions{}, ErrCorrupt, false},
	}
	for _, tt := range tests {
		tt.opts.DataDir = javaData(t, tt.files)
		into := NewMemBackend()
		res, err := ImportJava(tt.opts, into)
		if !errors.Is(err, tt.err) || err == nil && res.MayVote != tt.vote || res.Snapshot != "" {
			t.Errorf("%s: %+v, %v", tt.name, res, err)
		}
		if _, found, _ := into.Meta(); found {
			t.Errorf("%s: something was written", tt.name)
		}
		if _, err := os.Stat(filepath.Join(tt.opts.DataDir, "initialize")); err == nil {
			t.Errorf("%s: initialize is still there", tt.name)
		}
		if tt.err != nil && !strings.Contains(err.Error(), tt.opts.DataDir) {
			t.Errorf("%s: %v names no file", tt.name, err)
		}
	}
}

func TestImportMisplacedFiles(t *testing.T) {
	snapshot := rawSnapshot(t, javaOpenACL, "")
	withSnapshot := javaData(t, map[string][]byte{"snapshot.1": snapshot})
	withLog := javaData(t, map[string][]byte{"log.1": make([]byte, 100)})
	if _, err := ImportJava(ImportOptions{DataDir: withSnapshot, DataLogDir: withLog}, NewMemBackend()); err != nil {
		t.Error(err)
	}
	_, err := ImportJava(ImportOptions{DataDir: withLog, DataLogDir: withSnapshot}, NewMemBackend())
	if err == nil || !strings.Contains(err.Error(), "exchanged") {
		t.Errorf("exchanged: %v", err)
	}
}

// TestImportStopsForOtherReasons: what is not the snapshot's fault must not
// make an older one the truth.
func TestImportStopsForOtherReasons(t *testing.T) {
	good := rawSnapshot(t, javaOpenACL, "")
	dir := javaData(t, map[string][]byte{"snapshot.8": good})
	if err := os.Mkdir(filepath.Join(dir, javaVersionDir, "snapshot.9"), 0o750); err != nil {
		t.Fatal(err)
	}
	if res, err := ImportJava(ImportOptions{DataDir: dir}, NewMemBackend()); err == nil || !strings.Contains(err.Error(), "snapshot.9") {
		t.Errorf("a snapshot that cannot be read: %+v, %v", res, err)
	}
	dir = javaData(t, map[string][]byte{"snapshot.8": good})
	full := errors.New("no space left on device")
	if _, err := ImportJava(ImportOptions{DataDir: dir}, failingBackend{NewMemBackend(), full}); !errors.Is(err, full) {
		t.Errorf("a full disk: %v", err)
	}
	if _, err := ImportJava(ImportOptions{DataDir: dir, TempDir: filepath.Join(dir, "none")}, NewMemBackend()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory for temporary files: %v", err)
	}
}

type failingBackend struct {
	Backend
	err error
}

func (f failingBackend) Checkpoint(Meta, func(*Change) (bool, error)) error { return f.err }

func TestExportJava(t *testing.T) {
	src := sampleBackend(t)
	want := dump(t, src)
	for _, o := range []ExportOptions{{}, {Compression: CompressGzip}, {Compression: CompressSnappy}, {Epoch: 9, Snapshot: JavaSnapshotOptions{LastZxid: true}}} {
		o.DataDir = filepath.Join(t.TempDir(), "export")
		view, err := src.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		path, err := ExportJava(view, o)
		if err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(filepath.Dir(path))
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if err != nil || !slices.Equal(names, []string{"acceptedEpoch", "currentEpoch", filepath.Base(path)}) {
			t.Errorf("files %v, %v", names, err)
		}
		for _, name := range []string{"acceptedEpoch", "currentEpoch"} {
			got, err := os.ReadFile(filepath.Join(o.DataDir, javaVersionDir, name))
			if wanted := fmt.Sprint(max(5, o.Epoch)); err != nil || string(got) != wanted {
				t.Errorf("%s is %q (%v), want %q", name, got, err, wanted)
			}
		}
		into := NewMemBackend()
		if res, err := ImportJava(ImportOptions{DataDir: o.DataDir}, into); err != nil || len(res.Warnings) > 0 || res.Digest == nil {
			t.Fatal(res, err)
		}
		if got := dump(t, into); got != want {
			t.Errorf("came back as\n%.2000s\nwant\n%.2000s", got, want)
		}
		if _, err := ExportJava(view, o); !errors.Is(err, ErrNotEmpty) || !strings.Contains(err.Error(), path) {
			t.Errorf("second export: %v", err)
		}
	}
}
