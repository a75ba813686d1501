package znode

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/quorate/quorate/wire"
)

// streamBytes is the stream of what b holds.
func streamBytes(t testing.TB, b Backend) []byte {
	view, err := b.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	var out bytes.Buffer
	if err := WriteSnapStream(&out, view); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// javaStream is the stream of what b holds in the order of a Java leader.
func javaStream(t *testing.T, b Backend, rng *rand.Rand) []byte {
	file := preOrder(t, b, rng)
	body := file[4+4+8 : len(file)-8-5] // without header and seal
	return wire.AppendString(bytes.Clone(body), snapStreamEnd)
}

// countingReader says how far its users have read.
type countingReader struct {
	b   []byte
	pos int
}

func (r *countingReader) Read(p []byte) (int, error) {
	if r.pos == len(r.b) {
		return 0, io.EOF
	}
	n := copy(p, r.b[r.pos:])
	r.pos += n
	return n, nil
}

// TestSnapStreamRoundTrip: what was written is read, in either order and from
// any kind of reader, and nothing behind it.
func TestSnapStreamRoundTrip(t *testing.T) {
	src := sampleBackend(t)
	want := dump(t, src)
	m, _, _ := src.Meta()
	for name, stream := range map[string][]byte{
		"ours": streamBytes(t, src), "java": javaStream(t, src, rand.New(rand.NewPCG(1, 2))),
	} {
		for kind, wrap := range map[string]func(io.Reader) io.Reader{
			"plain": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader,
			"buffered": func(r io.Reader) io.Reader { return bufio.NewReader(r) },
		} {
			counted := &countingReader{b: append(bytes.Clone(stream), "PING"...)}
			r := wrap(counted)
			into := openTestStore(t, nil, filepath.Join(t.TempDir(), "tree"))
			res, err := ReadSnapStream(r, m.Zxid, into)
			if err != nil {
				t.Fatalf("%s, %s: %v", name, kind, err)
			}
			if got := dump(t, into); got != want || res.Meta.Digest != m.Digest || res.UnknownACLs != 0 {
				t.Errorf("%s, %s: result %+v,\n%.3000s\nwant\n%.3000s", name, kind, res, got, want)
			}
			rest, err := io.ReadAll(r)
			if err != nil || string(rest) != "PING" {
				t.Errorf("%s, %s: behind the stream there is %q, %v", name, kind, rest, err)
			}
			if _, err := ReadSnapStream(bytes.NewReader(stream), 1, into); !errors.Is(err, ErrNotEmpty) {
				t.Errorf("received twice: %v", err)
			}
			if left, err := os.ReadDir(into.TempDir()); len(left) > 0 || err != nil {
				t.Errorf("left behind: %v, %v", left, err)
			}
		}
	}
}

// rawStream writes a stream of just these paths, right or wrong.
func rawStream(acl int64, paths ...string) []byte {
	b := wire.AppendInt(wire.AppendInt(nil, 0), 0)
	for _, path := range paths {
		b = wire.AppendInt(wire.AppendString(b, path), -1)
		b = appendJavaStat(wire.AppendLong(b, acl), &Stat{})
	}
	return wire.AppendString(wire.AppendString(b, "/"), snapStreamEnd)
}

// TestSnapStreamRefused: streams that are wrong leave nothing.
func TestSnapStreamRefused(t *testing.T) {
	good := rawStream(-1, "", "/a", "/a/b")
	for name, c := range map[string]struct {
		stream []byte
		says   string
	}{
		"no root":        {rawStream(-1), "the tree has no root"},
		"root missing":   {rawStream(-1, "/a"), "where the root must come first"},
		"root twice":     {rawStream(-1, "", "/a", ""), "where the root must come first, and only once"},
		"twice":          {rawStream(-1, "", "/a", "/a"), `znode "/a" is there twice`},
		"no parent":      {rawStream(-1, "", "/a/b"), `znode "/a" is missing, but has children`},
		"bad path":       {rawStream(-1, "", "a"), "a stored path begins with '/'"},
		"empty part":     {rawStream(-1, "", "/a//b"), "a stored path begins with '/'"},
		"NUL":            {rawStream(-1, "", "/a\x00b"), "a stored path begins with '/'"},
		"no signature":   {append(bytes.Clone(good[:len(good)-14]), 0, 0, 0, 3, 'B', 'e', 'n'), "a signature of 3 bytes"},
		"other":          {append(bytes.Clone(good[:len(good)-3]), "her"...), `signature "BenWasHher" at the end`},
		"cut":            {good[:len(good)-1], "within a field"},
		"sessions":       {[]byte{0xff, 0xff, 0xff, 0xfe}, "-2 sessions"},
		"too long":       {[]byte{0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 0, 0, 0}, "a field of 2130706432 bytes"},
		"too many lists": {[]byte{0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff}, "within a field"},
	} {
		into := NewMemBackend()
		_, err := ReadSnapStream(bytes.NewReader(c.stream), 1, into)
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
		if _, found, _ := into.Meta(); found {
			t.Errorf("%s: something was written", name)
		}
	}
	broken := errors.New("connection reset")
	_, err := ReadSnapStream(io.MultiReader(bytes.NewReader(good[:50]), iotest.ErrReader(broken)), 1, NewMemBackend())
	if !errors.Is(err, broken) || errors.Is(err, ErrCorrupt) {
		t.Errorf("of a broken connection it says %v", err)
	}
}

// TestSnapStreamUnknownACL: a Java leader sends the lists first, so a znode may
// name one that came later. Nobody may use it until the log says more.
func TestSnapStreamUnknownACL(t *testing.T) {
	into := NewMemBackend()
	res, err := ReadSnapStream(bytes.NewReader(rawStream(17, "", "/a")), 5, into)
	if err != nil || res.UnknownACLs != 2 || res.FirstUnknown != "/" {
		t.Fatalf("%+v, %v", res, err)
	}
	tree, err := Open(Options{Backend: into})
	if err != nil {
		t.Fatal(err)
	}
	var rec Record
	if _, _, err := into.Get([]byte("/a"), nil, &rec); err != nil || tree.ACLs().Allowed(rec.ACL, wire.PermRead, nil) {
		t.Errorf("anybody may read, %v", err)
	}
}

// TestSnapStreamAheadOfItself: a Java leader writes its znodes one after another
// and goes on meanwhile. Until the transactions behind the snapshot are there the
// tree's digest is that of no moment, and not compared.
func TestSnapStreamAheadOfItself(t *testing.T) {
	b := wire.AppendInt(wire.AppendInt(nil, 0), 0)
	for _, n := range []struct {
		path string
		zxid int64
	}{{"", 0}, {"/a", 3}, {"/b", 8}} {
		b = wire.AppendInt(wire.AppendString(b, n.path), -1)
		b = appendJavaStat(wire.AppendLong(b, -1), &Stat{Mzxid: n.zxid})
	}
	into := NewMemBackend()
	_, err := ReadSnapStream(bytes.NewReader(wire.AppendString(wire.AppendString(b, "/"), snapStreamEnd)), 5, into)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := Open(Options{Backend: into, Digest: true})
	if err != nil {
		t.Fatal(err)
	}
	wrong := TxnDigest{Version: DigestVersion, Digest: 1}
	for zxid := int64(6); zxid <= 9; zxid++ {
		h := TxnHeader{Zxid: zxid, Type: wire.OpError}
		var res Result
		if _, err := tree.Apply(&h, wrong.Append(ErrorTxn{Code: wire.ErrNoNode}.Append(nil)), &res, nil); err != nil {
			t.Fatal(err)
		}
		if got, want := tree.DigestMismatches(), max(0, zxid-7); got != want {
			t.Errorf("at zxid %d %d digests are wrong, want %d", zxid, got, want)
		}
	}
	if c, _, _ := into.Meta(); c.WholeFrom != 8 {
		t.Errorf("whole from %d", c.WholeFrom)
	}
}

// TestSnapStreamHostileLengths: no memory is to be had by a length.
func TestSnapStreamHostileLengths(t *testing.T) {
	stream := streamBytes(t, sampleBackend(t))[:800]
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	tries := uint64(0)
	for at := 0; at+4 <= len(stream); at += 3 {
		for _, n := range []uint32{1<<31 - 1, javaFieldBytesMax, 1 << 31} {
			bad := bytes.Clone(stream)
			binary.BigEndian.PutUint32(bad[at:], n)
			if err := readSnapStream(bytes.NewReader(bad), &javaText{}); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%d at %d: %v", n, at, err)
			}
			tries++
		}
	}
	runtime.ReadMemStats(&after)
	if got := (after.TotalAlloc - before.TotalAlloc) / tries; got > 1<<20 {
		t.Errorf("%d bytes were allocated for a stream of %d", got, len(stream))
	}
}

