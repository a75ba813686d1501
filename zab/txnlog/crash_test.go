package txnlog

import (
	"errors"
	"flag"
	"fmt"
	"math/rand"
	"testing"

	"github.com/quorate/quorate/zab/zxids"
)

var crashSeeds = flag.Int("crashseeds", 8, "ways in which each crash loses what was not synced")

// workload drives a log through everything a server does to it and knows at each moment what a crash may leave.
type workload struct {
	fsys *MemFS
	o    Options
	rnd  *rand.Rand
	l    *Log

	history  []entry // in the order of the log, purged ones too
	durable  int     // so many of history must be there after a crash
	keepFrom int64   // entries from this zxid on must be there
	made     int64   // entries ever made: no two have the same content
}

func newWorkload(seed int64) *workload {
	rnd := newRand(seed)
	fsys := NewMemFS()
	o := Options{
		Dir: testDir, FS: fsys,
		PreallocBytes: []int64{-1, 4 << 10, 32 << 10}[rnd.Intn(3)],
		RollBytes:     []int64{0, 3000, 20000}[rnd.Intn(3)],
		Register:      testRegister,
		AsideThrough:  []int64{0, z(2, 1)}[rnd.Intn(2)],
	}
	return &workload{fsys: fsys, o: o, rnd: rnd, keepFrom: 1}
}

func (w *workload) last() int64 {
	if len(w.history) == 0 {
		return 0
	}
	return w.history[len(w.history)-1].zxid
}

// run does steps until an error, which is the power going off.
func (w *workload) run(steps int) error {
	var err error
	if w.l, err = Open(w.o); err != nil {
		return err
	}
	for range steps {
		if err := w.step(); err != nil {
			return err
		}
	}
	w.durable = len(w.history)
	return w.l.Close()
}

func (w *workload) step() error {
	switch w.rnd.Intn(12) {
	case 0:
		w.l.Roll()
		return nil
	case 1:
		return w.truncate()
	case 2:
		return w.purge()
	case 3:
		return w.reopen()
	case 4:
		return w.kill()
	case 5, 6: // two writes under one sync, perhaps to two files
		if err := w.append(); err != nil {
			return err
		}
		if w.rnd.Intn(2) == 0 {
			w.l.Roll()
		}
	}
	if err := w.append(); err != nil {
		return err
	}
	if err := w.l.Sync(); err != nil {
		return err
	}
	w.durable = len(w.history)
	return nil
}

func (w *workload) append() error {
	next := w.last() + 1
	if w.last() == 0 || w.rnd.Intn(8) == 0 {
		next = z(zxids.Epoch(w.last())+1, 1)
	}
	entries := w.entries(next, 1+w.rnd.Intn(12))
	w.history = append(w.history, entries...)
	return w.l.Append(batchOf(entries))
}

func (w *workload) entries(first int64, n int) []entry {
	var out []entry
	for i := range int64(n) {
		w.made++
		fill := newRand(w.made)
		size := []int{0, 3, 60, 300, 600, 1500}[fill.Intn(6)]
		if fill.Intn(4) == 0 {
			fill = nil
		}
		out = append(out, entry{first + i, appendTxn(nil, first+i, size, fill)})
	}
	return out
}

func (w *workload) truncate() error {
	kept := 0
	for i, e := range w.history {
		if e.zxid >= w.keepFrom && w.rnd.Intn(len(w.history)) < 3 {
			kept = i + 1
			break
		}
	}
	if kept == 0 {
		return nil
	}
	w.durable = min(w.durable, kept)
	if err := w.l.Truncate(w.history[kept-1].zxid); err != nil {
		return err
	}
	w.history, w.durable = w.history[:kept:kept], kept
	return nil
}

func (w *workload) purge() error {
	if w.durable == 0 {
		return nil
	}
	w.keepFrom = max(w.keepFrom, w.history[w.rnd.Intn(w.durable)].zxid)
	_, err := w.l.Purge(w.keepFrom, int64(w.rnd.Intn(3000)))
	return err
}

func (w *workload) reopen() error {
	if err := w.l.Close(); err != nil {
		return err
	}
	w.durable = len(w.history)
	l, err := Open(w.o)
	if err == nil {
		w.l = l
	}
	return err
}

// kill is a process that dies after a write that it did not sync: its successor finds it, and having found it keeps it.
func (w *workload) kill() error {
	if err := w.append(); err != nil {
		return err
	}
	l, err := Open(w.o)
	if err == nil {
		w.l, w.durable = l, len(w.history)
	}
	return err
}

