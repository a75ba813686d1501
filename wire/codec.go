package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrShort is what decoding reports when a field does not fit in what is left
// of the frame, whatever length the field claims.
var ErrShort = errors.New("wire: record is shorter than its fields")

// ErrLength is what decoding reports for a negative length other than null's.
var ErrLength = errors.New("wire: negative length")

// Reader decodes jute fields from one frame. After the first failure every
// method returns a zero value and Err tells what failed and where, so a record
// is decoded without a check per field. It never allocates by a length field:
// lengths are compared with what is left of the frame first.
//
// A Reader is for one goroutine. Its zero value reads an empty frame.
type Reader struct {
	b   []byte
	off int
	err error
}

// NewReader returns a Reader of frame, which it does not copy.
func NewReader(frame []byte) Reader { return Reader{b: frame} }

// Err returns the first failure, wrapped with the offset at which it happened.
func (r *Reader) Err() error { return r.err }

// Offset returns how many bytes of the frame have been consumed.
func (r *Reader) Offset() int { return r.off }

// Remaining returns the bytes not consumed yet. They alias the frame.
func (r *Reader) Remaining() []byte { return r.b[r.off:] }

func (r *Reader) fail(err error) {
	if r.err == nil {
		r.err = fmt.Errorf("%w (at byte %d of %d)", err, r.off, len(r.b))
	}
}

// take returns the next n bytes, or nil after a failure.
func (r *Reader) take(n int) []byte {
	if r.err != nil || n > len(r.b)-r.off {
		r.fail(ErrShort)
		return nil
	}
	b := r.b[r.off : r.off+n : r.off+n]
	r.off += n
	return b
}

// Bool reads one byte; any value but zero is true, as in jute.
func (r *Reader) Bool() bool {
	b := r.take(1)
	return b != nil && b[0] != 0
}

// Int reads an int32.
func (r *Reader) Int() int32 {
	b := r.take(4)
	if b == nil {
		return 0
	}
	return int32(binary.BigEndian.Uint32(b))
}

// Long reads an int64.
func (r *Reader) Long() int64 {
	b := r.take(8)
	if b == nil {
		return 0
	}
	return int64(binary.BigEndian.Uint64(b))
}

// Buffer reads a buffer; nil is null. The result aliases the frame.
func (r *Reader) Buffer() []byte {
	n := r.Int()
	if r.err != nil || n == -1 {
		return nil
	}
	if n < 0 {
		r.fail(ErrLength)
		return nil
	}
	return r.take(int(n))
}

// Ustring reads a string as its bytes; nil is null. The result aliases the
// frame and is not checked for valid UTF-8.
func (r *Reader) Ustring() []byte { return r.Buffer() }

// String reads a string and copies it; null reads as "".
func (r *Reader) String() string { return string(r.Buffer()) }

// Count reads the length of a vector: -1 is null, and any other negative
// number reads as empty, as in Java. Every element takes at least min bytes,
// so a count that cannot fit in the frame fails here, before anything is
// allocated by it.
func (r *Reader) Count(min int) int {
	n := r.Int()
	if r.err != nil {
		return 0
	}
	if n < -1 {
		return 0
	}
	if int64(n)*int64(min) > int64(len(r.b)-r.off) {
		r.fail(ErrShort)
		return 0
	}
	return int(n)
}

// AppendBool appends a boolean.
func AppendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// AppendInt appends an int32.
func AppendInt(dst []byte, v int32) []byte {
	return binary.BigEndian.AppendUint32(dst, uint32(v))
}

// AppendLong appends an int64.
func AppendLong(dst []byte, v int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(v))
}

// AppendBuffer appends a buffer; nil is written as null.
func AppendBuffer(dst, v []byte) []byte {
	if v == nil {
		return AppendInt(dst, -1)
	}
	return append(AppendInt(dst, int32(len(v))), v...)
}

// AppendString appends a string, or a byte slice that holds one. It has no
// way to write null: that is [AppendBuffer] with nil.
func AppendString[T string | []byte](dst []byte, v T) []byte {
	return append(AppendInt(dst, int32(len(v))), v...)
}

// PutInt overwrites the four bytes at b[off:] with v.
func PutInt(b []byte, off int, v int32) {
	binary.BigEndian.PutUint32(b[off:], uint32(v))
}
