package txnlog

import (
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestEpochsAreKept(t *testing.T) {
	fsys := NewMemFS()
	e, err := OpenEpochs(fsys, testDir, 0)
	if err != nil || e.Accepted() != 0 || e.Current() != 0 {
		t.Fatalf("new: %v", err)
	}
	for _, err := range []error{e.SetAccepted(4), e.BeginUpdate(), e.SetCurrent(4), e.SetAccepted(7)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := string(fsys.bytesOf(t, "acceptedEpoch")) + " " + string(fsys.bytesOf(t, "currentEpoch")); got != "7 4" {
		t.Fatalf("files say %q", got)
	}
	for seed := range int64(20) {
		e, err := OpenEpochs(fsys.Crash(seed), testDir, z(4, 9))
		if err != nil || e.Accepted() != 7 || e.Current() != 4 {
			t.Fatalf("after a crash: %v", err)
		}
	}
	for name, err := range map[string]error{
		"accepted back": e.SetAccepted(6), "current back": e.SetCurrent(3), "current above accepted": e.SetCurrent(8),
	} {
		if !errors.Is(err, ErrEpoch) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if e.Accepted() != 7 || e.Current() != 4 {
		t.Error("a refused change was made")
	}
}

func TestEpochFilesAtStart(t *testing.T) {
	cases := []struct {
		name              string
		files             map[string]string
		last              int64
		accepted, current int64
		refused           string
	}{
		{name: "both missing", last: z(3, 5), accepted: 3, current: 3},
		{name: "current missing", files: map[string]string{"acceptedEpoch": "5"}, last: z(3, 5), accepted: 5, current: 3},
		{name: "newline, as an editor leaves", files: map[string]string{"acceptedEpoch": "5\n", "currentEpoch": "4\r\nx"}, last: z(4, 1), accepted: 5, current: 4},
		{name: "data of a later epoch", files: map[string]string{"acceptedEpoch": "5", "currentEpoch": "4"}, last: z(5, 1), refused: "currentEpoch says 4, the data is of epoch 5"},
		{name: "the same, while updating", files: map[string]string{"acceptedEpoch": "5", "currentEpoch": "4", "updatingEpoch": ""}, last: z(5, 1), accepted: 5, current: 5},
		{name: "updating, accepted lags", files: map[string]string{"acceptedEpoch": "4", "currentEpoch": "4", "updatingEpoch": ""}, last: z(6, 1), accepted: 6, current: 6},
		{name: "updating, nothing came", files: map[string]string{"acceptedEpoch": "5", "currentEpoch": "4", "updatingEpoch": ""}, last: z(4, 1), accepted: 5, current: 4},
		{name: "Java's tmp file", files: map[string]string{"acceptedEpoch": "5", "currentEpoch": "4", "currentEpoch.tmp": "5"}, last: z(5, 1), accepted: 5, current: 5},
		{name: "Java's tmp file, too old", files: map[string]string{"acceptedEpoch": "5", "currentEpoch": "3", "currentEpoch.tmp": "4"}, last: z(5, 1), refused: "currentEpoch says 3"},
		{name: "accepted below current", files: map[string]string{"acceptedEpoch": "3", "currentEpoch": "4"}, last: z(4, 1), refused: "acceptedEpoch says 3, below the 4"},
		{name: "no number", files: map[string]string{"acceptedEpoch": "x3", "currentEpoch": "4"}, refused: `acceptedEpoch does not begin with an epoch number: "x3"`},
		{name: "empty", files: map[string]string{"acceptedEpoch": "4", "currentEpoch": ""}, refused: "currentEpoch does not begin"},
		{name: "negative", files: map[string]string{"acceptedEpoch": "4", "currentEpoch": "-1"}, refused: "currentEpoch does not begin"},
		{name: "endless", files: map[string]string{"acceptedEpoch": strings.Repeat("1", 5000), "currentEpoch": "1"}, refused: "acceptedEpoch does not begin"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			fsys := NewMemFS()
			for name, text := range c.files {
				fsys.put(t, name, []byte(text))
			}
			e, err := OpenEpochs(fsys, testDir, c.last)
			if c.refused != "" {
				if !errors.Is(err, ErrEpoch) || !strings.Contains(err.Error(), c.refused) {
					t.Fatalf("error %v, want %q", err, c.refused)
				}
				return
			}
			if err != nil || e.Accepted() != c.accepted || e.Current() != c.current {
				t.Fatalf("%v; %+v", err, e)
			}
			again, err := OpenEpochs(fsys.Crash(1), testDir, c.last)
			if err != nil || again.Accepted() != c.accepted || again.Current() != c.current || again.updating {
				t.Fatalf("again after a crash: %v; %+v", err, again)
			}
		})
	}
}

// epochRun changes epochs as a server does that is synchronized by one leader after the other, and records what was
// promised, and of which epoch data was written, before the power went.
func epochRun(fsys *MemFS) (accepted, current, data int64) {
	e, err := OpenEpochs(fsys, testDir, 0)
	for n := int64(2); err == nil && n <= 8; n += 2 {
		if err = e.SetAccepted(n); err != nil {
			break
		}
		accepted = n
		if err = e.BeginUpdate(); err != nil {
			break
		}
		data = n
		if err = e.SetCurrent(n); err == nil {
			current = n
		}
	}
	return accepted, current, data
}

// TestEpochsCrashAtEveryOperation: a promise made is kept, and the server starts, whenever the power goes; also when the
// data of an epoch was written and its currentEpoch was not.
func TestEpochsCrashAtEveryOperation(t *testing.T) {
	ops := 0
	whole := NewMemFS()
	whole.SetHook(countOps(&ops))
	if a, c, _ := epochRun(whole); a != 8 || c != 8 {
		t.Fatalf("without a crash: %d %d", a, c)
	}
	for at := range ops {
		fsys := NewMemFS()
		fsys.SetHook(powerOffAt(at))
		accepted, current, data := epochRun(fsys)
		for seed := range int64(40) {
			e, err := OpenEpochs(fsys.Crash(seed), testDir, z(data, 3))
			if err != nil {
				t.Fatalf("crash at %d, way %d: %v", at, seed, err)
			}
			if e.Accepted() < accepted || e.Accepted() > accepted+2 || e.Current() < max(current, data) || e.Current() > current+2 {
				t.Fatalf("crash at %d, way %d: %d %d, promised %d %d", at, seed, e.Accepted(), e.Current(), accepted, current)
			}
		}
	}
}

func TestEpochWriteFailureChangesNothing(t *testing.T) {
	for _, kind := range []OpKind{OpCreate, OpWrite, OpSync, OpRename} {
		fsys := NewMemFS()
		e, err := OpenEpochs(fsys, testDir, z(2, 1))
		if err != nil {
			t.Fatal(err)
		}
		f := &failOn{kind: kind, nth: 1, err: syscall.EIO}
		fsys.SetHook(f.hook)
		if err := e.SetAccepted(9); !errors.Is(err, syscall.EIO) || e.Accepted() != 2 {
			t.Fatalf("%s failing: %v, accepted %d", kind, err, e.Accepted())
		}
		fsys.SetHook(nil)
		if again, err := OpenEpochs(fsys, testDir, z(2, 1)); err != nil || again.Accepted() != 2 {
			t.Fatalf("%s failing: reopened %v", kind, err)
		}
		if err := e.SetAccepted(9); err != nil || e.Accepted() != 9 {
			t.Fatalf("after %s failed once: %v", kind, err)
		}
	}
}

func TestEpochsOnRealFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data", "version-2")
	for want := int64(1); want < 4; want++ {
		e, err := OpenEpochs(nil, dir, 0)
		if err != nil || e.Accepted() != want-1 {
			t.Fatalf("%v; %+v", err, e)
		}
		if err := errors.Join(e.SetAccepted(want), e.BeginUpdate(), e.SetCurrent(want)); err != nil {
			t.Fatal(err)
		}
	}
}
