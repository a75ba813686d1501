package txnlog

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// TestGoldenEntry writes the createSession transaction of a real Java server and compares every byte of the file.
func TestGoldenEntry(t *testing.T) {
	payload, err := hex.DecodeString("0100001241680000" + "00000000" + "0000000200000001" + "000001a201e3fe38" + "fffffff6" +
		"00001388" + "00000002" + "00000001a0b404ff")
	if err != nil {
		t.Fatal(err)
	}
	fsys := NewMemFS()
	l := mustOpen(t, Options{FS: fsys})
	mustWrite(t, l, []entry{{0x200000001, payload}})
	mustClose(t, l)
	got := hex.EncodeToString(fsys.bytesOf(t, "log.200000001"))
	want := "5a4b4c47" + "00000002" + "0000000000000000" + "00000000b62b0a65" + "00000030" + hex.EncodeToString(payload) + "42" +
		strings.Repeat("00", entryHeaderLen)
	if !strings.HasPrefix(got, want) {
		t.Fatalf("file is\n%s, want it to begin with\n%s", got, want)
	}
}

func TestReopenContinues(t *testing.T) {
	fsys := NewMemFS()
	all := txns(z(1, 1), 50)
	l := mustOpen(t, Options{FS: fsys})
	if l.FirstZxid() != 0 || l.LastZxid() != 0 || l.SizeBytes() != 0 {
		t.Fatal("an empty log has zxids or bytes")
	}
	mustWrite(t, l, all[:20])
	requireEntries(t, mustRead(t, l, 0), all[:20])
	mustClose(t, l)

	l = mustOpen(t, Options{FS: fsys})
	if l.LastZxid() != all[19].zxid || l.FirstZxid() != all[0].zxid {
		t.Fatalf("reopened at %#x..%#x", l.FirstZxid(), l.LastZxid())
	}
	mustWrite(t, l, all[20:])
	for from := range all {
		requireEntries(t, mustRead(t, l, all[from].zxid), all[from+1:])
	}
	if files := l.Files(); len(files) != 2 || files[1].Name != "log.100000015" || !files[1].Active || files[0].Active {
		t.Fatalf("files: %+v", files)
	}
	mustClose(t, l)
	if err := l.Close(); err != nil {
		t.Fatalf("second Close: %v", err)
	}
	if err := l.Append(batchOf(txns(z(2, 1), 1))); !errors.Is(err, ErrClosed) {
		t.Fatalf("Append after Close: %v", err)
	}
}

func TestRollBySizeAndByRequest(t *testing.T) {
	fsys := NewMemFS()
	l := mustOpen(t, Options{FS: fsys, RollBytes: 4000})
	all := txns(z(1, 1), 100)
	for i := range all {
		if i == 1 || i == 2 {
			l.Roll()
		}
		mustWrite(t, l, all[i:i+1])
	}
	files := l.Files()
	if len(files) < 5 || files[1].FirstZxid != z(1, 2) || files[2].FirstZxid != z(1, 3) {
		t.Fatalf("files: %+v", files)
	}
	for _, f := range files {
		if f.Bytes > 4000+3000 || f.Bytes < entryLenMin {
			t.Errorf("%s has %d bytes", f.Name, f.Bytes)
		}
	}
	requireEntries(t, mustRead(t, l, 0), all)
}

func TestAppendRefuses(t *testing.T) {
	l := mustOpen(t, Options{FS: NewMemFS(), EntryBytesMax: 2500})
	mustWrite(t, l, txns(z(1, 1), 3))
	long := []entry{{z(1, 4), appendTxn(nil, z(1, 4), 2500, nil)}}
	if err := l.Append(batchOf(long)); !errors.Is(err, ErrTooLong) {
		t.Errorf("long entry: %v", err)
	}
	for _, first := range []int64{z(1, 3), z(1, 5), z(2, 2), z(0, 4)} {
		if err := l.Append(batchOf([]entry{{first, appendTxn(nil, first, 1, nil)}})); !errors.Is(err, ErrNotConsecutive) {
			t.Errorf("zxid %#x after 0x100000003: %v", first, err)
		}
	}
	// Refused batches wrote nothing and the log goes on, also into a later epoch within one batch.
	more := []entry{{z(1, 4), appendTxn(nil, z(1, 4), 1, nil)}, {z(7, 1), appendTxn(nil, z(7, 1), 1, nil)}}
	mustWrite(t, l, more)
	requireEntries(t, mustRead(t, l, z(1, 3)), more)
}

