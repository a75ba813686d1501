package txnlog

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
)

// failOn makes the n-th operation of a kind, counted from 1, fail, and counts what is asked for afterwards.
type failOn struct {
	kind  OpKind
	nth   int
	err   error
	after int
}

func (f *failOn) hook(op Op) error {
	if f.nth == 0 {
		if op.Kind != OpRead && op.Kind != OpOpen && op.Kind != OpList {
			f.after++
		}
		return nil
	}
	if op.Kind == f.kind {
		if f.nth--; f.nth == 0 {
			return f.err
		}
	}
	return nil
}

// TestFailureIsFinal fails each write, sync, reservation and creation of a workload once. The error is returned to every
// later caller, the disk is not touched again, and what was acknowledged before is there after a restart and after a crash.
func TestFailureIsFinal(t *testing.T) {
	faults := map[OpKind]error{
		OpWrite: syscall.ENOSPC, OpSync: syscall.EIO, OpPreallocate: syscall.ENOSPC,
		OpCreate: syscall.EMFILE, OpSyncDir: syscall.EIO, OpTruncate: syscall.EIO,
	}
	for kind, fault := range faults {
		t.Run(string(kind), func(t *testing.T) {
			for nth := 1; failNth(t, kind, nth, fault); nth++ {
			}
		})
	}
}

func failNth(t *testing.T, kind OpKind, nth int, fault error) (happened bool) {
	fsys := NewMemFS()
	all := txns(z(1, 1), 60)
	o := Options{Dir: testDir, FS: fsys, PreallocBytes: 6000, RollBytes: 15000, Register: testRegister}
	l := mustOpen(t, o)
	f := &failOn{kind: kind, nth: nth, err: fault}
	fsys.SetHook(f.hook)
	acked := 0
	var failed error
	for i := 0; i < len(all) && failed == nil; i += 2 {
		failed = errors.Join(l.Append(batchOf(all[i:i+2])), l.Sync())
		if failed == nil {
			acked = i + 2
		}
	}
	if failed == nil {
		// A reservation ahead of need may fail unnoticed: nothing depended on it.
		return f.nth == 0 && kind == OpPreallocate
	}
	if !errors.Is(failed, fault) {
		t.Fatalf("failure %d of %s gave %v", nth, kind, failed)
	}
	requireDead(t, l, f, fault)
	fsys.SetHook(nil)
	for seed := range int64(8) {
		requireAcked(t, o, fsys.Crash(seed), all, acked)
	}
	requireAcked(t, o, fsys, all, acked)
	return true
}

func requireDead(t *testing.T, l *Log, f *failOn, fault error) {
	t.Helper()
	f.after = 0
	calls := map[string]func() error{
		"Append":   func() error { return l.Append(batchOf(txns(l.LastZxid()+1, 1))) },
		"Sync":     l.Sync,
		"Truncate": func() error { return l.Truncate(z(1, 1)) },
		"Purge":    func() error { _, err := l.Purge(z(9, 1), 0); return err },
		"Err":      l.Err,
		"Close":    l.Close,
	}
	for _, name := range []string{"Append", "Sync", "Append", "Sync", "Truncate", "Purge", "Err", "Close"} {
		if err := calls[name](); !errors.Is(err, fault) {
			t.Errorf("%s after the failure: %v", name, err)
		}
	}
	if f.after != 0 {
		t.Errorf("%d operations after the failure", f.after)
	}
}

func requireAcked(t *testing.T, o Options, fsys *MemFS, all []entry, acked int) {
	t.Helper()
	o.FS = fsys
	l, err := Open(o)
	if err != nil {
		t.Fatalf("open after the failure: %v", err)
	}
	got := mustRead(t, l, 0)
	if len(got) < acked {
		t.Fatalf("%d entries after the failure, %d were acknowledged", len(got), acked)
	}
	requireEntries(t, got, all[:len(got)])
}

