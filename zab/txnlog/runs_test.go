package txnlog

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

// countReads counts the bytes-reading operations on files, by name.
func countReads(fsys *MemFS) map[string]int {
	reads := map[string]int{}
	fsys.SetHook(func(op Op) error {
		if op.Kind == OpRead {
			reads[op.Name]++
		}
		return nil
	})
	return reads
}

func mustRuns(t *testing.T, l *Log, after, budget int64) []Run {
	t.Helper()
	runs, err := l.Runs(after, budget)
	if err != nil {
		t.Fatal(err)
	}
	return runs
}

func requireRuns(t *testing.T, got []Run, want ...Run) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("runs %x, want %x", got, want)
	}
}

// TestRuns: each epoch has its own file, what the files hold is known without
// reading them, and it stays so after rolls, cuts, purges and restarts.
func TestRuns(t *testing.T) {
	fsys := NewMemFS()
	o := Options{FS: fsys, RollBytes: 4000}
	l := mustOpen(t, o)
	requireRuns(t, mustRuns(t, l, 0, 0))
	for epoch := int64(1); epoch <= 3; epoch++ {
		for i := uint32(0); i < 5; i++ {
			mustWrite(t, l, txns(z(epoch, 1+10*i), 10))
		}
	}
	want := []Run{{z(1, 1), z(1, 50)}, {z(2, 1), z(2, 50)}, {z(3, 1), z(3, 50)}}
	for range 2 {
		requireRuns(t, mustRuns(t, l, 0, 0), want...)
		requireRuns(t, mustRuns(t, l, z(2, 7), 0), Run{z(2, 8), z(2, 50)}, want[2])
		requireRuns(t, mustRuns(t, l, z(2, 50), 0), want[2])
		requireRuns(t, mustRuns(t, l, z(3, 49), 0), Run{z(3, 50), z(3, 50)})
		requireRuns(t, mustRuns(t, l, z(3, 50), 0))
		mustClose(t, l)
		l = mustOpen(t, o)
	}
	if n := len(l.Files()); n < 6 {
		t.Errorf("%d files", n)
	}
	reads := countReads(fsys)
	requireRuns(t, mustRuns(t, l, 0, 0), want...)
	if len(reads) != 0 {
		t.Errorf("files were read: %v", reads)
	}
	if err := l.Truncate(z(2, 33)); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, l, txns(z(5, 1), 3))
	limit := l.PurgeLimit(z(2, 1), 0)
	removed, err := l.Purge(z(2, 1), 0)
	if err != nil || len(removed) == 0 || limit != z(1, 50) {
		t.Fatalf("purged %v, limit %#x, %v", removed, limit, err)
	}
	for range 2 {
		requireRuns(t, mustRuns(t, l, 0, 0), Run{z(2, 1), z(2, 33)}, Run{z(5, 1), z(5, 3)})
		mustClose(t, l)
		l = mustOpen(t, o)
	}
	mustClose(t, l)
}

