package znode

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The layout of a manifest, which is Pebble's as well as LevelDB's: blocks of 32 KiB, in
// which chunks lie, each of checksum (4 bytes), length (2), type (1) and payload. A record
// is one chunk or several.
const (
	manifestBlockBytes  = 32 << 10
	manifestHeaderBytes = 7
	manifestTypeMax     = 4 // full, first, middle, last
	manifestBytesMax    = 1 << 30
)

// checkManifest refuses a manifest with a damaged record in its midst. Pebble takes the
// first one that it cannot read for the end, as after a crash, opens the tree as it was
// before, perhaps as empty, and removes the tables that came later. A crash damages only
// the last record, since each is synced before the next.
func checkManifest(fsys vfs.FS, path string) (err error) {
	f, err := fsys.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	b, err := io.ReadAll(io.LimitReader(f, manifestBytesMax))
	if err != nil {
		return err
	}
	at := 0
	for at < len(b) {
		next := manifestChunkEnd(b, at)
		if next < 0 {
			break
		}
		at = next
	}
	for p := at + 1; p+manifestHeaderBytes <= len(b); p++ {
		if p%manifestBlockBytes <= manifestBlockBytes-manifestHeaderBytes && manifestChunkEnd(b, p) >= 0 {
			return &damageError{file: path, cause: fmt.Errorf("the record at byte %d is damaged, and there is a whole one at byte %d", at, p)}
		}
	}
	return nil
}

// manifestChunkEnd returns where the chunk at byte at of the file ends, -1 when none is
// there. The rest of a block that has no room for a header counts as one.
func manifestChunkEnd(b []byte, at int) int {
	block := at - at%manifestBlockBytes + manifestBlockBytes
	if block-at < manifestHeaderBytes {
		return block
	}
	if at+manifestHeaderBytes > len(b) {
		return -1
	}
	kind, end := b[at+6], at+manifestHeaderBytes+int(binary.LittleEndian.Uint16(b[at+4:]))
	if kind == 0 || kind > manifestTypeMax || end > min(block, len(b)) {
		return -1
	}
	c := crc32.Checksum(b[at+6:end], castagnoli)
	if (c>>15|c<<17)+0xa282ead8 != binary.LittleEndian.Uint32(b[at:]) { // as LevelDB masks it
		return -1
	}
	return end
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)
