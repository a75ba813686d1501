package txnlog

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const testRegister = "/meta/quorate.logs"

func registered(fsys *MemFS) Options {
	return Options{Dir: testDir, FS: fsys, PreallocBytes: -1, Register: testRegister}
}

func listedIn(t *testing.T, o Options) []int64 {
	t.Helper()
	r, err := openRegister(&o)
	if err != nil {
		t.Fatal(err)
	}
	return r.listed
}

// threeFiles makes a log of three files.
func threeFiles(t *testing.T, o Options) []entry {
	t.Helper()
	l := mustOpen(t, o)
	all := slices.Concat(txns(z(1, 1), 9), txns(z(2, 1), 9), txns(z(3, 1), 9))
	for i := 0; i < len(all); i += 3 {
		mustWrite(t, l, all[i:i+3])
	}
	mustClose(t, l)
	return all
}

// TestMissingFileIsMissed takes away, or empties, what was acknowledged: the log does not open, says which file it is,
// and has changed nothing.
func TestMissingFileIsMissed(t *testing.T) {
	first, second, third := fileName(z(1, 1)), fileName(z(2, 1)), fileName(z(3, 1))
	whole := rawFile(txns(z(3, 1), 9))
	for name, c := range map[string]struct {
		remove []string
		put    map[string][]byte
		says   []string
	}{
		"the newest":             {remove: []string{third}, says: []string{third, "is missing", "0x300000001", testRegister}},
		"one in the middle":      {remove: []string{second}, says: []string{second, "is missing"}},
		"the oldest":             {remove: []string{first}, says: []string{first, "is missing"}},
		"all":                    {remove: []string{first, second, third}, says: []string{first, "look whether the disk is mounted"}},
		"the newest of no bytes": {put: map[string][]byte{third: nil}, says: []string{third, "holds no transaction"}},
		"the newest of zeros":    {put: map[string][]byte{third: make([]byte, 5000)}, says: []string{third, "holds no transaction"}},
		"the newest, its header": {put: map[string][]byte{third: fileHeader()}, says: []string{third, "holds no transaction"}},
		"the newest, its entries zeros": {
			put:  map[string][]byte{third: append(fileHeader(), make([]byte, len(whole))...)},
			says: []string{third, "holds no transaction"},
		},
		"an older of no bytes": {put: map[string][]byte{second: nil}, says: []string{second, "holds no transaction"}},
		"an older of zeros":    {put: map[string][]byte{second: make([]byte, 5000)}, says: []string{second, "magic"}},
	} {
		t.Run(name, func(t *testing.T) {
			fsys := NewMemFS()
			o := registered(fsys)
			threeFiles(t, o)
			for _, name := range c.remove {
				if err := fsys.Remove(filepath.Join(testDir, name)); err != nil {
					t.Fatal(err)
				}
			}
			for name, b := range c.put {
				fsys.put(t, name, b)
			}
			before, _ := fsys.List(testDir)
			for range 2 {
				_, err := Open(o)
				var damage *CorruptError
				if !errors.As(err, &damage) {
					t.Fatalf("Open: %v", err)
				}
				for _, s := range c.says {
					if !strings.Contains(err.Error(), s) {
						t.Errorf("%q does not say %q", err, s)
					}
				}
			}
			if after, _ := fsys.List(testDir); !slices.Equal(before, after) {
				t.Errorf("files %v, before %v", after, before)
			}
			if len(c.remove) == 0 {
				return
			}
			if err := fsys.Remove(testRegister); err != nil {
				t.Fatal(err)
			}
			mustClose(t, mustOpen(t, o)) // an operator has decided
		})
	}
}