// TestReservationFallsBack: on a nearly full disk the log takes only what it needs and goes on.
func TestReservationFallsBack(t *testing.T) {
	fsys := NewMemFS()
	asked := 0
	fsys.SetHook(func(op Op) error {
		if op.Kind != OpPreallocate {
			return nil
		}
		if asked++; asked%2 == 1 {
			return syscall.ENOSPC
		}
		return nil
	})
	l := mustOpen(t, Options{FS: fsys, PreallocBytes: 5000})
	all := txns(z(1, 1), 40)
	for i := range all {
		mustWrite(t, l, all[i:i+1])
	}
	requireEntries(t, mustRead(t, l, 0), all)
}

// TestReadErrorIsNotCorruption: a disk that cannot be read says nothing about what is on it.
func TestReadErrorIsNotCorruption(t *testing.T) {
	fsys := NewMemFS()
	l := mustOpen(t, Options{FS: fsys})
	all := txns(z(1, 1), 300)
	mustWrite(t, l, all)
	mustClose(t, l)
	before := fmt.Sprintf("%x", fsys.bytesOf(t, fileName(z(1, 1))))
	for nth := 1; ; nth++ {
		f := &failOn{kind: OpRead, nth: nth, err: syscall.EIO}
		fsys.SetHook(f.hook)
		_, err := Open(Options{Dir: testDir, FS: fsys})
		fsys.SetHook(nil)
		if f.nth > 0 {
			if nth == 1 {
				t.Fatal("nothing was read")
			}
			return
		}
		var c *CorruptError
		if !errors.Is(err, syscall.EIO) || errors.As(err, &c) {
			t.Fatalf("read %d failing gave %v", nth, err)
		}
		if fmt.Sprintf("%x", fsys.bytesOf(t, fileName(z(1, 1)))) != before {
			t.Fatal("file changed")
		}
	}
}

func TestPurgeFailureLeavesTheLogUsable(t *testing.T) {
	fsys := NewMemFS()
	l := mustOpen(t, Options{FS: fsys})
	all := txns(z(1, 1), 12)
	for i := 0; i < 12; i += 3 {
		l.Roll()
		mustWrite(t, l, all[i:i+3])
	}
	f := &failOn{kind: OpRemove, nth: 2, err: syscall.EPERM}
	fsys.SetHook(f.hook)
	removed, err := l.Purge(z(1, 12), 0)
	if len(removed) != 1 || !errors.Is(err, syscall.EPERM) {
		t.Fatalf("removed %v, %v", removed, err)
	}
	requireEntries(t, mustRead(t, l, z(1, 3)), all[3:])
	requirePurged(t, l, z(1, 12), 0, "log.100000004", "log.100000007")
	mustWrite(t, l, txns(z(1, 13), 1))
}

func TestNoSync(t *testing.T) {
	fsys := NewMemFS()
	l := mustOpen(t, Options{FS: fsys, NoSync: true, PreallocBytes: 1 << 20})
	mustWrite(t, l, txns(z(1, 1), 3))
	f := &failOn{}
	fsys.SetHook(f.hook)
	for i := range int64(5) {
		mustWrite(t, l, txns(z(1, 4)+i, 1))
	}
	if f.after != 5 {
		t.Fatalf("%d operations for 5 writes without sync", f.after)
	}
	// Nothing was promised, but what a power loss leaves must still open.
	for seed := range int64(50) {
		got := mustRead(t, mustOpen(t, Options{FS: fsys.Crash(seed)}), 0)
		requireEntries(t, got, txns(z(1, 1), len(got)))
	}
}

func TestOneWriteOneSyncPerBatch(t *testing.T) {
	fsys := NewMemFS()
	l := mustOpen(t, Options{FS: fsys, PreallocBytes: 16 << 20})
	mustWrite(t, l, txns(z(1, 1), 1))
	var ops []OpKind
	fsys.SetHook(func(op Op) error { ops = append(ops, op.Kind); return nil })
	mustWrite(t, l, txns(z(1, 2), 200))
	if err := l.Sync(); err != nil { // nothing new: no operation
		t.Fatal(err)
	}
	if fmt.Sprint(ops) != "[write sync]" {
		t.Fatalf("operations for a batch: %v", ops)
	}
}
