package znode

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"io"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/golang/snappy"

	"github.com/quorate/quorate/wire"
)

// javaText writes what a snapshot contains as text.
type javaText struct{ strings.Builder }

func (j *javaText) Session(id int64, timeoutMs int32) error {
	_, err := fmt.Fprintf(j, "session %x %d\n", id, timeoutMs)
	return err
}

func (j *javaText) ACL(id int64, acl []wire.ACL) error {
	_, err := fmt.Fprintf(j, "acl %d %v\n", id, acl)
	return err
}

func (j *javaText) Node(path []byte, stat *Stat, acl int64, data []byte) error {
	_, err := fmt.Fprintf(j, "%s %+v acl %d data %q null %v\n", path, *stat, acl, data, data == nil)
	return err
}

// sampleBackend has one of everything.
func sampleBackend(t testing.TB) *MemBackend {
	b := NewMemBackend()
	null := putChange("/null", "", 0)
	null.Record = recordOf("/null", nil, 0)
	guarded := putChange("/guarded", "x", 0)
	guarded.Record.ACL = 2
	bare := putChange("/bare", "", 0)
	bare.Record.ACL = NoACLID
	kept := []Change{
		putChange("/", "", 0), putChange("/zookeeper", "", 0), putChange("/zookeeper/quota", "", 0), putChange("/zookeeper/config", "server.1=", 0),
		null, guarded, bare, putChange("/e", "", 0x100000000001), putChange("/c", "", -1<<63), putChange("/ä/ö", "ü", 0), putChange("/ä", strings.Repeat("long", 50_000), 0),
	}
	m := Meta{
		Zxid: 0x500000012, Sessions: map[int64]int32{0x100000000001: 30000, -7: 4000},
		ACLs: map[ACLID]ACLEntry{2: {ACL: []wire.ACL{{Perms: 1, ID: wire.ID{Scheme: "digest", ID: "bob:x="}}, {Perms: 31, ID: wire.ID{Scheme: "ip", ID: "10.0.0.0/8"}}}, Refs: 1}},
	}
	children := map[string]int32{}
	for _, c := range kept {
		if len(c.Path) > 1 {
			children[memParent(string(c.Path))]++
		}
	}
	for i := range kept {
		c := &kept[i]
		c.Record.NumChildren = children[string(c.Path)]
		m.NodeCount++
		m.DataBytes += int64(len(c.Path) + len(c.Record.Data))
		m.Digest += NodeDigest(c.Record.Prefix, &c.Record.Stat, c.Path)
	}
	if err := b.Checkpoint(m, changesOf(kept...)); err != nil {
		t.Fatal(err)
	}
	return b
}

