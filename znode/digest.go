package znode

import (
	"bytes"
	"hash/crc32"
	"math/bits"
)

// The digest of the tree (DigestCalculator, version 2) is the sum, modulo
// 2^64, of one CRC-32 per znode over path, data and Stat. It is kept up to
// date by subtracting what a changed znode counted before and adding what it
// counts after. The part over path and data is remembered per znode
// (Info.Prefix), so that a change of Stat alone hashes 60 bytes.

// DigestVersion is the number of this way of hashing, in transactions and
// snapshots.
const DigestVersion = 2

// zookeeperBelow is what the paths of znodes that do not count begin with.
const zookeeperBelow = zookeeperPath + "/"

// DataPrefix returns the CRC-32 (IEEE) of path and data: Info.Prefix. The
// root is hashed with an empty path.
func DataPrefix(path, data []byte) uint32 {
	if len(path) == 1 {
		path = nil
	}
	return crc32.Update(crc32.ChecksumIEEE(path), crc32.IEEETable, data)
}

// NodeDigest returns what a znode adds to the digest of the tree: prefix, its
// [DataPrefix], continued over s. Znodes below /zookeeper add nothing.
func NodeDigest(prefix uint32, s *Stat, path []byte) uint64 {
	if len(path) > len(zookeeperBelow) && bytes.HasPrefix(path, []byte(zookeeperBelow)) {
		return 0
	}
	crc := ^prefix
	crc = crcLong(crc, uint64(s.Czxid))
	crc = crcLong(crc, uint64(s.Mzxid))
	crc = crcLong(crc, uint64(s.Pzxid)) // third here, last in snapshots
	crc = crcLong(crc, uint64(s.Ctime))
	crc = crcLong(crc, uint64(s.Mtime))
	crc = crcLong(crc, uint64(uint32(s.Version))<<32|uint64(uint32(s.Cversion)))
	crc = crcInt(crc, uint32(s.Aversion))
	crc = crcLong(crc, uint64(s.EphemeralOwner))
	return uint64(^crc)
}

// crcTables are for the CRC-32 of eight bytes at a time (slicing by 8). With
// crc32.Update the bytes would have to be laid out in memory, on the heap.
var crcTables = makeCRCTables()

func makeCRCTables() (t [8][256]uint32) {
	t[0] = *crc32.IEEETable
	for i := range 256 {
		crc := t[0][i]
		for j := 1; j < 8; j++ {
			crc = t[0][crc&0xff] ^ crc>>8
			t[j][i] = crc
		}
	}
	return t
}

// crcLong adds the eight bytes of v, big-endian, to an inverted CRC.
func crcLong(crc uint32, v uint64) uint32 {
	t := &crcTables
	crc ^= bits.ReverseBytes32(uint32(v >> 32))
	low := uint32(v)
	return t[0][low&0xff] ^ t[1][low>>8&0xff] ^ t[2][low>>16&0xff] ^ t[3][low>>24] ^
		t[4][crc>>24] ^ t[5][crc>>16&0xff] ^ t[6][crc>>8&0xff] ^ t[7][crc&0xff]
}

// crcInt adds the four bytes of v, big-endian.
func crcInt(crc, v uint32) uint32 {
	t := &crcTables
	crc ^= bits.ReverseBytes32(v)
	return t[0][crc>>24] ^ t[1][crc>>16&0xff] ^ t[2][crc>>8&0xff] ^ t[3][crc&0xff]
}
