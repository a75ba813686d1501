package txnlog

import (
	"errors"
	"fmt"
)

// sectorLen is the unit, in bytes, in which disks write whole or not at all. File systems lose whole pages, which
// are several of these.
const sectorLen = 512

// verdict is what stands where no whole entry does.
type verdict int

const (
	cleanEnd verdict = iota // the end of the log: zeros, or a mark, or the end of the file
	tornTail                // a write that a crash cut short: none of it was durable, so none was acknowledged
	corrupt                 // neither
)

// examiner decides what the damage at one place of a file means.
//
// The problem: writes go out in batches, and after a power loss any of the sectors of the last batch may be missing while
// others, later ones too, are there. Such an entry looks like one in which a byte went bad, except that it is not
// acknowledged and must be cut, while the other one is acknowledged, and everything behind it too, and must not be.
//
// What tells them apart: the bytes of a lost sector are what they were before, zeros (but for the mark of the write
// before); and damage in what a mark calls synced is never torn. So damage is torn only where it was not yet called
// synced and a lost sector, or the end of all that was written, is there to be seen. Everything else is corruption.
type examiner struct {
	f          File
	size       int64
	payloadMax int
	bad        damaged
	prev       int64 // zxid of the last whole entry before
	lastByte   int64 // offset of the last byte in the file that is not zero, -1 when there is none behind bad.off
}

// examine looks at the damage of s, whose last whole entry has zxid prev.
func (s *scanner) examine(bad *damaged, prev int64) (verdict, error) {
	e := &examiner{f: s.f, size: s.end, payloadMax: s.payloadMax, bad: *bad, prev: prev}
	var err error
	if e.lastByte, err = lastNonZero(s.f, bad.off, s.end); err != nil {
		return corrupt, fmt.Errorf("read the end of %s: %w", s.name, err)
	}
	v, err := e.verdict()
	if err != nil {
		return corrupt, fmt.Errorf("read %s around offset %d: %w", s.name, bad.off, err)
	}
	return v, nil
}

func (e *examiner) verdict() (verdict, error) {
	if e.lastByte < 0 {
		return cleanEnd, nil
	}
	m, marked, err := e.markAt(e.lastByte + 1 - markLen)
	switch {
	case err != nil:
		return corrupt, err
	case marked && m.end == e.bad.off:
		return cleanEnd, nil
	case marked && e.bad.off < m.synced:
		return corrupt, nil
	case marked:
		return e.lostSector(m.end)
	case e.lastByte < e.bad.off+markLen:
		// Too short for an entry: the first bytes of one, or a mark that was not written in full.
		return tornTail, nil
	}
	if v, err := e.lostSector(e.lastByte + 1); v == tornTail || err != nil {
		return v, err
	}
	return e.cutShort()
}

// markAt reads the mark at off, if one is there.
func (e *examiner) markAt(off int64) (mark, bool, error) {
	if off < e.bad.off {
		return mark{}, false, nil
	}
	b, err := readUpTo(e.f, off, min(off+markLen, e.size))
	if err != nil {
		return mark{}, false, err
	}
	m, ok := parseMark(b, off)
	return m, ok, nil
}

// lostSector looks for a sector of the damaged entry that is as it was before the entry was written. end bounds what
// was written.
func (e *examiner) lostSector(end int64) (verdict, error) {
	if e.bad.claimed > 0 {
		end = min(end, e.bad.claimed)
	} else {
		end = min(end, e.bad.off+entryHeaderLen)
	}
	for start := e.bad.off; start < end; {
		next := start - start%sectorLen + sectorLen
		b, err := readUpTo(e.f, start, min(next, e.size))
		if err != nil {
			return corrupt, err
		}
		if e.asBefore(b, start) {
			return tornTail, nil
		}
		start = next
	}
	return corrupt, nil
}

// asBefore reports whether the bytes from start to the end of a sector are what a write beginning at the damaged entry
// found there: zeros, and in their midst perhaps the mark of the write before.
func (e *examiner) asBefore(b []byte, start int64) bool {
	// The first four bytes of every entry are zero: a sector that has no more of it proves nothing.
	if start == e.bad.off && len(b) <= 4 {
		return false
	}
	markFrom := min(max(e.bad.off+entryHeaderLen-start, 0), int64(len(b)))
	markTo := min(max(e.bad.off+markLen-start, 0), int64(len(b)))
	rest := int64(len(b)) - (markTo - markFrom)
	return rest > 0 && allZero(b[:markFrom]) && allZero(b[markTo:])
}

// cutShort reports a torn tail when the entry was to be longer than all that is there, and what is there is not whole
// entries up to the last byte, which would mean that only the length of this one is wrong.
func (e *examiner) cutShort() (verdict, error) {
	if e.bad.claimed == 0 || e.lastByte >= e.bad.claimed-1 {
		return corrupt, nil
	}
	// The next entry, if there is one, begins within the longest that this one can be.
	to := min(e.lastByte+1, e.bad.off+2*int64(entryLen(e.payloadMax)))
	b, err := readUpTo(e.f, e.bad.off, to)
	if err != nil {
		return corrupt, err
	}
	work := chainBytesMax
	for i := entryLenMin; i < len(b); i++ {
		if e.chain(b[i:], to <= e.lastByte, &work) || work < 0 {
			return corrupt, nil
		}
	}
	return tornTail, nil
}

// chainBytesMax bounds the bytes summed in looking for entries behind a damaged one: payloads full of false entry
// headers must not keep a server from starting.
const chainBytesMax = 1 << 30

// chain reports whether b is whole entries to its end, or to where more bytes would be needed when b was cut off.
func (e *examiner) chain(b []byte, cutOff bool, work *int) bool {
	for prev := e.prev; len(b) > 0; {
		if len(b) < entryLenMin {
			return cutOff && prev != e.prev
		}
		sum, n, err := entryHeader(b, e.payloadMax)
		if err != nil || sum>>32 != 0 || payloadZxid(b[entryHeaderLen:]) <= prev {
			return false
		}
		if len(b) < entryLen(n) {
			return cutOff && prev != e.prev
		}
		if b[entryLen(n)-1] != entryEnd {
			return false
		}
		*work -= n
		if *work < 0 || checkEntry(b[:entryLen(n)], sum) != nil {
			return false
		}
		prev, b = payloadZxid(b[entryHeaderLen:]), b[entryLen(n):]
	}
	return true
}

// lastNonZero returns the offset of the last byte that is not zero in [from, to), or -1.
func lastNonZero(f File, from, to int64) (int64, error) {
	const step = 64 << 10
	for to > from {
		start := max(from, to-step)
		b, err := readUpTo(f, start, to)
		if err != nil {
			return 0, err
		}
		for i := len(b) - 1; !allZero(b); i-- {
			if b[i] != 0 {
				return start + int64(i), nil
			}
		}
		to = start
	}
	return -1, nil
}

// readUpTo returns the bytes of the file in [from, to), which must be there.
func readUpTo(f File, from, to int64) ([]byte, error) {
	if to <= from {
		return nil, nil
	}
	b := make([]byte, to-from)
	if n, err := f.ReadAt(b, from); n < len(b) {
		return nil, errors.Join(fmt.Errorf("%d of %d bytes at offset %d", n, len(b), from), err)
	}
	return b, nil
}
