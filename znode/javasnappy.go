package znode

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/golang/snappy"
)

// javaSnappyMagic begins a stream of the snappy-java library. Two version
// numbers follow, 4 bytes each, then blocks: 4 bytes of length, and that many
// bytes of raw snappy.
var javaSnappyMagic = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const (
	javaSnappyHeaderBytes = 16
	// javaSnappyBlockBytesMax bounds a block, packed and unpacked. The library
	// writes blocks of 32 KiB.
	javaSnappyBlockBytesMax = 32 << 20
)

// javaSnappyReader decodes snappy-java's framing, which is not the official
// one. Memory is bounded by one block as it is, not as its length claims.
type javaSnappyReader struct {
	r      io.Reader
	packed bytes.Buffer
	block  []byte // decoded
	rest   []byte // of block, not yet read
}

// newJavaSnappyReader reads the stream's header.
func newJavaSnappyReader(r io.Reader) (*javaSnappyReader, error) {
	var header [javaSnappyHeaderBytes]byte
	if _, err := io.ReadFull(r, header[:]); err != nil || !bytes.HasPrefix(header[:], javaSnappyMagic) {
		return nil, fmt.Errorf("%w: no snappy stream", ErrCorrupt)
	}
	return &javaSnappyReader{r: r}, nil
}

// Read implements [io.Reader].
func (s *javaSnappyReader) Read(p []byte) (int, error) {
	for len(s.rest) == 0 {
		if err := s.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// next decodes a block; io.EOF is the end of the stream between two blocks.
func (s *javaSnappyReader) next() error {
	var length [4]byte
	if _, err := io.ReadFull(s.r, length[:]); errors.Is(err, io.EOF) {
		return io.EOF
	} else if err != nil {
		return fmt.Errorf("%w: snappy stream: %w", ErrCorrupt, err)
	}
	if bytes.HasPrefix(javaSnappyMagic, length[:]) {
		// Appended streams are read as one.
		_, err := io.CopyN(io.Discard, s.r, javaSnappyHeaderBytes-4)
		return err
	}
	n := int(int32(binary.BigEndian.Uint32(length[:])))
	if n < 0 || n > javaSnappyBlockBytesMax {
		return fmt.Errorf("%w: snappy block of %d bytes", ErrCorrupt, n)
	}
	s.packed.Reset()
	if _, err := io.CopyN(&s.packed, s.r, int64(n)); err != nil {
		return fmt.Errorf("%w: snappy stream: %w", ErrCorrupt, err)
	}
	return s.decode()
}

func (s *javaSnappyReader) decode() error {
	n, err := snappy.DecodedLen(s.packed.Bytes())
	// Snappy cannot pack more than 64 bytes into less than 3, so a longer claim
	// is a lie.
	if err != nil || n > javaSnappyBlockBytesMax || n > 32*s.packed.Len() {
		return fmt.Errorf("%w: snappy block of %d bytes that says %d", ErrCorrupt, s.packed.Len(), n)
	}
	if s.block, err = snappy.Decode(s.block[:cap(s.block)], s.packed.Bytes()); err != nil {
		return fmt.Errorf("%w: snappy block: %w", ErrCorrupt, err)
	}
	s.rest = s.block
	return nil
}

// javaSnappyWriterBlock is how much snappy-java packs at a time.
const javaSnappyWriterBlock = 32 << 10

// javaSnappyWriter encodes snappy-java's framing. Close writes what is left; the
// writer below stays open.
type javaSnappyWriter struct {
	w      io.Writer
	began  bool
	block  []byte // not yet packed
	packed []byte
}

func newJavaSnappyWriter(w io.Writer) *javaSnappyWriter {
	return &javaSnappyWriter{w: w, block: make([]byte, 0, javaSnappyWriterBlock)}
}

// Write implements [io.Writer].
func (s *javaSnappyWriter) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		k := min(len(p), javaSnappyWriterBlock-len(s.block))
		s.block = append(s.block, p[:k]...)
		p, n = p[k:], n+k
		if len(s.block) == javaSnappyWriterBlock {
			if err := s.flush(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// Close implements [io.Closer].
func (s *javaSnappyWriter) Close() error { return s.flush() }

func (s *javaSnappyWriter) flush() error {
	if !s.began {
		s.began = true
		// The version of the format, and the oldest that can read it.
		if _, err := s.w.Write(append(bytes.Clone(javaSnappyMagic), 0, 0, 0, 1, 0, 0, 0, 1)); err != nil {
			return err
		}
	}
	if len(s.block) == 0 {
		return nil
	}
	s.packed = snappy.Encode(s.packed[:cap(s.packed)], s.block)
	s.block = s.block[:0]
	if _, err := s.w.Write(binary.BigEndian.AppendUint32(nil, uint32(len(s.packed)))); err != nil {
		return err
	}
	_, err := s.w.Write(s.packed)
	return err
}
