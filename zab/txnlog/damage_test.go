package txnlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// offsets returns where each entry begins in rawFile(entries), and where the last ends.
func offsets(entries []entry) []int {
	at := []int{fileHeaderLen}
	for _, e := range entries {
		at = append(at, at[len(at)-1]+entryLen(len(e.payload)))
	}
	return at
}

func requireCorrupt(t *testing.T, err error, file string, off int64, why string) {
	t.Helper()
	var c *CorruptError
	if !errors.As(err, &c) {
		t.Fatalf("error %v, want corruption at %d: %s", err, off, why)
	}
	if !strings.HasSuffix(c.File, file) || c.Offset != off || !strings.Contains(c.Why, why) {
		t.Fatalf("error %v, want %s at offset %d: %s", err, file, off, why)
	}
	if !strings.Contains(err.Error(), c.File) || !strings.Contains(err.Error(), fmt.Sprint(c.Offset)) {
		t.Fatalf("error text %q names no place", err)
	}
}

func padded(b []byte, n int) []byte { return append(bytes.Clone(b), make([]byte, n)...) }

// TestTornTail is the part of the reference's damage table that a crash explains, in the newest file of a server that
// leaves no mark: the whole entries stay, the rest is cut for good.
func TestTornTail(t *testing.T) {
	all := fullTxns(z(1, 1), 12)
	raw, at := rawFile(all), offsets(all)
	last := at[11]
	cases := map[string][]byte{
		"no damage":                     raw,
		"padding":                       padded(raw, 9000),
		"without end byte":              raw[:len(raw)-1],
		"end byte zero, padding":        padded(raw[:len(raw)-1], 9000),
		"ends inside the entry":         raw[:last+50],
		"inside the entry, padding":     padded(raw[:last+50], 9000),
		"ends inside the header":        raw[:last+7],
		"inside the header, padding":    padded(raw[:last+7], 9000),
		"only checksum, padding":        padded(raw[:last+8], 9000),
		"sector lost inside":            zeroSector(padded(raw, 9000), last+600),
		"first sector of a batch lost":  zeroSector(padded(raw, 9000), last+entryHeaderLen),
		"first page lost, more follows": zeroPages(padded(append(bytes.Clone(raw), raw[fileHeaderLen:]...), 9000), last, 1),
	}
	for name, b := range cases {
		t.Run(name, func(t *testing.T) {
			fsys := NewMemFS()
			fsys.put(t, fileName(all[0].zxid), b)
			want := all[:11]
			if name == "no damage" || name == "padding" {
				want = all
			}
			want = want[:wholeBefore(b, raw, at, len(want))]
			l := mustOpen(t, Options{FS: fsys})
			requireEntries(t, mustRead(t, l, 0), want)
			if got := fsys.bytesOf(t, fileName(all[0].zxid)); len(got) != at[len(want)]+markLen || !bytes.Equal(got[:at[len(want)]], raw[:at[len(want)]]) {
				t.Fatalf("file has %d bytes after recovery, its entries end at %d", len(got), at[len(want)])
			}
			more := fullTxns(want[len(want)-1].zxid+1, 3)
			mustWrite(t, l, more)
			mustClose(t, l)
			requireEntries(t, mustRead(t, mustOpen(t, Options{FS: fsys}), 0), append(bytes0(want), more...))
		})
	}
}

// wholeBefore counts the entries that are in b as they are in raw, up to max.
func wholeBefore(b, raw []byte, at []int, limit int) int {
	n := 0
	for n < limit && len(b) >= at[n+1] && bytes.Equal(b[at[n]:at[n+1]], raw[at[n]:at[n+1]]) {
		n++
	}
	return n
}

func bytes0(e []entry) []entry { return append([]entry(nil), e...) }

// fullTxns makes entries of 1,600 random bytes: no sector of them is zero.
func fullTxns(first int64, n int) []entry {
	rnd := newRand(first)
	var out []entry
	for i := range int64(n) {
		out = append(out, entry{first + i, appendTxn(nil, first+i, 1600, rnd)})
	}
	return out
}

func zeroSector(b []byte, off int) []byte {
	start := off - off%sectorLen
	clear(b[start : start+sectorLen])
	return b
}

// zeroPages clears from off to the end of its page, and n-1 pages more.
func zeroPages(b []byte, off, n int) []byte {
	clear(b[off : off-off%4096+n*4096])
	return b
}

