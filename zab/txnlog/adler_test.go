package txnlog

import (
	"bytes"
	"fmt"
	stdadler "hash/adler32"
	"testing"
)

func TestAdler32EqualsStandard(t *testing.T) {
	rnd := newRand(1)
	for n := range 2000 {
		data := make([]byte, n)
		rnd.Read(data)
		requireAdler(t, data)
		requireAdler(t, bytes.Repeat([]byte{0xff}, n))
	}
	requireAdler(t, bytes.Repeat([]byte{0xff}, 5<<20))
}

func requireAdler(t *testing.T, data []byte) {
	t.Helper()
	if got, want := adler32(data), stdadler.Checksum(data); got != want {
		t.Fatalf("%d bytes: %#x, hash/adler32 says %#x", len(data), got, want)
	}
}

func FuzzAdler32(f *testing.F) {
	f.Add([]byte("quorum"))
	f.Fuzz(func(t *testing.T, data []byte) { requireAdler(t, data) })
}

func BenchmarkAdler32(b *testing.B) {
	for _, n := range []int{64, 300, 1024, 1 << 20} {
		data := bytes.Repeat([]byte{0x5a}, n)
		for name, sum := range map[string]func([]byte) uint32{"own": adler32, "std": stdadler.Checksum} {
			b.Run(fmt.Sprintf("bytes=%d/%s", n, name), func(b *testing.B) {
				b.SetBytes(int64(n))
				for b.Loop() {
					sum(data)
				}
			})
		}
	}
}
