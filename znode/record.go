package znode

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"

	"github.com/quorate/quorate/wire"
)

// ErrCorrupt marks data on disk that is not what was written. The message
// says what and where; nothing of it is ever served.
var ErrCorrupt = errors.New("corrupt data")

// A record is laid out as
//
//	checksum  4 bytes, little-endian: CRC-32 of path, data and header
//	header    flags byte, then varints in the order of appendHeader
//	data      to the end
//
// Times and zxids are kept as differences from the creation's, which makes a
// header about 20 bytes. The checksum covers the path too, so a record found
// under another key is noticed.
const (
	recordChecksumBytes = 4
	recordNull          = 1 // flag: data is null, not empty
)

// appendRecord appends the encoding of rec, whose path is needed for the
// checksum. It fails when rec's own Prefix or DataLength does not fit its
// data: then memory is damaged, and the damage must not become durable.
func appendRecord(dst, path []byte, rec *Record) ([]byte, error) {
	prefix := DataPrefix(path, rec.Data)
	if prefix != rec.Prefix || storedLength(rec.Data) != rec.DataLength {
		return dst, fmt.Errorf("znode: %q: %w in memory: checksum %08x and length %d, recorded as %08x and %d",
			path, ErrCorrupt, prefix, storedLength(rec.Data), rec.Prefix, rec.DataLength)
	}
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = appendHeader(dst, rec)
	sum := crc32.Update(prefix, crc32.IEEETable, dst[start+recordChecksumBytes:])
	binary.LittleEndian.PutUint32(dst[start:], sum)
	return append(dst, rec.Data...), nil
}

func appendHeader(dst []byte, rec *Record) []byte {
	var flags byte
	if rec.Data == nil {
		flags |= recordNull
	}
	s := &rec.Stat
	dst = append(dst, flags)
	dst = binary.AppendVarint(dst, s.Czxid)
	dst = binary.AppendVarint(dst, s.Mzxid-s.Czxid)
	dst = binary.AppendVarint(dst, s.Pzxid-s.Czxid)
	dst = binary.AppendVarint(dst, s.Ctime)
	dst = binary.AppendVarint(dst, s.Mtime-s.Ctime)
	dst = binary.AppendVarint(dst, int64(s.Version))
	dst = binary.AppendVarint(dst, int64(s.Cversion))
	dst = binary.AppendVarint(dst, int64(s.Aversion))
	dst = binary.AppendUvarint(dst, uint64(s.EphemeralOwner))
	dst = binary.AppendUvarint(dst, uint64(rec.ACL))
	return binary.AppendVarint(dst, int64(rec.NumChildren))
}

// decodeRecord reads value, the record of path, into rec. Data is appended to
// buf[:0]; the possibly grown buffer is returned.
func decodeRecord(path, value, buf []byte, rec *Record) ([]byte, error) {
	if len(value) < recordChecksumBytes+1 {
		return buf, recordError(path, "too short")
	}
	r := fieldReader{b: value[recordChecksumBytes+1:]}
	r.record(rec)
	if r.bad {
		return buf, recordError(path, "damaged header")
	}
	header := value[recordChecksumBytes : len(value)-len(r.b)]
	rec.Data = nil
	if value[recordChecksumBytes]&recordNull == 0 {
		buf = append(buf[:0], r.b...)
		rec.Data = storedData(buf)
	} else if len(r.b) > 0 {
		return buf, recordError(path, "null with data")
	}
	rec.DataLength, rec.Prefix = storedLength(rec.Data), DataPrefix(path, rec.Data)
	if crc32.Update(rec.Prefix, crc32.IEEETable, header) != binary.LittleEndian.Uint32(value) {
		return buf, recordError(path, "wrong checksum")
	}
	return buf, nil
}

func recordError(path []byte, what string) error {
	return fmt.Errorf("znode: record of %q: %w: %s", path, ErrCorrupt, what)
}

// storedLength is the DataLength of data.
func storedLength(data []byte) int32 {
	if data == nil {
		return -1
	}
	return int32(len(data))
}

// fieldReader takes varints off the front of b. After the first fault all it
// returns is zero and bad is set.
type fieldReader struct {
	b   []byte
	bad bool
}

func (r *fieldReader) record(rec *Record) {
	s := &rec.Stat
	s.Czxid = r.varint()
	s.Mzxid = s.Czxid + r.varint()
	s.Pzxid = s.Czxid + r.varint()
	s.Ctime = r.varint()
	s.Mtime = s.Ctime + r.varint()
	s.Version, s.Cversion, s.Aversion = r.int32(), r.int32(), r.int32()
	s.EphemeralOwner = int64(r.uvarint())
	rec.ACL = ACLID(r.uint32())
	rec.NumChildren = r.int32()
}

func (r *fieldReader) varint() int64 {
	v, n := binary.Varint(r.b)
	return int64(r.took(uint64(v), n))
}

func (r *fieldReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	return r.took(v, n)
}