// TestCorruption is the rest of the damage table: nothing of it comes from a crash, so the log does not open, or the
// reading of an older file ends, and what is there is left as it is.
func TestCorruption(t *testing.T) {
	all := fullTxns(z(1, 1), 12)
	at := offsets(all)
	put32 := func(off int, v uint32) func([]byte) {
		return func(b []byte) { binary.BigEndian.PutUint32(b[off:], v) }
	}
	flip := func(off int) func([]byte) { return func(b []byte) { b[off] ^= 0x10 } }
	cases := []struct {
		name   string
		damage func([]byte)
		off    int
		why    string
	}{
		{"magic", flip(1), 0, "magic 0x5a5b4c47 is not that"},
		{"payload byte", flip(at[5] + 100), at[5], "checksum"},
		{"payload byte of the first", flip(at[0] + 100), at[0], "checksum"},
		{"payload byte of the last", flip(at[11] + 100), at[11], "checksum"},
		{"checksum byte", flip(at[5] + 6), at[5], "checksum"},
		{"checksum above 32 bits", flip(at[5] + 1), at[5], "checksum"},
		{"end byte", flip(at[6] - 1), at[5], "ends in byte 0x52"},
		{"end byte of the last", flip(at[12] - 1), at[11], "ends in byte 0x52"},
		{"length longer, still within", put32(at[5]+8, 1800), at[5], "checksum"},
		{"length beyond the file", put32(at[5]+8, 1<<20), at[5], "the file ends inside an entry"},
		{"length zero", put32(at[5]+8, 0), at[5], "length 0 is below"},
		{"length -1", put32(at[5]+8, 0xffffffff), at[5], "length -1 is below"},
		{"length 2^31-1", put32(at[5]+8, 0x7fffffff), at[5], "length 2147483647 is above the limit"},
		{"length most negative", put32(at[5]+8, 0x80000000), at[5], "length -2147483648 is below"},
		{"length 2^31-1 in the last", put32(at[11]+8, 0x7fffffff), at[11], "above the limit"},
		{"length shorter than a TxnHeader", put32(at[5]+8, 31), at[5], "length 31 is below"},
		{"another file's first entry", func(b []byte) { copy(b, rawFile(fullTxns(z(1, 7), 1))) }, at[0], "first entry has zxid 0x100000007"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := rawFile(all)
			c.damage(b)
			name := fileName(all[0].zxid)
			for _, pad := range []int{0, 9000} {
				fsys := NewMemFS()
				fsys.put(t, name, padded(b, pad))
				_, err := Open(Options{Dir: testDir, FS: fsys})
				requireCorrupt(t, err, name, int64(c.off), c.why)
				if !bytes.Equal(fsys.bytesOf(t, name), padded(b, pad)) {
					t.Fatal("a refused file was changed")
				}
			}
			t.Run("older", func(t *testing.T) {
				fsys := NewMemFS()
				fsys.put(t, name, padded(b, 0))
				fsys.put(t, fileName(z(1, 13)), rawFile(fullTxns(z(1, 13), 2)))
				l, err := Open(Options{Dir: testDir, FS: fsys})
				if err == nil {
					_, err = readFrom(l, 0)
				}
				requireOlderRefused(t, err, name, int64(c.off), c.why)
			})
		})
	}
}

// requireOlderRefused accepts, for damage that looks like a torn tail, that the next file is found not to continue.
func requireOlderRefused(t *testing.T, err error, file string, off int64, why string) {
	t.Helper()
	if errors.Is(err, ErrMissing) {
		requireCorrupt(t, err, fileName(z(1, 13)), fileHeaderLen, "entries between them are missing")
		return
	}
	requireCorrupt(t, err, file, off, why)
}

// TestMarkSettlesWhatLooksTorn damages synced entries in the ways that a crash would too. Without marks this could not be
// told from a torn tail; with them it is refused.
func TestMarkSettlesWhatLooksTorn(t *testing.T) {
	all := fullTxns(z(1, 1), 12)
	at := offsets(all)
	damages := map[string]func(b []byte) []byte{
		"sector lost":      func(b []byte) []byte { return zeroSector(b, at[5]+600) },
		"header zero":      func(b []byte) []byte { clear(b[at[5] : at[5]+entryHeaderLen]); return b },
		"page lost":        func(b []byte) []byte { return zeroPages(b, at[5], 1) },
		"length of a lost": func(b []byte) []byte { b[at[10]+9] |= 1; return b },
	}
	for name, damage := range damages {
		for _, closed := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/closed=%v", name, closed), func(t *testing.T) {
				fsys := NewMemFS()
				l := mustOpen(t, Options{FS: fsys})
				for i := range all {
					mustWrite(t, l, all[i:i+1])
				}
				if closed {
					mustClose(t, l)
				}
				file := fileName(all[0].zxid)
				b := damage(fsys.bytesOf(t, file))
				fsys = NewMemFS()
				fsys.put(t, file, b)
				off := at[5]
				if name == "length of a lost" {
					off = at[10]
				}
				_, err := Open(Options{Dir: testDir, FS: fsys})
				requireCorrupt(t, err, file, int64(off), "")
			})
		}
	}
}

