package txnlog

import (
	"fmt"
	"testing"
)

// benchBatch encodes n transactions of about 300 bytes from zxid on.
func benchBatch(b *Batch, zxid int64, n int, value []byte) {
	b.Reset()
	for i := range int64(n) {
		buf := b.Begin()
		at := len(buf)
		buf = append(buf, value...)
		payload := buf[at:]
		for k := range 8 {
			payload[zxidOffset+k] = byte((zxid + i) >> (56 - 8*k))
		}
		b.End(buf, zxid+i)
	}
}

// BenchmarkAppend encodes, appends and, under /sync, makes durable batches; an operation is one batch. The files are in
// TMPDIR: it should be on a disk.
func BenchmarkAppend(b *testing.B) {
	value := appendTxn(nil, 1, 250, newRand(1))
	for _, sync := range []bool{false, true} {
		for _, n := range []int{1, 16, 256} {
			name := fmt.Sprintf("batch=%d", n)
			if sync {
				name += "/sync"
			}
			b.Run(name, func(b *testing.B) { benchAppend(b, n, sync, value) })
		}
	}
}

func benchAppend(b *testing.B, n int, sync bool, value []byte) {
	l := mustOpen(b, Options{Dir: b.TempDir(), PreallocBytes: PreallocBytesDefault, RollBytes: 512 << 20})
	var batch Batch
	zxid := z(1, 1)
	b.ReportAllocs()
	for b.Loop() {
		benchBatch(&batch, zxid, n, value)
		zxid += int64(n)
		if err := l.Append(&batch); err != nil {
			b.Fatal(err)
		}
		if sync {
			if err := l.Sync(); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.StopTimer()
	mustClose(b, l)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/entry")
}

// BenchmarkEncode is the part of BenchmarkAppend that is not the file's: an operation is a batch of 256.
func BenchmarkEncode(b *testing.B) {
	value := appendTxn(nil, 1, 250, newRand(1))
	var batch Batch
	b.ReportAllocs()
	for b.Loop() {
		benchBatch(&batch, 1, 256, value)
	}
	b.SetBytes(int64(batch.Bytes()))
}

// BenchmarkRead reads a log of 100,000 entries; an operation is the whole of it.
func BenchmarkRead(b *testing.B) {
	benchRead(b, func(l *Log) error {
		it, err := l.Read(0)
		if err != nil {
			return err
		}
		for it.Next() {
		}
		return it.Err()
	})
}

// BenchmarkOpen opens it after a crash, which checks every entry of the newest file.
func BenchmarkOpen(b *testing.B) {
	benchRead(b, func(l *Log) error {
		again, err := Open(Options{Dir: l.o.Dir})
		if err != nil {
			return err
		}
		return again.Close()
	})
}

func benchRead(b *testing.B, op func(*Log) error) {
	value := appendTxn(nil, 1, 250, newRand(1))
	l := mustOpen(b, Options{Dir: b.TempDir(), PreallocBytes: PreallocBytesDefault})
	var batch Batch
	for i := range int64(100) {
		benchBatch(&batch, z(1, 1)+i*1000, 1000, value)
		if err := l.Append(&batch); err != nil {
			b.Fatal(err)
		}
	}
	mustClose(b, l)
	l = mustOpen(b, Options{Dir: l.o.Dir})
	b.SetBytes(l.SizeBytes())
	b.ReportAllocs()
	for b.Loop() {
		if err := op(l); err != nil {
			b.Fatal(err)
		}
	}
}
