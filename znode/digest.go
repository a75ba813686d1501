package znode

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
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

// statDigestBytes is the length of a Stat as it is hashed.
const statDigestBytes = 60

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
	var b [statDigestBytes]byte
	binary.BigEndian.PutUint64(b[0:], uint64(s.Czxid))
	binary.BigEndian.PutUint64(b[8:], uint64(s.Mzxid))
	binary.BigEndian.PutUint64(b[16:], uint64(s.Pzxid)) // third here, last in snapshots
	binary.BigEndian.PutUint64(b[24:], uint64(s.Ctime))
	binary.BigEndian.PutUint64(b[32:], uint64(s.Mtime))
	binary.BigEndian.PutUint32(b[40:], uint32(s.Version))
	binary.BigEndian.PutUint32(b[44:], uint32(s.Cversion))
	binary.BigEndian.PutUint32(b[48:], uint32(s.Aversion))
	binary.BigEndian.PutUint64(b[52:], uint64(s.EphemeralOwner))
	return uint64(crc32.Update(prefix, crc32.IEEETable, b[:]))
}