// TestDamagedMark: a mark is of no worth to the history, so damage to one loses nothing.
func TestDamagedMark(t *testing.T) {
	all := fullTxns(z(1, 1), 3)
	at := offsets(all)
	for i := range markLen {
		fsys := NewMemFS()
		l := mustOpen(t, Options{FS: fsys})
		mustWrite(t, l, all)
		file := fileName(all[0].zxid)
		b := fsys.bytesOf(t, file)
		b[at[3]+i] ^= 4
		fsys = NewMemFS()
		fsys.put(t, file, b)
		requireEntries(t, mustRead(t, mustOpen(t, Options{FS: fsys}), 0), all)
	}
}

func TestFilesWithoutEntries(t *testing.T) {
	all := fullTxns(z(1, 1), 3)
	header := fileHeader()
	for name, b := range map[string][]byte{
		"empty":                  {},
		"zeros":                  make([]byte, 9000),
		"header alone":           header,
		"header and padding":     padded(header, 9000),
		"part of a header":       header[:6],
		"part of it, padding":    padded(header[:6], 9000),
		"torn first entry":       rawFile(all)[:60],
		"torn first, padding":    padded(rawFile(all)[:60], 9000),
		"header and a bare mark": append(bytes.Clone(header), mark{end: fileHeaderLen, synced: fileHeaderLen}.append(nil)...),
	} {
		t.Run(name, func(t *testing.T) {
			fsys := NewMemFS()
			fsys.put(t, fileName(z(1, 1)), rawFile(all))
			fsys.put(t, fileName(z(1, 4)), b)
			l := mustOpen(t, Options{FS: fsys})
			requireEntries(t, mustRead(t, l, 0), all)
			if names, _ := fsys.Crash(1).List(testDir); len(names) != 1 {
				t.Fatalf("files left: %v", names)
			}
			mustWrite(t, l, fullTxns(z(1, 4), 1))
		})
	}
}

func TestEmptyOlderFileIsRemoved(t *testing.T) {
	fsys := NewMemFS()
	all := fullTxns(z(1, 1), 4)
	fsys.put(t, fileName(z(1, 1)), rawFile(all[:3]))
	fsys.put(t, fileName(z(1, 2)), nil)
	fsys.put(t, fileName(z(1, 4)), rawFile(all[3:]))
	requireEntries(t, mustRead(t, mustOpen(t, Options{FS: fsys}), 0), all)
}

