package txnlog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand"
	randv2 "math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/quorate/quorate/zab/zxids"
)

const testDir = "/data/version-2"

// appendTxn encodes a setData transaction with a value of n bytes; rnd nil gives zeros, the hardest to tell from
// what was never written.
func appendTxn(b []byte, zxid int64, n int, rnd *rand.Rand) []byte {
	b = binary.BigEndian.AppendUint64(b, 0x100001241680000)
	b = binary.BigEndian.AppendUint32(b, uint32(zxid))
	b = binary.BigEndian.AppendUint64(b, uint64(zxid))
	b = binary.BigEndian.AppendUint64(b, 1700000000000)
	b = binary.BigEndian.AppendUint32(b, 5)
	b = binary.BigEndian.AppendUint32(b, 2)
	b = append(b, "/a"...)
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	value := make([]byte, n)
	if rnd != nil {
		rnd.Read(value)
	}
	b = append(b, value...)
	return binary.BigEndian.AppendUint32(b, 1)
}

type entry struct {
	zxid    int64
	payload []byte
}

// txns makes n consecutive entries from zxid first on, of lengths and contents that vary with the zxid alone.
func txns(first int64, n int) []entry {
	var out []entry
	for i := range int64(n) {
		zxid := first + i
		rnd := newRand(zxid)
		size := []int{0, 1, 100, 300, 700, 2000}[rnd.Intn(6)]
		var fill *rand.Rand
		if rnd.Intn(4) > 0 {
			fill = rnd
		}
		out = append(out, entry{zxid, appendTxn(nil, zxid, size, fill)})
	}
	return out
}

func fillBatch(b *Batch, entries []entry) *Batch {
	b.Reset()
	for _, e := range entries {
		b.End(append(b.Begin(), e.payload...), e.zxid)
	}
	return b
}

func batchOf(entries []entry) *Batch { return fillBatch(&Batch{}, entries) }

func mustOpen(t testing.TB, o Options) *Log {
	t.Helper()
	if o.Dir == "" {
		o.Dir = testDir
	}
	if o.PreallocBytes == 0 {
		o.PreallocBytes = 8 << 10
	}
	l, err := Open(o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return l
}

func mustWrite(t testing.TB, l *Log, entries []entry) {
	t.Helper()
	if err := l.Append(batchOf(entries)); err != nil {
		t.Fatalf("Append: %v", err)
	}
	if err := l.Sync(); err != nil {
		t.Fatalf("Sync: %v", err)
	}
}

func mustClose(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

func readFrom(l *Log, from int64) ([]entry, error) {
	it, err := l.Read(from)
	if err != nil {
		return nil, err
	}
	var out []entry
	for it.Next() {
		zxid, payload := it.Entry()
		out = append(out, entry{zxid, bytes.Clone(payload)})
	}
	return out, it.Err()
}

func mustRead(t testing.TB, l *Log, from int64) []entry {
	t.Helper()
	got, err := readFrom(l, from)
	if err != nil {
		t.Fatalf("Read(%#x): %v", from, err)
	}
	return got
}

func requireEntries(t testing.TB, got, want []entry) {
	t.Helper()
	if err := diff(got, want); err != nil {
		t.Fatal(err)
	}
}

func diff(got, want []entry) error {
	for i := range min(len(got), len(want)) {
		if got[i].zxid != want[i].zxid || !bytes.Equal(got[i].payload, want[i].payload) {
			return fmt.Errorf("entry %d is %#x (%d bytes), want %#x (%d bytes), or differs in content",
				i, got[i].zxid, len(got[i].payload), want[i].zxid, len(want[i].payload))
		}
	}
	if len(got) != len(want) {
		return fmt.Errorf("%d entries, want %d", len(got), len(want))
	}
	return nil
}

// file returns the bytes of a file of the log.
func (m *MemFS) bytesOf(t testing.TB, name string) []byte {
	t.Helper()
	f, err := m.Open(filepath.Join(testDir, name), false)
	if err != nil {
		t.Fatal(err)
	}
	size, _ := f.Size()
	b, err := readUpTo(f, 0, size)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// put makes a file with these bytes, durable.
func (m *MemFS) put(t testing.TB, name string, b []byte) {
	t.Helper()
	path := filepath.Join(testDir, name)
	_ = m.Remove(path)
	f, err := m.Create(path)
	if err == nil {
		_, err = f.WriteAt(b, 0)
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = m.SyncDir(testDir)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// rawFile builds the file another server would have written: no mark.
func rawFile(entries []entry) []byte {
	b := fileHeader()
	return append(b, batchOf(entries).buf...)
}

func z(epoch int64, counter uint32) int64 { return zxids.MakeZxid(epoch, counter) }

// newRand returns a random source that, unlike rand.NewSource, costs nothing to seed.
func newRand(seed int64) *rand.Rand { return rand.New(source{randv2.NewPCG(uint64(seed), 0)}) }

type source struct{ *randv2.PCG }

func (source) Seed(int64)     {}
func (s source) Int63() int64 { return int64(s.Uint64() >> 1) }
