package wire

import (
	"bytes"
	"errors"
	"math"
	"testing"
)

// TestAppend pins jute's encoding of every type to its bytes.
func TestAppend(t *testing.T) {
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{"true", AppendBool(nil, true), "\x01"},
		{"false", AppendBool(nil, false), "\x00"},
		{"int", AppendInt(nil, 0x01020304), "\x01\x02\x03\x04"},
		{"negative int", AppendInt(nil, -2), "\xff\xff\xff\xfe"},
		{"long", AppendLong(nil, 0x0102030405060708), "\x01\x02\x03\x04\x05\x06\x07\x08"},
		{"negative long", AppendLong(nil, math.MinInt64), "\x80\x00\x00\x00\x00\x00\x00\x00"},
		{"null buffer", AppendBuffer(nil, nil), "\xff\xff\xff\xff"},
		{"empty buffer", AppendBuffer(nil, []byte{}), "\x00\x00\x00\x00"},
		{"buffer", AppendBuffer(nil, []byte{0, 255}), "\x00\x00\x00\x02\x00\xff"},
		{"string", AppendString(nil, "/ä"), "\x00\x00\x00\x03/\xc3\xa4"},
		{"empty string", AppendString(nil, ""), "\x00\x00\x00\x00"},
		{"string of bytes", AppendString(nil, []byte("/a")), "\x00\x00\x00\x02/a"},
		{"empty string of no bytes", AppendString(nil, []byte(nil)), "\x00\x00\x00\x00"},
		{"after what was there", AppendInt([]byte("x"), 1), "x\x00\x00\x00\x01"},
	} {
		if string(c.got) != c.want {
			t.Errorf("%s: % x, want % x", c.name, c.got, c.want)
		}
	}
}

func TestReader(t *testing.T) {
	frame := []byte("\x00\x01\x02" + "\x80\x00\x00\x00" + "\xff\xff\xff\xff\xff\xff\xff\xff" +
		"\x00\x00\x00\x02ab" + "\xff\xff\xff\xff" + "\x00\x00\x00\x00" + "\x00\x00\x00\x01s" + "\x00\x00\x00\x01t" + "rest")
	r := NewReader(frame)
	if a, b, c := r.Bool(), r.Bool(), r.Bool(); a || !b || !c {
		t.Errorf("bytes 0, 1, 2 are %v, %v, %v; any but zero is true", a, b, c)
	}
	if v := r.Int(); v != math.MinInt32 {
		t.Errorf("int is %d", v)
	}
	if v := r.Long(); v != -1 {
		t.Errorf("long is %d", v)
	}
	if v := r.Buffer(); string(v) != "ab" {
		t.Errorf("buffer is %q", v)
	}
	if v := r.Buffer(); v != nil {
		t.Errorf("null is %q", v)
	}
	if v := r.Buffer(); v == nil || len(v) != 0 {
		t.Errorf("empty buffer is %q, nil is %v", v, v == nil)
	}
	if v := r.String(); v != "s" {
		t.Errorf("string is %q", v)
	}
	if v := r.Ustring(); string(v) != "t" {
		t.Errorf("string is %q", v)
	}
	if r.Err() != nil || string(r.Remaining()) != "rest" || r.Offset() != len(frame)-4 {
		t.Errorf("at %d with %q remaining: %v", r.Offset(), r.Remaining(), r.Err())
	}
}

// TestReaderAliases: what comes out points into the frame, and appending to it
// cannot write into what follows.
func TestReaderAliases(t *testing.T) {
	frame := AppendInt(AppendBuffer(nil, []byte("ab")), 7)
	r := NewReader(frame)
	v := r.Buffer()
	frame[4] = 'x'
	if string(v) != "xb" {
		t.Errorf("the buffer is %q, not the frame's", v)
	}
	_ = append(v, 0xff, 0xff)
	if n := r.Int(); n != 7 {
		t.Errorf("appending to a field changed the next one to %d", n)
	}
}