// TestTornOlderFile: a Java server that was cut off goes on in a new file and leaves the torn entry where it is.
func TestTornOlderFile(t *testing.T) {
	all := fullTxns(z(1, 1), 8)
	torn := rawFile(all[:4])
	torn = torn[:len(torn)-300]
	for _, c := range []struct {
		name string
		next []entry
		ok   bool
	}{
		{"the torn entry again", all[3:], true},
		{"a new epoch", fullTxns(z(2, 1), 3), true},
		{"the one after the torn", all[4:], false},
	} {
		fsys := NewMemFS()
		fsys.put(t, fileName(all[0].zxid), padded(torn, 5000))
		fsys.put(t, fileName(c.next[0].zxid), rawFile(c.next))
		got, err := readFrom(mustOpen(t, Options{FS: fsys}), 0)
		if !c.ok {
			requireCorrupt(t, err, fileName(c.next[0].zxid), fileHeaderLen, "zxid 0x100000005 stands where the one after 0x100000003 should")
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		requireEntries(t, got, append(bytes0(all[:3]), c.next...))
	}
}

func TestMissingFile(t *testing.T) {
	all := fullTxns(z(1, 1), 9)
	fsys := NewMemFS()
	fsys.put(t, fileName(z(1, 1)), rawFile(all[:3]))
	fsys.put(t, fileName(z(1, 7)), rawFile(all[6:]))
	l := mustOpen(t, Options{FS: fsys})
	_, err := readFrom(l, 0)
	requireCorrupt(t, err, fileName(z(1, 7)), fileHeaderLen, "zxid 0x100000007 stands where the one after 0x100000003 should")
	if !errors.Is(err, ErrMissing) {
		t.Fatal("not ErrMissing")
	}
	// Who has everything up to the gap needs none of the missing file.
	requireEntries(t, mustRead(t, l, z(1, 6)), all[6:])
	if _, err := readFrom(l, z(1, 5)); !errors.Is(err, ErrMissing) {
		t.Fatalf("read from inside the gap: %v", err)
	}
}

func TestNewestFileRemovedWhileOpen(t *testing.T) {
	fsys := NewMemFS()
	l := mustOpen(t, Options{FS: fsys})
	mustWrite(t, l, fullTxns(z(1, 1), 3))
	if err := fsys.Remove(l.path(fileName(z(1, 1)))); err != nil {
		t.Fatal(err)
	}
	_, err := readFrom(l, 0)
	requireCorrupt(t, err, fileName(z(1, 1)), 0, "not there any more")
}

// TestRepeatedZxids: logs of Java servers repeat entries; the first one counts.
func TestRepeatedZxids(t *testing.T) {
	all := fullTxns(z(1, 1), 6)
	again := append(bytes0(all[:4]), all[2], all[3], all[1])
	again = append(again, all[4:]...)
	fsys := NewMemFS()
	fsys.put(t, fileName(z(1, 1)), rawFile(again))
	fsys.put(t, fileName(z(1, 6)), rawFile(append(bytes0(all[5:6]), fullTxns(z(1, 7), 2)...)))
	l := mustOpen(t, Options{FS: fsys})
	requireEntries(t, mustRead(t, l, 0), append(bytes0(all), fullTxns(z(1, 7), 2)...))
	requireEntries(t, mustRead(t, l, z(1, 3)), append(bytes0(all[3:]), fullTxns(z(1, 7), 2)...))
}

func TestForeignNamesAreIgnored(t *testing.T) {
	fsys := NewMemFS()
	for _, name := range []string{"log.", "log.xyz", "log.1.tmp", "log.-1", "log.+1", "log.10000000000000000", "logs", "snapshot.0", "currentEpoch"} {
		fsys.put(t, name, []byte("something else"))
	}
	l := mustOpen(t, Options{FS: fsys})
	if l.LastZxid() != 0 || len(l.Files()) != 0 {
		t.Fatalf("files %+v", l.Files())
	}
	mustWrite(t, l, fullTxns(z(1, 1), 1))
}

// TestFlippedByteAnywhere flips each byte of a log that was synced in several writes. Whatever the byte was, the log
// either refuses or returns exactly what was written; only the very last write may be cut, when it looks torn.
func TestFlippedByteAnywhere(t *testing.T) {
	all := txns(z(1, 1), 9)
	fsys := NewMemFS()
	l := mustOpen(t, Options{FS: fsys})
	for i := range all {
		mustWrite(t, l, all[i:i+1])
	}
	file := fileName(all[0].zxid)
	good := fsys.bytesOf(t, file)
	refused, harmless, cut := 0, 0, 0
	if testing.Short() {
		t.Skip("reads the log 9,000 times")
	}
	for i := range offsets(all)[9] + 2*markLen {
		for _, bits := range []byte{0x01, 0x80} {
			b := bytes.Clone(good)
			b[i] ^= bits
			fsys := NewMemFS()
			fsys.put(t, file, b)
			l, err := Open(Options{Dir: testDir, FS: fsys, PreallocBytes: -1})
			var c *CorruptError
			switch {
			case errors.As(err, &c):
				refused++
				continue
			case err != nil:
				t.Fatal(err)
			}
			got := mustRead(t, l, 0)
			if len(got) == 8 && i >= offsets(all)[8] {
				cut++
				requireEntries(t, got, all[:8])
				continue
			}
			harmless++
			requireEntries(t, got, all)
		}
	}
	t.Logf("%d refused, %d without effect, %d cut the last write", refused, harmless, cut)
	if refused < 2*(offsets(all)[9]-fileHeaderLen)-cut {
		t.Errorf("too few refused")
	}
}

// TestFlipBesideSectorBoundary: an entry that begins with the last bytes of a sector has zeros there anyway, which must
// not be taken for a sector lost.
func TestFlipBesideSectorBoundary(t *testing.T) {
	for beside := 1; beside <= entryHeaderLen+1; beside++ {
		rnd := newRand(int64(beside))
		first := appendTxn(nil, z(1, 1), 0, nil)
		first = appendTxn(nil, z(1, 1), 2*sectorLen-beside-fileHeaderLen-entryLen(len(first)), rnd)
		all := append([]entry{{z(1, 1), first}}, fullTxns(z(1, 2), 2)...)
		at := offsets(all)
		if at[1]%sectorLen != sectorLen-beside {
			t.Fatalf("entry at %d", at[1])
		}
		b := rawFile(all)
		b[at[1]+700] ^= 1
		fsys := NewMemFS()
		fsys.put(t, fileName(z(1, 1)), padded(b, 2000))
		_, err := Open(Options{Dir: testDir, FS: fsys})
		requireCorrupt(t, err, fileName(z(1, 1)), int64(at[1]), "checksum")
	}
}