// TestRunsOfOthers: files of Java servers are read, as far as allowed; a
// hole, damage or repetition in them is seen.
func TestRunsOfOthers(t *testing.T) {
	all := txns(z(1, 1), 20)
	for name, c := range map[string]struct {
		files  [][]entry
		damage int // the file in which a byte is changed, from 1 on
		budget int64
		want   []Run
	}{
		"whole":       {files: [][]entry{all[:5], all[5:9], all[9:]}, budget: 1 << 20, want: []Run{{z(1, 1), z(1, 20)}}},
		"no budget":   {files: [][]entry{all[:5], all[5:9], all[9:]}, want: []Run{{z(1, 10), z(1, 20)}}},
		"some budget": {files: [][]entry{all[:5], all[5:6], all[9:9], all[6:]}, budget: 2200, want: []Run{{z(1, 6), z(1, 20)}}},
		"hole inside": {files: [][]entry{slices.Concat(all[:5], all[7:9]), all[9:]}, budget: 1 << 20, want: []Run{{z(1, 8), z(1, 20)}}},
		"hole between": {
			files: [][]entry{all[:5], all[6:]}, budget: 1 << 20, want: []Run{{z(1, 7), z(1, 20)}},
		},
		"two epochs in a file": {
			files: [][]entry{all[:5], slices.Concat(all[5:], txns(z(3, 1), 4))}, budget: 1 << 20,
			want: []Run{{z(1, 1), z(1, 20)}, {z(3, 1), z(3, 4)}},
		},
		"repeated": {
			files: [][]entry{slices.Concat(all[:5], all[3:7]), all[6:]}, budget: 1 << 20, want: []Run{{z(1, 1), z(1, 20)}},
		},
		"damaged before an epoch": {
			files: [][]entry{all, txns(z(2, 1), 3)}, damage: 1, budget: 1 << 20, want: []Run{{z(2, 1), z(2, 3)}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			fsys := NewMemFS()
			for i, es := range c.files {
				if len(es) == 0 {
					continue
				}
				b := rawFile(es)
				if i+1 == c.damage {
					b[len(b)-20] ^= 1
					b[len(b)/2] ^= 1
				}
				fsys.put(t, fileName(es[0].zxid), b)
			}
			l := mustOpen(t, Options{FS: fsys})
			requireRuns(t, mustRuns(t, l, 0, c.budget), c.want...)
			mustClose(t, l)
		})
	}
}

// TestStage: staged entries are nobody's until they replace the log, and then
// nothing else is left.
func TestStage(t *testing.T) {
	fsys := NewMemFS()
	l := mustOpen(t, Options{FS: fsys})
	old := txns(z(1, 1), 20)
	mustWrite(t, l, old[:10])
	l.Roll()
	mustWrite(t, l, old[10:])
	it, err := l.Read(0)
	if err != nil || !it.Next() {
		t.Fatal(err)
	}
	for _, n := range []int{0, 3} {
		staged, err := l.Stage(z(1, 15))
		if err != nil {
			t.Fatal(err)
		}
		fresh := append(txns(z(1, 16), n), txns(z(4, 1), n)...)
		if n > 0 {
			if err := staged.Append(batchOf(fresh[1:])); !errors.Is(err, ErrNotConsecutive) {
				t.Fatalf("a gap was staged: %v", err)
			}
			mustWrite(t, staged, fresh[:n])
			mustWrite(t, staged, fresh[n:])
		}
		var names []string
		for _, f := range staged.Files() {
			names = append(names, f.Name)
		}
		mustClose(t, staged)
		if n == 0 {
			requireEntries(t, mustRead(t, l, 0), old)
		}
		if err := l.Replace(names, z(1, 15)); err != nil {
			t.Fatal(err)
		}
		requireEntries(t, mustRead(t, l, z(1, 15)), fresh)
		if err := l.Append(batchOf(txns(z(1, 18), 1))); !errors.Is(err, ErrNotConsecutive) {
			t.Fatalf("a gap was appended: %v", err)
		}
	}
	for it.Next() {
	}
	if !errors.Is(it.Err(), ErrTruncated) {
		t.Errorf("an iterator over the old log ended with %v", it.Err())
	}
	mustWrite(t, l, txns(z(4, 4), 2))
	mustClose(t, l)
	l = mustOpen(t, Options{FS: fsys})
	requireEntries(t, mustRead(t, l, z(1, 15)), append(append(txns(z(1, 16), 3), txns(z(4, 1), 3)...), txns(z(4, 4), 2)...))
	requireRuns(t, mustRuns(t, l, 0, 0), Run{z(1, 16), z(1, 18)}, Run{z(4, 1), z(4, 5)})
	mustClose(t, l)
}