func TestReaderFailures(t *testing.T) {
	for _, c := range []struct {
		name  string
		frame string
		read  func(r *Reader)
		want  error
		where string
	}{
		{"bool of nothing", "", func(r *Reader) { r.Bool() }, ErrShort, "(at byte 0 of 0)"},
		{"short int", "\x00\x00\x00", func(r *Reader) { r.Int() }, ErrShort, "(at byte 0 of 3)"},
		{"short long", "\x00\x00\x00\x00\x00\x00\x00", func(r *Reader) { r.Long() }, ErrShort, "(at byte 0 of 7)"},
		{"buffer without length", "\x00\x00", func(r *Reader) { r.Buffer() }, ErrShort, "(at byte 0 of 2)"},
		{"buffer one short", "\x00\x00\x00\x03ab", func(r *Reader) { r.Buffer() }, ErrShort, "(at byte 4 of 6)"},
		{"largest buffer", "\x7f\xff\xff\xffab", func(r *Reader) { r.Buffer() }, ErrShort, "(at byte 4 of 6)"},
		{"buffer of -2", "\xff\xff\xff\xfeab", func(r *Reader) { r.Buffer() }, ErrLength, "(at byte 4 of 6)"},
		{"smallest buffer", "\x80\x00\x00\x00ab", func(r *Reader) { r.Buffer() }, ErrLength, "(at byte 4 of 6)"},
		{"string of -2", "\xff\xff\xff\xfeab", func(r *Reader) { _ = r.String() }, ErrLength, "(at byte 4 of 6)"},
		{"count that cannot fit", "\x00\x00\x00\x02abcdefg", func(r *Reader) { r.Count(4) }, ErrShort, "(at byte 4 of 11)"},
		{"largest count", "\x7f\xff\xff\xffabcdefg", func(r *Reader) { r.Count(1 << 20) }, ErrShort, "(at byte 4 of 11)"},
		{"count without bytes", "\x00", func(r *Reader) { r.Count(4) }, ErrShort, "(at byte 0 of 1)"},
	} {
		r := NewReader([]byte(c.frame))
		c.read(&r)
		if err := r.Err(); !errors.Is(err, c.want) || !bytes.HasSuffix([]byte(err.Error()), []byte(c.where)) {
			t.Errorf("%s: %v, want %v %s", c.name, err, c.want, c.where)
		}
	}
}

// TestReaderKeepsFirstFailure: after one failure everything reads as zero, even
// what would fit, and the error stays the first.
func TestReaderKeepsFirstFailure(t *testing.T) {
	r := NewReader([]byte("\xff\xff\xff\xfe\x01\x00\x00\x00\x01x"))
	r.Buffer()
	first := r.Err()
	if r.Bool() || r.Int() != 0 || r.Long() != 0 || r.Buffer() != nil || r.String() != "" || r.Count(1) != 0 || r.ACLVector() != nil {
		t.Error("something was read after a failure")
	}
	if !errors.Is(r.Err(), first) || r.Err().Error() != first.Error() || r.Offset() != 4 {
		t.Errorf("at %d: %v, want the first failure %v", r.Offset(), r.Err(), first)
	}
}

func TestReaderZeroValue(t *testing.T) {
	var r Reader
	if r.Err() != nil || len(r.Remaining()) != 0 {
		t.Errorf("%q remains: %v", r.Remaining(), r.Err())
	}
	if r.Int(); !errors.Is(r.Err(), ErrShort) {
		t.Errorf("reading an empty frame: %v", r.Err())
	}
}

func TestCount(t *testing.T) {
	for _, c := range []struct {
		n    int32
		size int
		want int
	}{
		{0, 0, 0},
		{-1, 0, -1},
		{-2, 0, 0},
		{math.MinInt32, 100, 0},
		{3, 12, 3},
		{2, 12, 2},
	} {
		r := NewReader(append(AppendInt(nil, c.n), make([]byte, c.size)...))
		if got := r.Count(4); got != c.want || r.Err() != nil {
			t.Errorf("%d in %d bytes: %d, %v; want %d", c.n, c.size, got, r.Err(), c.want)
		}
	}
}

func TestFrame(t *testing.T) {
	b, first := BeginFrame([]byte("before"))
	b = EndFrame(append(b, "abc"...), first)
	b, second := BeginFrame(b)
	b = EndFrame(b, second)
	if want := "before\x00\x00\x00\x03abc\x00\x00\x00\x00"; string(b) != want {
		t.Errorf("%q, want %q", b, want)
	}
	if n := FrameLength(b[first:]); n != 3 {
		t.Errorf("length %d, want 3", n)
	}
	if n := FrameLength([]byte("\xff\xff\xff\xfe...")); n != -2 {
		t.Errorf("length %d, want -2: it is the caller who refuses it", n)
	}
	PutInt(b, first, -1)
	if n := FrameLength(b[first:]); n != -1 {
		t.Errorf("length %d after putting -1", n)
	}
}
