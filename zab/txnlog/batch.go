package txnlog

import (
	"encoding/binary"
	"fmt"

	"github.com/quorate/quorate/zab/zxids"
)

// batchBytesKept is the largest buffer, in bytes, that Reset keeps for the next round.
const batchBytesKept = 16 << 20

// Batch gathers transactions that are to be written together. Each is encoded straight into the bytes that go to the
// file: Begin returns the buffer, the caller appends the payload, End completes the entry. The zero Batch is empty
// and ready. A Batch belongs to one goroutine at a time; it allocates nothing once it has grown to its usual size.
type Batch struct {
	buf     []byte
	entries []batchEntry
}

type batchEntry struct {
	zxid     int64
	off, len int // of the payload in buf
}

// Begin starts an entry: append the payload to the slice it returns and give the result to End. Beginning again
// without End forgets what was begun.
func (b *Batch) Begin() []byte {
	var room [entryHeaderLen]byte
	return append(b.buf, room[:]...)
}

// End completes the entry begun last; buf is what Begin returned, extended by the payload, whose TxnHeader must carry
// zxid. It panics when that is not so: the caller would write a history that it cannot read back.
func (b *Batch) End(buf []byte, zxid int64) {
	start := len(b.buf)
	payload := buf[start+entryHeaderLen:]
	if len(payload) < txnHeaderLen || payloadZxid(payload) != zxid {
		panic(fmt.Sprintf("txnlog: payload of %d bytes is not a transaction with zxid %#x", len(payload), zxid))
	}
	binary.BigEndian.PutUint64(buf[start:], uint64(adler32(payload)))
	binary.BigEndian.PutUint32(buf[start+8:], uint32(len(payload))) //nolint:gosec // Append refuses what is too long
	b.entries = append(b.entries, batchEntry{zxid, start + entryHeaderLen, len(payload)})
	b.buf = append(buf, entryEnd)
}

// Len returns the number of entries.
func (b *Batch) Len() int { return len(b.entries) }

// Bytes returns how many bytes the entries take in the file.
func (b *Batch) Bytes() int { return len(b.buf) }

// Entry returns zxid and payload of entry i. The payload is the batch's own memory, valid until Reset.
func (b *Batch) Entry(i int) (zxid int64, payload []byte) {
	e := b.entries[i]
	return e.zxid, b.buf[e.off : e.off+e.len : e.off+e.len]
}

// Reset empties the batch and keeps its memory for the next round, unless it grew far beyond the usual.
func (b *Batch) Reset() {
	b.entries = b.entries[:0]
	b.buf = b.buf[:0]
	if cap(b.buf) > batchBytesKept {
		b.buf = nil
	}
}

// marked returns the entries' bytes followed by the mark, in the batch's own memory.
func (b *Batch) marked(m mark) []byte {
	n := len(b.buf)
	buf := m.append(b.buf)
	b.buf = buf[:n]
	return buf
}

func (b *Batch) last() int64 { return b.entries[len(b.entries)-1].zxid }

// check reports why the entries may not be written after the zxid prev, or nil.
func (b *Batch) check(prev int64, payloadMax int) error {
	for i, e := range b.entries {
		if e.len > payloadMax {
			return fmt.Errorf("%w: zxid %#x has %d bytes, the limit is %d", ErrTooLong, e.zxid, e.len, payloadMax)
		}
		if !zxids.Follows(prev, e.zxid) {
			return fmt.Errorf("%w: entry %d of the batch has zxid %#x after %#x", ErrNotConsecutive, i, e.zxid, prev)
		}
		prev = e.zxid
	}
	return nil
}