func (r *fieldReader) took(v uint64, n int) uint64 {
	if n <= 0 || r.bad {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *fieldReader) int32() int32 {
	v := r.varint()
	r.bad = r.bad || v != int64(int32(v))
	return int32(v)
}

func (r *fieldReader) uint32() uint32 {
	v := r.uvarint()
	r.bad = r.bad || v != uint64(uint32(v))
	return uint32(v)
}

// count reads the length of a list whose elements take at least elementBytes,
// so that a damaged length allocates nothing.
func (r *fieldReader) count(elementBytes int) int {
	n := r.uvarint()
	if n > uint64(len(r.b)/elementBytes) {
		r.bad = true
	}
	if r.bad {
		return 0
	}
	return int(n)
}

func (r *fieldReader) string() string {
	n := r.count(1)
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

// appendMeta appends the encoding of m: a CRC-32 of the rest, then varints.
// Sessions and lists are sorted by id, so equal metas are equal bytes.
func appendMeta(dst []byte, m *Meta) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.AppendVarint(dst, m.Zxid)
	dst = binary.BigEndian.AppendUint64(dst, m.Digest)
	dst = binary.AppendVarint(dst, m.NodeCount)
	dst = binary.AppendVarint(dst, m.DataBytes)
	dst = binary.AppendUvarint(dst, uint64(len(m.Sessions)))
	for _, id := range slices.Sorted(maps.Keys(m.Sessions)) {
		dst = binary.BigEndian.AppendUint64(dst, uint64(id))
		dst = binary.AppendVarint(dst, int64(m.Sessions[id]))
	}
	dst = binary.AppendUvarint(dst, uint64(len(m.ACLs)))
	for _, id := range slices.Sorted(maps.Keys(m.ACLs)) {
		dst = appendACLEntry(dst, id, m.ACLs[id])
	}
	if m.WholeFrom != 0 {
		dst = binary.AppendVarint(dst, m.WholeFrom)
	}
	sum := crc32.ChecksumIEEE(dst[start+recordChecksumBytes:])
	binary.LittleEndian.PutUint32(dst[start:], sum)
	return dst
}

func appendACLEntry(dst []byte, id ACLID, e ACLEntry) []byte {
	dst = binary.AppendUvarint(dst, uint64(id))
	dst = binary.AppendVarint(dst, e.Refs)
	dst = binary.AppendUvarint(dst, uint64(len(e.ACL)))
	for _, a := range e.ACL {
		dst = binary.AppendVarint(dst, int64(a.Perms))
		dst = append(binary.AppendUvarint(dst, uint64(len(a.ID.Scheme))), a.ID.Scheme...)
		dst = append(binary.AppendUvarint(dst, uint64(len(a.ID.ID))), a.ID.ID...)
	}
	return dst
}

// decodeMeta reads what appendMeta wrote.
func decodeMeta(value []byte) (Meta, error) {
	if len(value) < recordChecksumBytes ||
		crc32.ChecksumIEEE(value[recordChecksumBytes:]) != binary.LittleEndian.Uint32(value) {
		return Meta{}, fmt.Errorf("znode: metadata of the tree: %w: wrong checksum", ErrCorrupt)
	}
	r := fieldReader{b: value[recordChecksumBytes:]}
	m := Meta{
		Zxid: r.varint(), Digest: r.fixed64(), NodeCount: r.varint(), DataBytes: r.varint(),
		Sessions: r.sessions(), ACLs: r.aclTable(),
	}
	if len(r.b) > 0 {
		m.WholeFrom = r.varint()
	}
	if r.bad || len(r.b) > 0 {
		return Meta{}, fmt.Errorf("znode: metadata of the tree: %w: damaged fields", ErrCorrupt)
	}
	return m, nil
}

func (r *fieldReader) fixed64() uint64 {
	if len(r.b) < 8 {
		r.bad = true
		return 0
	}
	return r.took(binary.BigEndian.Uint64(r.b), 8)
}

func (r *fieldReader) sessions() map[int64]int32 {
	n := r.count(9)
	m := make(map[int64]int32, n)
	for ; n > 0 && !r.bad; n-- {
		id := int64(r.fixed64())
		m[id] = r.int32()
	}
	return m
}

func (r *fieldReader) aclTable() map[ACLID]ACLEntry {
	n := r.count(3)
	m := make(map[ACLID]ACLEntry, n)
	for ; n > 0 && !r.bad; n-- {
		id := ACLID(r.uint32())
		m[id] = ACLEntry{Refs: r.varint(), ACL: r.acl()}
	}
	return m
}

func (r *fieldReader) acl() []wire.ACL {
	n := r.count(3)
	acl := make([]wire.ACL, 0, n)
	for ; n > 0 && !r.bad; n-- {
		acl = append(acl, wire.ACL{Perms: r.int32(), ID: wire.ID{Scheme: r.string(), ID: r.string()}})
	}
	return acl
}
