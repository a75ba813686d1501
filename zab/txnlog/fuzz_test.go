package txnlog

import (
	"bytes"
	"errors"
	"runtime"
	"testing"

	"github.com/quorate/quorate/zab/zxids"
)

// FuzzReadLog gives any bytes as the newest file, and as an older one: the log opens or says that it is corrupt, and
// what it returns is a history; what it cut stays cut.
func FuzzReadLog(f *testing.F) {
	all := txns(z(1, 1), 4)
	raw := rawFile(all)
	f.Add(raw)
	f.Add(padded(raw, 600))
	f.Add(raw[:len(raw)-20])
	f.Add(mark{end: int64(len(raw)), synced: int64(len(raw))}.append(bytes.Clone(raw)))
	f.Add(padded(mark{end: int64(len(raw)), synced: fileHeaderLen}.append(bytes.Clone(raw)), 100))
	f.Add(append(bytes.Clone(raw), 0, 0, 0, 0, 1, 2, 3, 4, 0x7f, 0xff, 0xff, 0xff))
	f.Fuzz(func(t *testing.T, data []byte) {
		name := fileName(z(1, 1))
		newest := NewMemFS()
		newest.put(t, name, data)
		fuzzOpen(t, newest)

		older := NewMemFS()
		older.put(t, name, data)
		older.put(t, fileName(z(9, 1)), rawFile(txns(z(9, 1), 2)))
		fuzzOpen(t, older)
	})
}

func fuzzOpen(t *testing.T, fsys *MemFS) {
	before := allocated()
	l, err := Open(Options{Dir: testDir, FS: fsys, PreallocBytes: -1})
	if requireKnown(t, err) {
		return
	}
	got, err := readFrom(l, l.FirstZxid()-1)
	requireKnown(t, err)
	if grown := allocated() - before; grown > 64<<20 {
		t.Fatalf("%d bytes allocated", grown)
	}
	for i := 1; i < len(got); i++ {
		if !zxids.Follows(got[i-1].zxid, got[i].zxid) {
			t.Fatalf("%#x after %#x", got[i].zxid, got[i-1].zxid)
		}
	}
	again, err := Open(Options{Dir: testDir, FS: fsys.Crash(1), PreallocBytes: -1})
	if err != nil || again.LastZxid() != l.LastZxid() {
		t.Fatalf("opened again: %v", err)
	}
}

func requireKnown(t *testing.T, err error) bool {
	var c *CorruptError
	if err != nil && !errors.As(err, &c) {
		t.Fatalf("error is no corruption: %v", err)
	}
	return err != nil
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// FuzzEpochFile gives any bytes as an epoch file.
func FuzzEpochFile(f *testing.F) {
	f.Add([]byte("5"))
	f.Add([]byte("5\n"))
	f.Add([]byte("-1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		fsys := NewMemFS()
		fsys.put(t, acceptedEpochName, data)
		e, err := OpenEpochs(fsys, testDir, 0)
		if err != nil && !errors.Is(err, ErrEpoch) {
			t.Fatal(err)
		}
		if err == nil && e.Accepted() < 0 {
			t.Fatal("negative epoch")
		}
	})
}
