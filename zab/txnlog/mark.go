package txnlog

import (
	"encoding/binary"
	"hash/crc32"
)

// A mark stands behind the last entry of a write, after an entry header of zeros, which is where every reader stops:
//
//	12 zeros
//	long end     offset in the file of those zeros, which is the end of the entries
//	long synced  every byte before this offset was durable when the mark was written
//	int  CRC-32  of the 16 bytes before
//	8 bytes      markMagic
//
// A file that gets no more entries is sealed with a mark whose synced is its end, and which can therefore say something
// else in its place: with sealMagic that field is the zxid of the last entry, and from the first entry on none is
// missing and all are of one epoch. So a start need not read the file to know what is in it.
//
// The next write begins at end and so replaces the mark with its own. The mark tells torn from corrupt: damage
// before synced cannot come from a crash, however much it looks like it (see damage in tail.go). It costs no write of
// its own, and it cannot be forged by the data of a client, because it must be the last thing in the file that is not zero.
const (
	markLen   = entryHeaderLen + 28
	markMagic = 0x51756f724d61726b
	sealMagic = 0x51756f725365616c
)

type mark struct {
	end, synced int64
	last        int64 // of a seal: the entries are all zxids from the first to this one, of one epoch; 0: not known
}

func (m mark) append(b []byte) []byte {
	var room [entryHeaderLen]byte
	b = append(b, room[:]...)
	fields := len(b)
	second, magic := m.synced, uint64(markMagic)
	if m.last != 0 {
		second, magic = m.last, sealMagic
	}
	b = binary.BigEndian.AppendUint64(b, uint64(m.end))  //nolint:gosec // offsets are not negative
	b = binary.BigEndian.AppendUint64(b, uint64(second)) //nolint:gosec // as above
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[fields:]))
	return binary.BigEndian.AppendUint64(b, magic)
}

// parseMark reads the mark that stands at offset off, whose bytes are b.
func parseMark(b []byte, off int64) (mark, bool) {
	if len(b) < markLen || !allZero(b[:entryHeaderLen]) {
		return mark{}, false
	}
	f := b[entryHeaderLen:markLen]
	m := mark{end: int64(binary.BigEndian.Uint64(f)), synced: int64(binary.BigEndian.Uint64(f[8:]))} //nolint:gosec // checked below
	magic := binary.BigEndian.Uint64(f[20:])
	if magic == sealMagic {
		m.last, m.synced = m.synced, m.end
	}
	ok := (magic == markMagic || m.last != 0) && binary.BigEndian.Uint32(f[16:]) == crc32.ChecksumIEEE(f[:16])
	return m, ok && m.end == off && m.synced >= fileHeaderLen && m.synced <= off
}

// allZero reports whether b holds zeros only.
func allZero(b []byte) bool {
	for len(b) >= 8 {
		if binary.LittleEndian.Uint64(b) != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