func TestBatchEndPanicsOnForeignPayload(t *testing.T) {
	for name, payload := range map[string][]byte{
		"short":      make([]byte, txnHeaderLen-1),
		"other zxid": appendTxn(nil, 8, 1, nil),
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			var b Batch
			b.End(append(b.Begin(), payload...), 7)
		}()
	}
}

func TestBatchEntries(t *testing.T) {
	all := txns(z(1, 1), 10)
	b := batchOf(all)
	abandoned := b.Begin()
	_ = append(abandoned, "never ended"...)
	var got []entry
	for i := range b.Len() {
		zxid, payload := b.Entry(i)
		got = append(got, entry{zxid, payload})
	}
	requireEntries(t, got, all)
	b.Reset()
	if b.Len() != 0 || b.Bytes() != 0 {
		t.Fatal("not empty after Reset")
	}
}

func TestSkipTo(t *testing.T) {
	fsys := NewMemFS()
	l := mustOpen(t, Options{FS: fsys})
	mustWrite(t, l, txns(z(1, 1), 5))
	l.SkipTo(z(1, 2)) // reached already: no effect
	mustWrite(t, l, txns(z(1, 6), 1))
	l.SkipTo(z(1, 100))
	if err := l.Append(batchOf(txns(z(1, 7), 1))); !errors.Is(err, ErrNotConsecutive) {
		t.Fatalf("append before the snapshot: %v", err)
	}
	tail := txns(z(1, 101), 3)
	mustWrite(t, l, tail)
	for range 2 {
		requireEntries(t, mustRead(t, l, z(1, 100)), tail)
		if _, err := readFrom(l, z(1, 3)); !errors.Is(err, ErrMissing) {
			t.Fatalf("read across the gap: %v", err)
		}
		mustClose(t, l)
		l = mustOpen(t, Options{FS: fsys})
	}
}

func TestPurge(t *testing.T) {
	l := mustOpen(t, Options{FS: NewMemFS()})
	all := txns(z(1, 1), 50)
	for i := 0; i < 50; i += 10 {
		l.Roll()
		mustWrite(t, l, all[i:i+10])
	}
	requirePurged(t, l, z(1, 10), 0)                                                    // in the first file
	requirePurged(t, l, z(1, 11), 0, "log.100000001")                                   // first of the second file
	requirePurged(t, l, z(1, 45), 1<<30)                                                // all fits into what may be kept
	requirePurged(t, l, z(1, 45), l.Files()[2].Bytes, "log.10000000b", "log.100000015") // down to one file
	requirePurged(t, l, z(9, 1), 0, "log.10000001f")                                    // never the newest
	requireEntries(t, mustRead(t, l, l.FirstZxid()-1), all[40:])
	if _, err := readFrom(l, z(1, 39)); !errors.Is(err, ErrMissing) {
		t.Fatalf("read of purged entries: %v", err)
	}
}

func requirePurged(t *testing.T, l *Log, keepFrom, keepBytes int64, want ...string) {
	t.Helper()
	got, err := l.Purge(keepFrom, keepBytes)
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("Purge(%#x, %d) removed %v, %v; want %v", keepFrom, keepBytes, got, err, want)
	}
}

func TestTruncateEverywhere(t *testing.T) {
	all := txns(z(1, 1), 30)
	all = append(all, txns(z(3, 1), 10)...)
	for n := 0; n <= len(all); n++ {
		fsys := NewMemFS()
		l := mustOpen(t, Options{FS: fsys, RollBytes: 3000})
		for i := 0; i < len(all); i += 2 {
			mustWrite(t, l, all[i:i+2])
		}
		to, next := int64(0), z(1, 1)
		if n > 0 {
			to = all[n-1].zxid
			next = to + 1
		}
		if err := l.Truncate(to); err != nil {
			t.Fatalf("Truncate(%#x): %v", to, err)
		}
		if l.LastZxid() != to {
			t.Fatalf("LastZxid %#x after Truncate(%#x)", l.LastZxid(), to)
		}
		requireEntries(t, mustRead(t, l, 0), all[:n])
		durable := mustOpen(t, Options{FS: fsys.Crash(int64(n))})
		requireEntries(t, mustRead(t, durable, 0), all[:n])

		more := txns(next, 3)
		mustWrite(t, l, more)
		requireEntries(t, mustRead(t, l, to), more)
	}
}