// FuzzSnapStream gives any bytes as a stream: it is a tree, which comes out
// again as it went in, or corruption.
func FuzzSnapStream(f *testing.F) {
	f.Add(streamBytes(f, sampleBackend(f))[:1000])
	f.Add(rawStream(-1, "", "/a", "/a/b"))
	f.Add(rawStream(0, "", "/zookeeper", "/zookeeper/quota"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		into := NewMemBackend()
		r := bytes.NewReader(stream)
		if _, err := ReadSnapStream(r, 1, into); err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("not marked as corruption: %v", err)
			}
			return
		}
		if read := len(stream) - r.Len(); string(stream[read-len(snapStreamEnd):read]) != snapStreamEnd {
			t.Errorf("it stopped behind %q", stream[read-len(snapStreamEnd):read])
		}
		again := NewMemBackend()
		if _, err := ReadSnapStream(bytes.NewReader(streamBytes(t, into)), 1, again); err != nil {
			t.Fatal(err)
		}
		if a, b := dump(t, into), dump(t, again); a != b {
			t.Errorf("read\n%s\nwritten and read again\n%s", a, b)
		}
	})
}

// BenchmarkSnapStream sends and receives trees of 128-byte znodes.
func BenchmarkSnapStream(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		src := benchStore(b)
		if err := src.Checkpoint(Meta{Zxid: 1}, benchSource(n, 100)); err != nil {
			b.Fatal(err)
		}
		view, err := src.Snapshot()
		if err != nil {
			b.Fatal(err)
		}
		var bytesOut int64
		b.Run(fmt.Sprintf("send/znodes=%d", n), func(b *testing.B) {
			for b.Loop() {
				w := &heapWriter{}
				if err := WriteSnapStream(w, view); err != nil {
					b.Fatal(err)
				}
				bytesOut = w.n
			}
			b.SetBytes(bytesOut)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/znode")
		})
		b.Run(fmt.Sprintf("receive/znodes=%d", n), func(b *testing.B) {
			var grown uint64
			for b.Loop() {
				r, w := io.Pipe()
				go func() { w.CloseWithError(WriteSnapStream(w, view)) }()
				watch := &heapReader{r: bufio.NewReaderSize(r, 64<<10)}
				res, err := ReadSnapStream(watch, 1, benchStore(b))
				if err != nil || res.Meta.NodeCount != int64(n)+101 {
					b.Fatal(res, err)
				}
				grown = max(grown, watch.grown)
			}
			b.SetBytes(bytesOut)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/znode")
			b.ReportMetric(float64(grown)/(1<<20), "heap-MiB")
		})
		if err := view.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// heapWriter counts what is written.
type heapWriter struct{ n int64 }

func (w *heapWriter) Write(b []byte) (int, error) {
	w.n += int64(len(b))
	return len(b), nil
}

// heapReader samples how large the heap is while it is read from.
type heapReader struct {
	r     io.Reader
	calls int
	grown uint64
}

func (h *heapReader) Read(b []byte) (int, error) {
	if h.calls++; h.calls%50_000 == 0 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		h.grown = max(h.grown, m.HeapAlloc)
	}
	return h.r.Read(b)
}