func javaSnapshotBytes(t testing.TB, b Backend, o JavaSnapshotOptions) []byte {
	view, err := b.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	var out bytes.Buffer
	if err := WriteJavaSnapshot(&out, view, o); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestJavaSnapshotRoundTrip(t *testing.T) {
	b := sampleBackend(t)
	for _, o := range []JavaSnapshotOptions{{}, {LastZxid: true}} {
		file := javaSnapshotBytes(t, b, o)
		if !bytes.HasSuffix(file, javaSnapshotEnd) {
			t.Errorf("%+v: ends with % x", o, file[len(file)-5:])
		}
		var got javaText
		trailer, err := ReadJavaSnapshot(bytes.NewReader(file), &got)
		if err != nil {
			t.Fatal(err)
		}
		m, _, _ := b.Meta()
		want := JavaSnapshotTrailer{Digest: &ZxidDigest{Zxid: m.Zxid, Version: 2, Digest: m.Digest}}
		if o.LastZxid {
			want.LastZxid = m.Zxid
		}
		if !reflect.DeepEqual(trailer, want) {
			t.Errorf("trailer %+v, want %+v", trailer, want)
		}
		for _, line := range []string{
			"session 100000000001 30000\n", "session -7 4000\n", "acl 2 [{1 {digest bob:x=}} {31 {ip 10.0.0.0/8}}]\n",
			"acl -1 data \"\" null true\n", "/guarded ", "acl 2 data \"x\"", "acl 0 data", "data \"ü\"",
		} {
			if !strings.Contains(got.String(), line) {
				t.Errorf("no %q in\n%.3000s", line, got.String())
			}
		}
		if first := strings.Index(got.String(), "/ {"); first < 0 || strings.Index(got.String(), "/ä {") > strings.Index(got.String(), "/ä/ö {") {
			t.Errorf("parents do not come first")
		}
	}
}

// TestJavaSnapshotLayout checks the bytes of the smallest snapshot against
// the description of the format, field by field.
func TestJavaSnapshotLayout(t *testing.T) {
	b := NewMemBackend()
	if err := b.Checkpoint(Meta{Zxid: 3, Digest: 5}, changesOf(putChange("/", "d", 0))); err != nil {
		t.Fatal(err)
	}
	s := recordOf("/", nil, 0).Stat
	want := []byte("ZKSN\x00\x00\x00\x02\xff\xff\xff\xff\xff\xff\xff\xff")
	want = append(want, 0, 0, 0, 0)                       // sessions
	want = append(want, 0, 0, 0, 1)                       // lists: the empty one
	want = append(want, make([]byte, 12)...)              // its id and count
	want = append(want, 0, 0, 0, 0)                       // path of the root
	want = append(want, 0, 0, 0, 1, 'd')                  // data
	want = append(want, bytes.Repeat([]byte{0xff}, 8)...) // open list
	for _, v := range []int64{s.Czxid, s.Mzxid, s.Ctime, s.Mtime} {
		want = binary.BigEndian.AppendUint64(want, uint64(v))
	}
	want = append(want, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0) // versions
	want = append(want, make([]byte, 8)...)                 // owner
	want = binary.BigEndian.AppendUint64(want, uint64(s.Pzxid))
	want = append(want, 0, 0, 0, 1, '/')
	want = append(binary.BigEndian.AppendUint64(want, uint64(adler32.Checksum(want))), 0, 0, 0, 1, '/')
	want = append(want, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 5)
	want = append(binary.BigEndian.AppendUint64(want, uint64(adler32.Checksum(want))), 0, 0, 0, 1, '/')
	if got := javaSnapshotBytes(t, b, JavaSnapshotOptions{}); !bytes.Equal(got, want) {
		t.Errorf("got\n% x\nwant\n% x", got, want)
	}
}

// TestJavaSnapshotDamage cuts the file and flips bits at every place: the
// reader says so, except where a file may end.
func TestJavaSnapshotDamage(t *testing.T) {
	b := NewMemBackend()
	m := Meta{Zxid: 3, Digest: 5, Sessions: map[int64]int32{1: 2}, ACLs: map[ACLID]ACLEntry{2: {ACL: nobodyACL, Refs: 1}}}
	if err := b.Checkpoint(m, changesOf(putChange("/", "", 0), putChange("/a", "data", 0))); err != nil {
		t.Fatal(err)
	}
	file := javaSnapshotBytes(t, b, JavaSnapshotOptions{LastZxid: true})
	read := func(b []byte) error {
		_, err := ReadJavaSnapshot(bytes.NewReader(b), &javaText{})
		return err
	}
	var whole []int
	for n := range len(file) + 1 {
		err := read(file[:n])
		if err == nil {
			whole = append(whole, n)
		} else if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "at byte ") {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
	// Behind each of the three seals: 13 bytes, with 20 and 8 between them.
	if want := []int{len(file) - 54, len(file) - 21, len(file)}; !reflect.DeepEqual(whole, want) {
		t.Errorf("taken for whole when cut at %v, want %v", whole, want)
	}
	for i := range 8 * len(file) {
		bad := bytes.Clone(file)
		bad[i/8] ^= 1 << (i % 8)
		if err := read(bad); !errors.Is(err, ErrCorrupt) {
			t.Errorf("bit %d: %v", i, err)
		}
	}
}

// TestJavaSnapshotHostileLengths writes the largest lengths into every four
// bytes: no memory may be had by saying so.
func TestJavaSnapshotHostileLengths(t *testing.T) {
	file := javaSnapshotBytes(t, sampleBackend(t), JavaSnapshotOptions{})[:800]
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for at := 16; at+4 <= len(file); at++ {
		for _, n := range []uint32{1<<31 - 1, javaFieldBytesMax, 1 << 31, 1<<32 - 2} {
			bad := bytes.Clone(file)
			binary.BigEndian.PutUint32(bad[at:], n)
			if _, err := ReadJavaSnapshot(bytes.NewReader(bad), &javaText{}); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%d at %d: %v", n, at, err)
			}
		}
	}
	runtime.ReadMemStats(&after)
	if got := (after.TotalAlloc - before.TotalAlloc) / uint64(4*len(file)); got > 1<<20 {
		t.Errorf("%d bytes were allocated per file of %d", got, len(file))
	}
}

func FuzzJavaSnapshot(f *testing.F) {
	f.Add(javaSnapshotBytes(f, sampleBackend(f), JavaSnapshotOptions{LastZxid: true})[:1000])
	small := NewMemBackend()
	if err := small.Checkpoint(Meta{Zxid: 1}, changesOf(putChange("/", "", 0))); err != nil {
		f.Fatal(err)
	}
	f.Add(javaSnapshotBytes(f, small, JavaSnapshotOptions{LastZxid: true}))
	f.Fuzz(func(t *testing.T, file []byte) {
		if _, err := ReadJavaSnapshot(bytes.NewReader(file), &javaText{}); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("not marked as corruption: %v", err)
		}
	})
}

