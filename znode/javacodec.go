package znode

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/adler32"
	"io"

	"github.com/quorate/quorate/wire"
)

// javaFieldBytesMax bounds one string or buffer in a file of Java ZooKeeper:
// far above any jute.maxbuffer in use, and still a size that can be had.
const javaFieldBytesMax = 256 << 20

// javaReader decodes jute fields from a stream and keeps the Adler-32 of what
// it has consumed. After the first failure every method returns a zero value
// and err says what failed and where. Memory grows with what was read, never
// by what a length field claims.
type javaReader struct {
	r        io.Reader
	buf      []byte
	pos, end int
	offset   int64 // of buf[pos] in the stream
	sum      hash.Hash32
	// exact reads no byte before it is asked for: others read on where this
	// reader stops. The source should then be a buffered one.
	exact bool
	err   error
}

const javaBufferBytes = 64 << 10

func newJavaReader(r io.Reader) *javaReader {
	return &javaReader{r: r, buf: make([]byte, javaBufferBytes), sum: adler32.New()}
}

// newExactReader returns a reader without checksum for a part of a stream.
func newExactReader(r io.Reader) *javaReader {
	return &javaReader{r: r, buf: make([]byte, javaBufferBytes), exact: true}
}

func (r *javaReader) fail(err error) {
	if r.err == nil {
		r.err = fmt.Errorf("at byte %d: %w", r.offset, err)
	}
}

// fill makes at least one more byte than n available and reports whether
// there is one.
func (r *javaReader) fill(n int) bool {
	if r.end-r.pos > n {
		return true
	}
	r.end = copy(r.buf, r.buf[r.pos:r.end])
	r.pos = 0
	upTo := len(r.buf)
	if r.exact {
		upTo = n + 1
	}
	for tries := 0; r.err == nil && r.end <= n; tries++ {
		got, err := r.r.Read(r.buf[r.end:upTo])
		r.end += got
		if got > 0 {
			tries = 0
		}
		switch {
		case r.end > n:
		case errors.Is(err, io.EOF):
			return false
		case err != nil:
			r.fail(err)
		case tries > 100:
			r.fail(io.ErrNoProgress)
		}
	}
	return r.err == nil
}

// atEnd reports whether the stream ends here.
func (r *javaReader) atEnd() bool { return !r.fill(0) && r.err == nil }

// take consumes n bytes, at most javaBufferBytes. They are valid until the
// next call; after a failure they are nil.
func (r *javaReader) take(n int) []byte {
	if n == 0 || r.err != nil {
		return nil
	}
	if !r.fill(n - 1) {
		r.fail(fmt.Errorf("%w: it ends within a field", ErrCorrupt))
		return nil
	}
	b := r.buf[r.pos : r.pos+n]
	r.pos += n
	r.offset += int64(n)
	if r.sum != nil {
		r.sum.Write(b) //nolint:errcheck // a hash does not fail
	}
	return b
}

func (r *javaReader) int() int32 {
	if b := r.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *javaReader) long() int64 {
	if b := r.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

// buffer appends a buffer or ustring to dst[:0]; null is reported apart.
func (r *javaReader) buffer(dst []byte) (out []byte, null bool) {
	n := int(r.int())
	if r.err != nil || n == -1 {
		return dst[:0], n == -1
	}
	if n < 0 || n > javaFieldBytesMax {
		r.fail(fmt.Errorf("%w: a field of %d bytes", ErrCorrupt, n))
		return dst[:0], false
	}
	dst = dst[:0]
	for n > 0 && r.err == nil {
		b := r.take(min(n, javaBufferBytes))
		dst = append(dst, b...)
		n -= len(b)
	}
	return dst, false
}

// string reads a ustring; null reads as "".
func (r *javaReader) string() string {
	b, _ := r.buffer(nil)
	return string(b)
}

// count reads the length of a list.
func (r *javaReader) count(what string) int {
	n := int(r.int())
	if n < 0 && r.err == nil {
		r.fail(fmt.Errorf("%w: %d %s", ErrCorrupt, n, what))
		return 0
	}
	return n
}

// acls reads a vector<ACL>; null reads as empty.
func (r *javaReader) acls() []wire.ACL {
	start := r.offset
	n := int(r.int())
	if n < -1 {
		r.fail(fmt.Errorf("%w: a list of %d entries", ErrCorrupt, n))
	}
	var list []wire.ACL
	for ; n > 0 && r.err == nil; n-- {
		list = append(list, wire.ACL{Perms: r.int(), ID: wire.ID{Scheme: r.string(), ID: r.string()}})
		if r.offset-start > javaFieldBytesMax {
			r.fail(fmt.Errorf("%w: an access control list of more than %d bytes", ErrCorrupt, javaFieldBytesMax))
		}
	}
	return list
}

// javaStatBytes is the size of a StatPersisted.
const javaStatBytes = 60

// stat reads a StatPersisted.
func (r *javaReader) stat(s *Stat) {
	b := r.take(javaStatBytes)
	if b == nil {
		*s = Stat{}
		return
	}
	f := wire.NewReader(b)
	s.Czxid, s.Mzxid, s.Ctime, s.Mtime = f.Long(), f.Long(), f.Long(), f.Long()
	s.Version, s.Cversion, s.Aversion = f.Int(), f.Int(), f.Int()
	s.EphemeralOwner, s.Pzxid = f.Long(), f.Long()
}

// appendJavaStat appends a StatPersisted.
func appendJavaStat(dst []byte, s *Stat) []byte {
	dst = wire.AppendLong(wire.AppendLong(dst, s.Czxid), s.Mzxid)
	dst = wire.AppendLong(wire.AppendLong(dst, s.Ctime), s.Mtime)
	dst = wire.AppendInt(wire.AppendInt(wire.AppendInt(dst, s.Version), s.Cversion), s.Aversion)
	return wire.AppendLong(wire.AppendLong(dst, s.EphemeralOwner), s.Pzxid)
}

// seal checks one checksum of the stream so far and the "/" behind it.
func (r *javaReader) seal() {
	want := int64(r.sum.Sum32())
	got := r.long()
	mark := r.string()
	if r.err == nil && got != want {
		r.fail(fmt.Errorf("%w: checksum %08x, the file says %08x", ErrCorrupt, want, got))
	}
	if r.err == nil && mark != "/" {
		r.fail(fmt.Errorf("%w: %q instead of the \"/\" behind a checksum", ErrCorrupt, mark))
	}
}