// TestAdoptAgain takes the power at each operation of Adopt; whoever decided it
// does it again, and it is done.
func TestAdoptAgain(t *testing.T) {
	old, fresh := txns(z(1, 1), 30), append(txns(z(1, 11), 5), txns(z(2, 1), 5)...)
	prepare := func() (*MemFS, Options, []string) {
		fsys := NewMemFS()
		o := Options{Dir: testDir, FS: fsys, RollBytes: 2000, PreallocBytes: -1, Register: testRegister}
		l := mustOpen(t, o)
		for i := 0; i < len(old); i += 5 {
			mustWrite(t, l, old[i:i+5])
		}
		staged, err := l.Stage(z(1, 10))
		if err != nil {
			t.Fatal(err)
		}
		mustWrite(t, staged, fresh[:5])
		mustWrite(t, staged, fresh[5:])
		var names []string
		for _, f := range staged.Files() {
			names = append(names, f.Name)
		}
		mustClose(t, staged)
		mustClose(t, l)
		return fsys, o, names
	}
	ops := 0
	fsys, o, names := prepare()
	fsys.SetHook(countOps(&ops))
	if err := Adopt(o, names); err != nil {
		t.Fatal(err)
	}
	for at := range ops {
		for way := range int64(*crashSeeds) {
			fsys, o, names := prepare()
			fsys.SetHook(powerOffAt(at))
			if err := Adopt(o, names); !errors.Is(err, ErrPowerOff) {
				t.Fatal(err)
			}
			o.FS = fsys.Crash(way)
			if err := Adopt(o, names); err != nil {
				t.Fatal(err)
			}
			l := mustOpen(t, o)
			got, err := readFrom(l, z(1, 10))
			if err := errors.Join(err, diff(got, fresh)); err != nil {
				t.Fatal(fmt.Errorf("power off at %d, way %d: %w", at, way, err))
			}
			if l.FirstZxid() != z(1, 11) {
				t.Fatalf("power off at %d, way %d: the log begins at %#x", at, way, l.FirstZxid())
			}
			mustClose(t, l)
		}
	}
}

// TestDropStaged: what was staged and not adopted goes.
func TestDropStaged(t *testing.T) {
	fsys := NewMemFS()
	l := mustOpen(t, Options{FS: fsys})
	mustWrite(t, l, txns(z(1, 1), 2))
	staged, err := l.Stage(z(1, 2))
	if err != nil {
		t.Fatal(err)
	}
	mustWrite(t, staged, txns(z(1, 3), 2))
	mustClose(t, staged)
	if err := DropStaged(Options{Dir: testDir, FS: fsys}); err != nil {
		t.Fatal(err)
	}
	if names, err := fsys.List(testDir); err != nil || !slices.Equal(names, []string{fileName(z(1, 1))}) {
		t.Errorf("%v, %v", names, err)
	}
	if err := Adopt(Options{Dir: testDir, FS: fsys}, []string{"log.1"}); err == nil {
		t.Error("a log file was adopted")
	}
	mustClose(t, l)
}

// TestReadDuringTruncate begins to read at each operation of a truncation: the
// log is then as it will be, whatever the disk holds at that moment.
func TestReadDuringTruncate(t *testing.T) {
	all := txns(z(1, 1), 30)
	for _, kept := range []int{0, 7, 12, 29} {
		fsys := NewMemFS()
		l := mustOpen(t, Options{FS: fsys, RollBytes: 3000})
		for i := 0; i < len(all); i += 5 {
			mustWrite(t, l, all[i:i+5])
		}
		reading, reads := false, 0
		fsys.SetHook(func(op Op) error {
			if reading || op.Kind != OpRemove && op.Kind != OpTruncate && op.Kind != OpSyncDir {
				return nil
			}
			if l.LastZxid() == all[len(all)-1].zxid {
				return nil // the file being written is finished first
			}
			reading = true
			defer func() { reading = false }()
			reads++
			got, err := readFrom(l, z(1, 0))
			if err := errors.Join(err, diff(got, all[:kept])); err != nil {
				t.Errorf("%d kept, at %v: %v", kept, op, err)
			}
			return nil
		})
		if err := l.Truncate(z(1, uint32(kept))); err != nil {
			t.Fatal(err)
		}
		if reads == 0 {
			t.Error("nothing was read meanwhile")
		}
		mustClose(t, l)
	}
}
