package txnlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The layout of a log file: a header, then entries of
//
//	long checksum   Adler-32 of the payload alone
//	int  length     of the payload; 0 is the end of the log
//	payload         TxnHeader, transaction record, perhaps a TxnDigest
//	byte 0x42
//
// then zeros, in which at +12 a mark may stand (mark.go), up to the end of the file. All integers are big-endian.
const (
	fileMagic      = 0x5a4b4c47 // "ZKLG"
	fileVersion    = 2
	fileHeaderLen  = 16
	entryHeaderLen = 12
	entryEnd       = 0x42
	txnHeaderLen   = 32 // long clientId, int cxid, long zxid, long time, int type
	zxidOffset     = 12 // in the payload
	entryLenMin    = entryHeaderLen + txnHeaderLen + 1

	logPrefix = "log."
	// stagedPrefix names files that may come to be the log, see Log.Stage; nobody takes them for a log's.
	stagedPrefix = "staged."
	// AsidePrefix begins the names of files that are put aside, see Options.AsideThrough; nobody takes them for a log's.
	AsidePrefix = "disused-"
)

// EntryBytesMaxDefault is the longest payload, in bytes, written and believed when read unless Options say otherwise. It is
// far above what requests can bring (jute.maxbuffer), because the servers' own transactions can be longer: the closing
// of a session lists the path of every ephemeral it had, and a log that refused it would stop the server.
const EntryBytesMaxDefault = 64 << 20

// EntryBytesMaxJava is the longest payload, in bytes, that a Java server with default settings reads back: twice the
// default of jute.maxbuffer. A leader of Java followers must propose none longer.
const EntryBytesMaxJava = 2 * 0xfffff

// CorruptError says that a log holds what no crash explains, or misses what it should hold: the server must not
// go on as if nothing had happened. Compare with errors.As.
type CorruptError struct {
	File   string // path of the file
	Offset int64  // in bytes, of the entry or header that is wrong
	Why    string // what was found there

	missing bool
}

// Error names file, offset and reason.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("transaction log corrupt: %s at offset %d: %s", e.File, e.Offset, e.Why)
}

// Is makes errors.Is(err, ErrMissing) true when the fault is that entries are not there.
func (e *CorruptError) Is(target error) bool {
	return e.missing && target == ErrMissing //nolint:errorlint // that is what Is is for
}

func fileHeader() []byte {
	b := binary.BigEndian.AppendUint32(nil, fileMagic)
	b = binary.BigEndian.AppendUint32(b, fileVersion)
	return binary.BigEndian.AppendUint64(b, 0)
}

// checkFileHeader looks at the magic only, as ZooKeeper does: version and dbid differ between writers.
func checkFileHeader(b []byte) error {
	if len(b) < fileHeaderLen {
		return fmt.Errorf("file of %d bytes is shorter than its header", len(b))
	}
	if m := binary.BigEndian.Uint32(b); m != fileMagic {
		return fmt.Errorf("magic %#08x is not that of a transaction log (%#08x)", m, uint32(fileMagic))
	}
	return nil
}

// payloadZxid reads the zxid of a payload of at least txnHeaderLen bytes.
func payloadZxid(payload []byte) int64 {
	return int64(binary.BigEndian.Uint64(payload[zxidOffset:])) //nolint:gosec // bits
}

func entryLen(payloadLen int) int {
	return entryHeaderLen + payloadLen + 1
}

var errEndOfLog = errors.New("an entry header of zeros, which ends the log")

// entryHeader reads checksum and payload length from the first entryHeaderLen bytes of b; the length is checked
// against what an entry can have, so that nothing is sized or skipped by a damaged one.
func entryHeader(b []byte, payloadMax int) (sum uint64, payloadLen int, err error) {
	sum = binary.BigEndian.Uint64(b)
	n := int32(binary.BigEndian.Uint32(b[8:])) //nolint:gosec // Java's int
	switch {
	case n == 0 && sum == 0:
		return 0, 0, errEndOfLog
	case n < txnHeaderLen:
		return sum, 0, fmt.Errorf("entry length %d is below the %d bytes of a TxnHeader", n, txnHeaderLen)
	case int(n) > payloadMax:
		return sum, 0, fmt.Errorf("entry length %d is above the limit of %d bytes", n, payloadMax)
	}
	return sum, int(n), nil
}

// checkEntry checks end byte and checksum of a whole entry.
func checkEntry(entry []byte, sum uint64) error {
	last := len(entry) - 1
	payload := entry[entryHeaderLen:last]
	if got := uint64(adler32(payload)); got != sum {
		return fmt.Errorf("checksum of the entry is %#x, its payload has %#x", sum, got)
	}
	if entry[last] != entryEnd {
		return fmt.Errorf("entry ends in byte %#02x and not in %#02x", entry[last], entryEnd)
	}
	return nil
}

// fileName names the file whose first entry has this zxid.
func fileName(zxid int64) string { return prefixedName(logPrefix, zxid) }

func prefixedName(prefix string, zxid int64) string { return prefix + strconv.FormatInt(zxid, 16) }

// parseFileName returns the zxid that the name of a file with this prefix carries; other names are not of the log and
// not ok.
func parseFileName(prefix, name string) (zxid int64, ok bool) {
	hex, found := strings.CutPrefix(name, prefix)
	if !found || hex == "" || hex[0] == '+' || hex[0] == '-' {
		return 0, false
	}
	zxid, err := strconv.ParseInt(hex, 16, 64)
	return zxid, err == nil
}