func TestTruncateTooOld(t *testing.T) {
	l := mustOpen(t, Options{FS: NewMemFS()})
	all := txns(z(1, 10), 5)
	mustWrite(t, l, all)
	if err := l.Truncate(z(1, 8)); !errors.Is(err, ErrMissing) {
		t.Fatalf("Truncate before what is there: %v", err)
	}
	requireEntries(t, mustRead(t, l, z(1, 9)), all)
	if err := l.Truncate(z(1, 9)); err != nil || l.LastZxid() != 0 || len(l.Files()) != 0 {
		t.Fatalf("Truncate to right before the first entry: %v, last %#x", err, l.LastZxid())
	}
	mustWrite(t, l, all)
}

func TestIteratorAcrossTruncate(t *testing.T) {
	l := mustOpen(t, Options{FS: NewMemFS(), RollBytes: 2000})
	all := txns(z(1, 1), 60)
	for i := range all {
		mustWrite(t, l, all[i:i+1])
	}
	it, err := l.Read(0)
	if err != nil || !it.Next() {
		t.Fatal(err)
	}
	if err := l.Truncate(z(1, 5)); err != nil {
		t.Fatal(err)
	}
	for it.Next() {
	}
	if !errors.Is(it.Err(), ErrTruncated) {
		t.Fatalf("iterator over a truncated log ended with %v", it.Err())
	}
}

func TestIteratorSeesWhatWasThereAtRead(t *testing.T) {
	l := mustOpen(t, Options{FS: NewMemFS()})
	all := txns(z(1, 1), 20)
	mustWrite(t, l, all[:10])
	it, err := l.Read(0)
	if err != nil {
		t.Fatal(err)
	}
	mustWrite(t, l, all[10:])
	n := 0
	for it.Next() {
		n++
	}
	if n != 10 || it.Err() != nil {
		t.Fatalf("%d entries, %v", n, it.Err())
	}
}

// TestConcurrentUse has one writer, and readers, purges and questions beside it. Under -race it also shows that they
// share nothing unguarded.
func TestConcurrentUse(t *testing.T) {
	l := mustOpen(t, Options{FS: NewMemFS(), RollBytes: 5000})
	all := txns(z(1, 1), 300)
	mustWrite(t, l, all[:1])
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				from := l.FirstZxid() - 1
				got, err := readFrom(l, from)
				// A purge may take away what is being read; nothing else may go wrong.
				if err != nil && !errors.Is(err, ErrMissing) {
					t.Errorf("read: %v", err)
					return
				}
				if len(got) > 0 {
					n := int(got[0].zxid - z(1, 1))
					if err := diff(got, all[n:n+len(got)]); err != nil {
						t.Error(err)
					}
				}
				if l.SizeBytes() <= 0 || len(l.Files()) == 0 || l.Err() != nil {
					t.Error("log in disorder")
				}
			}
		})
	}
	wg.Go(func() {
		for i := range 20 {
			if _, err := l.Purge(z(1, uint32(10*i)), 20000); err != nil && !errors.Is(err, ErrClosed) {
				t.Errorf("purge: %v", err)
			}
		}
	})
	for i := 1; i < len(all); i += 3 {
		if i%50 == 0 {
			l.Roll()
		}
		mustWrite(t, l, all[i:min(i+3, len(all))])
	}
	close(done)
	wg.Wait()
	mustClose(t, l)
}

// TestNoAllocationPerBatch: once batch and file have their size, writing costs no garbage.
func TestNoAllocationPerBatch(t *testing.T) {
	l := mustOpen(t, Options{Dir: t.TempDir(), PreallocBytes: 8 << 20})
	payload := appendTxn(nil, 0, 250, newRand(1))
	var b Batch
	zxid := z(1, 0)
	write := func() {
		b.Reset()
		for range 64 {
			zxid++
			buf := append(b.Begin(), payload...)
			binary.BigEndian.PutUint64(buf[len(buf)-len(payload)+zxidOffset:], uint64(zxid))
			b.End(buf, zxid)
		}
		if err := errors.Join(l.Append(&b), l.Sync()); err != nil {
			t.Fatal(err)
		}
	}
	write()
	if n := testing.AllocsPerRun(50, write); n > 0 {
		t.Errorf("%v allocations for a batch of 64", n)
	}
	mustClose(t, l)
}