// xerial frames b as snappy-java does.
func xerial(b []byte, blockBytes int) []byte {
	out := append(bytes.Clone(javaSnappyMagic), 0, 0, 0, 1, 0, 0, 0, 1)
	for len(b) > 0 {
		n := min(len(b), blockBytes)
		block := snappy.Encode(nil, b[:n])
		out = append(wire.AppendInt(out, int32(len(block))), block...)
		b = b[n:]
	}
	return out
}

func TestJavaSnappy(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	plain := make([]byte, 300_000)
	for i := range plain {
		plain[i] = byte(rng.IntN(4))
	}
	copy(plain[1000:90_000], make([]byte, 89_000))
	file := append(xerial(plain[:200_000], 32<<10), xerial(plain[200_000:], 1<<20)...)
	r, err := newJavaSnappyReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("read %d bytes (%v), want %d", len(got), err, len(plain))
	}
	if _, err := newJavaSnappyReader(strings.NewReader("not snappy at all")); !errors.Is(err, ErrCorrupt) {
		t.Errorf("foreign stream: %v", err)
	}
	for name, bad := range map[string][]byte{
		"cut":          file[:len(file)-1],
		"cut length":   append(bytes.Clone(file), 0, 0),
		"long block":   append(bytes.Clone(file), 0x7f, 0xff, 0xff, 0xff, 1),
		"negative":     append(bytes.Clone(file), 0xff, 0, 0, 0),
		"long content": append(bytes.Clone(file), 0, 0, 0, 5, 0xff, 0xff, 0xff, 0x0f, 0),
		"empty block":  append(bytes.Clone(file), 0, 0, 0, 0),
	} {
		r, err := newJavaSnappyReader(bytes.NewReader(bad))
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzJavaSnappy(f *testing.F) {
	f.Add(xerial([]byte("some text some text some text"), 8))
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := newJavaSnappyReader(bytes.NewReader(file))
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("not marked as corruption: %v", err)
		}
	})
}

// TestDigestVectors holds the digests that Java computes for known trees.
func TestDigestVectors(t *testing.T) {
	node := func(path string, data []byte, s Stat) uint64 {
		return NodeDigest(DataPrefix([]byte(path), data), &s, []byte(path))
	}
	stat := func(zxid int64) Stat { return Stat{Czxid: zxid, Mzxid: zxid, Pzxid: zxid, Ctime: 5, Mtime: 5} }
	for _, v := range []struct {
		path string
		data []byte
		stat Stat
		want uint64
	}{
		{"/", nil, Stat{}, 68323592},
		{"/zookeeper", nil, Stat{}, 1303661912},
		{"/k1", []byte("v"), stat(0x100000001), 1204542630},
		{"/k2", nil, stat(0x100000002), 1785825323},
		{"/", nil, Stat{Cversion: 2, Pzxid: 0x100000002}, 1455981725},
	} {
		if got := node(v.path, v.data, v.stat); got != v.want {
			t.Errorf("%s %+v: %d, want %d", v.path, v.stat, got, v.want)
		}
	}
}