// check opens what a crash left, compares it with what may be there, and goes on writing.
func (w *workload) check(after *MemFS) error {
	o := w.o
	o.FS = after
	l, err := Open(o)
	if err != nil {
		return fmt.Errorf("open after the crash: %w", err)
	}
	purged := 0
	for purged < len(w.history) && w.history[purged].zxid < w.keepFrom {
		purged++
	}
	from := w.keepFrom - 1
	got, err := readFrom(l, from)
	if err != nil {
		return fmt.Errorf("read after the crash: %w", err)
	}
	n := purged + len(got)
	if n > len(w.history) || len(got) > 0 && n < w.durable || len(got) == 0 && purged < w.durable {
		return fmt.Errorf("%d entries from %#x after the crash; %d to %d of the history's %d must be there", len(got), w.keepFrom, w.durable, len(w.history), len(w.history))
	}
	if err := diff(got, w.history[purged:n]); err != nil {
		return err
	}
	if n > 0 && len(got) > 0 && l.LastZxid() != w.history[n-1].zxid {
		return fmt.Errorf("LastZxid %#x, last entry %#x", l.LastZxid(), w.history[n-1].zxid)
	}
	more := w.entries(z(zxids.Epoch(w.last())+1, 1), 5)
	if err := errors.Join(l.Append(batchOf(more)), l.Sync()); err != nil {
		return fmt.Errorf("go on after the crash: %w", err)
	}
	if got2, err := readFrom(l, from); err != nil || diff(got2, append(got, more...)) != nil {
		return fmt.Errorf("read what was written after the crash: %w, %w", err, diff(got2, append(got, more...)))
	}
	return l.Close()
}

// powerOffAt makes the operation with this index, counted from 0, and all later ones fail, reads too.
func powerOffAt(index int) func(Op) error {
	n := 0
	return func(op Op) error {
		if op.Kind == OpRead || op.Kind == OpOpen || op.Kind == OpList {
			if n > index {
				return ErrPowerOff
			}
			return nil
		}
		n++
		if n > index {
			return ErrPowerOff
		}
		return nil
	}
}

func countOps(count *int) func(Op) error {
	return func(op Op) error {
		if op.Kind != OpRead && op.Kind != OpOpen && op.Kind != OpList {
			*count++
		}
		return nil
	}
}

// TestCrashAtEveryOperation takes the power away at each operation of several workloads, with many ways for each in
// which what was not synced is lost.
func TestCrashAtEveryOperation(t *testing.T) {
	workloads, step := int64(8), 1
	if testing.Short() {
		workloads, step = 5, 11 // a sample: this is what make check runs under the race detector
	}
	crashes := 0
	for seed := range workloads {
		ops := 0
		whole := newWorkload(seed)
		whole.fsys.SetHook(countOps(&ops))
		if err := whole.run(40); err != nil {
			t.Fatalf("workload %d without a crash: %v", seed, err)
		}
		for at := int(seed) % step; at < ops; at += step {
			w := newWorkload(seed)
			w.fsys.SetHook(powerOffAt(at))
			if err := w.run(40); !errors.Is(err, ErrPowerOff) {
				t.Fatalf("workload %d crashing at operation %d ended with %v", seed, at, err)
			}
			for way := range int64(*crashSeeds) {
				crashes++
				if err := w.check(w.fsys.Crash(way)); err != nil {
					t.Fatalf("workload %d, crash at operation %d, way %d: %v", seed, at, way, err)
				}
			}
		}
	}
	t.Logf("%d crashes", crashes)
}

// TestCrashDuringRecovery takes the power away again at each operation of the recovery after a crash.
func TestCrashDuringRecovery(t *testing.T) {
	for seed := int64(100); seed < 103; seed++ {
		w := newWorkload(seed)
		ops := 0
		w.fsys.SetHook(countOps(&ops))
		if err := w.run(40); err != nil {
			t.Fatal(err)
		}
		for at := 3; at < ops; at += 7 {
			w := newWorkload(seed)
			w.fsys.SetHook(powerOffAt(at))
			if err := w.run(40); !errors.Is(err, ErrPowerOff) {
				t.Fatal(err)
			}
			for way := range int64(3) {
				for again := range 4 {
					first := w.fsys.Crash(way)
					first.SetHook(powerOffAt(again))
					o := w.o
					o.FS = first
					if l, err := Open(o); err == nil {
						_ = l.Close()
					}
					if err := w.check(first.Crash(way + 50)); err != nil {
						t.Fatalf("workload %d, crash at %d, way %d, second crash at %d: %v", seed, at, way, again, err)
					}
				}
			}
		}
	}
}
