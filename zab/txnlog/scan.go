package txnlog

import (
	"errors"
	"fmt"
	"io"
)

const scanBytes = 256 << 10

// scanner reads the entries of one file in order. It believes no length that the file does not have room for.
type scanner struct {
	f          File
	name       string
	end        int64 // bytes to read: the size of the file, or what had been appended to it
	payloadMax int
	off        int64  // of the entry that next reads
	buf        []byte // bytes of the file from bufOff
	bufOff     int64
}

// damaged says what is wrong with the bytes at an entry's place; whether that is the end of the log, a torn tail or
// corruption is decided by examine.
type damaged struct {
	off     int64
	claimed int64 // where the entry would end by its header, 0 when that has no believable length
	why     error
}

// openScanner opens a file and checks its header.
func openScanner(fsys FS, path string, end int64, payloadMax int, buf []byte) (*scanner, error) {
	f, err := fsys.Open(path, false)
	if err != nil {
		return nil, err
	}
	s := &scanner{f: f, name: path, end: end, payloadMax: payloadMax, off: fileHeaderLen, buf: buf[:0]}
	head, err := s.bytes(0, int(min(fileHeaderLen, end)))
	if err == nil {
		if bad := checkFileHeader(head); bad != nil {
			err = &CorruptError{File: path, Why: bad.Error()}
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return s, nil
}

func (s *scanner) close() error { return s.f.Close() }

// next returns the payload at off and moves behind it, or nil and what is in its place. The payload is valid until
// the next call. An error is one of reading.
func (s *scanner) next() (payload []byte, bad *damaged, err error) {
	left := s.end - s.off
	if left < entryHeaderLen {
		return nil, s.short(left), nil
	}
	head, err := s.bytes(s.off, entryHeaderLen)
	if err != nil {
		return nil, nil, err
	}
	sum, n, why := entryHeader(head, s.payloadMax)
	if why != nil {
		return nil, s.damage(0, why), nil
	}
	total := entryLen(n)
	claimed := s.off + int64(total)
	if left < int64(total) {
		return nil, s.damage(claimed, fmt.Errorf("the file ends inside an entry: %d of its %d bytes are there", left, total)), nil
	}
	entry, err := s.bytes(s.off, total)
	if err != nil {
		return nil, nil, err
	}
	if why := checkEntry(entry, sum); why != nil {
		return nil, s.damage(claimed, why), nil
	}
	s.off = claimed
	return entry[entryHeaderLen : total-1], nil, nil
}

func (s *scanner) damage(claimed int64, why error) *damaged {
	return &damaged{off: s.off, claimed: claimed, why: why}
}

func (s *scanner) short(left int64) *damaged {
	if left == 0 {
		return s.damage(0, errEndOfLog)
	}
	return s.damage(0, fmt.Errorf("the file ends inside an entry header, after %d bytes", left))
}

// bytes returns n bytes of the file from off, which the caller knows to lie before end.
func (s *scanner) bytes(off int64, n int) ([]byte, error) {
	from := off - s.bufOff
	if from < 0 || from+int64(n) > int64(len(s.buf)) {
		if err := s.fill(off, n); err != nil {
			return nil, err
		}
		from = 0
	}
	return s.buf[from : from+int64(n)], nil
}

// fill reads from off at least n bytes, and as many as the buffer takes.
func (s *scanner) fill(off int64, n int) error {
	if cap(s.buf) < n {
		s.buf = make([]byte, 0, max(n, int(min(scanBytes, s.end-off))))
	}
	want := min(int64(cap(s.buf)), s.end-off)
	got, err := s.f.ReadAt(s.buf[:want], off)
	s.buf, s.bufOff = s.buf[:got], off
	if got >= n {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read %s at offset %d: %w", s.name, off, err)
}