// TestRegisterFollowsTheLog: what is cut, purged or replaced is not missed, and what takes its place is.
func TestRegisterFollowsTheLog(t *testing.T) {
	fsys := NewMemFS()
	o := registered(fsys)
	all := threeFiles(t, o)
	require := func(want ...int64) {
		t.Helper()
		if got := listedIn(t, o); !slices.Equal(got, want) {
			t.Fatalf("registered %x, want %x", got, want)
		}
	}
	require(z(1, 1), z(2, 1), z(3, 1))
	l := mustOpen(t, o)
	if err := l.Truncate(z(2, 4)); err != nil {
		t.Fatal(err)
	}
	require(z(1, 1), z(2, 1))
	mustWrite(t, l, txns(z(4, 1), 3))
	require(z(1, 1), z(2, 1), z(4, 1))
	if _, err := l.Purge(z(2, 3), 0); err != nil {
		t.Fatal(err)
	}
	require(z(2, 1), z(4, 1))
	if err := l.Append(batchOf(txns(z(5, 1), 3))); err != nil {
		t.Fatal(err)
	}
	require(z(2, 1), z(4, 1)) // not synced, not counted
	mustClose(t, l)
	l = mustOpen(t, o)
	require(z(2, 1), z(4, 1), z(5, 1))
	s, err := l.Stage(z(6, 0))
	if err != nil {
		t.Fatal(err)
	}
	mustWrite(t, s, txns(z(6, 1), 3))
	staged := s.Files()[0].Name
	mustClose(t, s)
	if err := l.Replace([]string{staged}, z(6, 0)); err != nil {
		t.Fatal(err)
	}
	require(z(6, 1))
	mustWrite(t, l, txns(z(6, 4), 3))
	require(z(6, 1), z(6, 4))
	if err := l.Replace(nil, z(9, 0)); err != nil {
		t.Fatal(err)
	}
	require()
	mustWrite(t, l, txns(z(9, 1), 1))
	require(z(9, 1))
	if err := l.Truncate(z(9, 0)); err != nil {
		t.Fatal(err)
	}
	require()
	mustClose(t, l)
	requireEntries(t, mustRead(t, mustOpen(t, o), 0), all[:0])
}

// TestRegisterBegins: a log without a register, as an earlier version or a Java server leaves it, is believed once.
func TestRegisterBegins(t *testing.T) {
	fsys := NewMemFS()
	o := registered(fsys)
	fsys.put(t, fileName(z(1, 1)), rawFile(txns(z(1, 1), 3)))
	fsys.put(t, fileName(z(1, 4)), rawFile(txns(z(1, 4), 3)))
	mustClose(t, mustOpen(t, o))
	if got := listedIn(t, o); !slices.Equal(got, []int64{z(1, 1), z(1, 4)}) {
		t.Fatalf("registered %x", got)
	}
	// With NoSync a power loss may take any file.
	o.NoSync = true
	l := mustOpen(t, o)
	mustWrite(t, l, txns(z(1, 7), 3))
	mustClose(t, l)
	if got := listedIn(t, o); len(got) != 0 {
		t.Fatalf("registered %x", got)
	}
}

// TestRegisterDamaged: one slot is enough, no slot is a fault.
func TestRegisterDamaged(t *testing.T) {
	fsys := NewMemFS()
	o := registered(fsys)
	threeFiles(t, o)
	for i, want := range []int{2, -1} {
		f, err := fsys.Open(testRegister, true)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte{0xff}, int64(i)*registerSlotBytes+9); err != nil {
			t.Fatal(err)
		}
		r, err := openRegister(&o)
		switch {
		case want < 0 && (err == nil || !strings.Contains(err.Error(), testRegister+" is damaged")):
			t.Errorf("no slot is whole: %v", err)
		case want >= 0 && (err != nil || len(r.listed) != want):
			t.Errorf("listed %v, %v", r, err)
		}
	}
}

// TestRegisterHoldsTheNewest: of very many files the oldest are not listed.
func TestRegisterHoldsTheNewest(t *testing.T) {
	o := registered(NewMemFS())
	o.RollBytes = 1
	l := mustOpen(t, o)
	for _, e := range txns(z(1, 1), registerFilesMax+5) {
		mustWrite(t, l, []entry{e})
	}
	mustClose(t, l)
	if got := listedIn(t, o); len(got) != registerFilesMax || got[0] != z(1, 6) {
		t.Errorf("%d registered, from %#x", len(got), got[0])
	}
	mustClose(t, mustOpen(t, o))
}
