package txnlog

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/quorate/quorate/zab/zxids"
)

// Iterator walks entries in the order of their zxids. It belongs to one goroutine. What was appended after Read is
// not seen. An iterator that ended by itself needs no Close.
type Iterator struct {
	l     *Log
	files []FileInfo // still to be read, the one of s first
	s     *scanner
	buf   []byte
	gen   int

	prev    int64 // zxid of the last entry returned, at first of the one before the first
	until   int64 // the last zxid of the log when reading began
	payload []byte
	err     error
}

// Read returns an iterator over all entries with a zxid above from. They are checked as they are read: checksums, and
// that nothing is missing, neither after from nor between two entries. What is wrong ends the iteration with an error
// that names file, offset and reason (*CorruptError); one for which errors.Is(err, ErrMissing) says that entries are
// not there any more.
//
// Entries not yet durable are included. To read whatever there is, read from FirstZxid()-1.
func (l *Log) Read(from int64) (*Iterator, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return nil, l.err
	}
	it := &Iterator{l: l, gen: l.truncGen, prev: from, until: from}
	if from >= l.last || len(l.files) == 0 {
		return it, nil
	}
	it.until = l.last
	start := 0
	for i, f := range l.files {
		if f.FirstZxid <= from+1 {
			start = i
		}
	}
	it.files = append(it.files, l.files[start:]...)
	return it, nil
}

// Next moves to the next entry and reports whether there is one.
func (it *Iterator) Next() bool {
	if it.err != nil {
		return false
	}
	found, err := it.advance()
	if err != nil {
		it.err = it.explain(err)
	}
	if !found {
		it.err = errors.Join(it.err, it.Close())
	}
	return found && it.err == nil
}

// Entry returns the entry that Next moved to. The payload is valid until the next call of Next.
func (it *Iterator) Entry() (zxid int64, payload []byte) { return it.prev, it.payload }

// Err returns what ended the iteration early, or nil.
func (it *Iterator) Err() error { return it.err }

// Close ends the iteration early.
func (it *Iterator) Close() error {
	it.files, it.payload = nil, nil
	if it.s == nil {
		return nil
	}
	err := it.s.close()
	it.s = nil
	return err
}

func (it *Iterator) advance() (bool, error) {
	for len(it.files) > 0 {
		if it.s == nil {
			if err := it.open(); err != nil {
				return false, err
			}
		}
		off := it.s.off
		payload, bad, err := it.s.next()
		if err != nil {
			return false, err
		}
		if bad != nil {
			if err := it.endOfFile(bad); err != nil {
				return false, err
			}
			continue
		}
		if found, err := it.take(off, payload); found || err != nil {
			return found, err
		}
	}
	return false, it.checkEnd()
}

func (it *Iterator) open() (err error) {
	info := it.files[0]
	it.s, err = openScanner(it.l.o.FS, it.l.path(info.Name), info.Bytes, it.l.o.EntryBytesMax, it.buf)
	if errors.Is(err, fs.ErrNotExist) {
		return &CorruptError{File: it.l.path(info.Name), Why: "the file is not there any more", missing: true}
	}
	if err == nil {
		// Another file may have come under this name: what was opened is the old one only if that has not begun.
		err = it.explain(nil)
	}
	return err
}

// take makes an entry the current one, unless it is one that was there already: real logs of Java servers repeat some.
func (it *Iterator) take(off int64, payload []byte) (bool, error) {
	if err := checkFirst(&it.files[0], it.s.name, off, payload); err != nil {
		return false, err
	}
	zxid := payloadZxid(payload)
	if zxid <= it.prev {
		return false, nil
	}
	if !zxids.Follows(it.prev, zxid) {
		return false, gap(it.s.name, off, it.prev, zxid)
	}
	it.prev, it.payload = zxid, payload
	return true, nil
}

func gap(path string, off, prev, zxid int64) error {
	return &CorruptError{
		File: path, Offset: off, missing: true,
		Why: fmt.Sprintf("zxid %#x stands where the one after %#x should: entries between them are missing", zxid, prev),
	}
}

// endOfFile goes on to the next file after a clean end or a torn tail. Whether the torn entry is missed shows in the
// next file's first zxid.
func (it *Iterator) endOfFile(bad *damaged) error {
	if it.files[0].whole && bad.off != it.files[0].Bytes {
		return &CorruptError{File: it.s.name, Offset: bad.off, Why: bad.why.Error()}
	}
	if err := it.s.judge(bad, it.prev); err != nil {
		return err
	}
	it.buf = it.s.buf
	err := it.s.close()
	it.s, it.files = nil, it.files[1:]
	return err
}

// checkEnd makes sure that the last entry known when reading began has been read.
func (it *Iterator) checkEnd() error {
	if it.prev >= it.until {
		return nil
	}
	return &CorruptError{
		File: it.l.o.Dir, missing: true,
		Why: fmt.Sprintf("the log ends at zxid %#x and not at %#x: entries are missing", it.prev, it.until),
	}
}

// explain says that the log was truncated, when it was, rather than that what it no longer holds is damaged.
func (it *Iterator) explain(err error) error {
	it.l.mu.Lock()
	defer it.l.mu.Unlock()
	if it.gen != it.l.truncGen {
		return ErrTruncated
	}
	return err
}
