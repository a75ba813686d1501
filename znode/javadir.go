package znode

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/flate"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// javaVersionDir is where ZooKeeper keeps its files, below dataDir and
// dataLogDir.
const javaVersionDir = "version-2"

// JavaSnapshotName is the name of the snapshot of zxid.
func JavaSnapshotName(zxid int64) string { return "snapshot." + strconv.FormatUint(uint64(zxid), 16) }

// javaFile is a snapshot or a log with the zxid in its name.
type javaFile struct {
	path string
	zxid int64
}

// javaDir is what the directories of a Java server hold. Files are in
// ascending order of zxid.
type javaDir struct {
	dataDir, logDir string
	snapshots       []javaFile
	logs            []javaFile
}

// readJavaDir lists the files. Directories that do not exist are empty ones.
func readJavaDir(dataDir, logDir string) (*javaDir, error) {
	if logDir == "" {
		logDir = dataDir
	}
	d := &javaDir{dataDir: dataDir, logDir: logDir}
	var misplaced []javaFile
	var err error
	for _, find := range []struct {
		prefix, dir string
		into        *[]javaFile
	}{
		{"snapshot", dataDir, &d.snapshots},
		{"log", logDir, &d.logs},
		{"log", dataDir, &misplaced},
		{"snapshot", logDir, &misplaced},
	} {
		if find.into == &misplaced && sameDir(dataDir, logDir) {
			continue
		}
		files, ferr := javaFiles(filepath.Join(find.dir, javaVersionDir), find.prefix)
		*find.into = append(*find.into, files...)
		err = errors.Join(err, ferr)
	}
	if err == nil && len(misplaced) > 0 {
		err = fmt.Errorf("znode: %s: snapshots belong below dataDir (%s) and logs below dataLogDir (%s); are the two exchanged?",
			misplaced[0].path, dataDir, logDir)
	}
	return d, err
}

func sameDir(a, b string) bool {
	if filepath.Clean(a) == filepath.Clean(b) {
		return true
	}
	ia, erra := os.Stat(a)
	ib, errb := os.Stat(b)
	return erra == nil && errb == nil && os.SameFile(ia, ib)
}

// javaFiles lists prefix.<hex zxid>[.suffix] in ascending order of zxid; other
// names are nobody's business.
func javaFiles(dir, prefix string) ([]javaFile, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("znode: listing a ZooKeeper data directory: %w", err)
	}
	var files []javaFile
	for _, e := range entries {
		parts := strings.Split(e.Name(), ".")
		if len(parts) < 2 || parts[0] != prefix {
			continue
		}
		if zxid, err := strconv.ParseUint(parts[1], 16, 64); err == nil {
			files = append(files, javaFile{filepath.Join(dir, e.Name()), int64(zxid)})
		}
	}
	slices.SortStableFunc(files, func(a, b javaFile) int { return cmp.Compare(a.zxid, b.zxid) })
	return files, nil
}

// javaSnapshotEnd is how an uncompressed snapshot ends: the "/" behind a
// checksum.
var javaSnapshotEnd = []byte{0, 0, 0, 1, '/'}

// checkJavaSnapshot tells whether the file can be a whole snapshot, at the
// price of a look at its ends.
func checkJavaSnapshot(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	want, at := javaSnapshotEnd, int64(0)
	switch filepath.Ext(path) {
	case ".gz":
		want = []byte{0x1f, 0x8b}
	case ".snappy":
		want = javaSnappyMagic
	default:
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if at = info.Size() - int64(len(want)); at < 5 {
			return fmt.Errorf("%s: %w: a snapshot of %d bytes", path, ErrCorrupt, info.Size())
		}
	}
	got := make([]byte, len(want))
	if _, err := f.ReadAt(got, at); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%s: %w: % x at byte %d, a whole snapshot has % x", path, ErrCorrupt, got, at, want)
	}
	return nil
}

// readJavaSnapshotFile is ReadJavaSnapshot for a file whose suffix says how it
// is compressed.
func readJavaSnapshotFile(path string, v JavaSnapshotReader) (t JavaSnapshotTrailer, err error) {
	f, err := os.Open(path)
	if err != nil {
		return t, err
	}
	defer f.Close()
	var r io.Reader = bufio.NewReaderSize(f, javaBufferBytes)
	switch filepath.Ext(path) {
	case ".gz":
		r, err = gzip.NewReader(r)
	case ".snappy":
		r, err = newJavaSnappyReader(r)
	}
	if err == nil {
		t, err = ReadJavaSnapshot(r, v)
	}
	if err == nil {
		return t, nil
	}
	if _, damaged := errors.AsType[flate.CorruptInputError](err); damaged || errors.Is(err, gzip.ErrHeader) ||
		errors.Is(err, gzip.ErrChecksum) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return t, fmt.Errorf("%s: %w", path, err)
}

const (
	javaLogHeaderBytes = 16
	javaLogEntryBytes  = 12 // checksum and length, before the payload
)

// firstUsedLog returns the path of a log that holds at least one entry, or "".
func (d *javaDir) firstUsedLog() (string, error) {
	for _, log := range d.logs {
		used, err := javaLogUsed(log.path)
		if used || err != nil {
			return log.path, err
		}
	}
	return "", nil
}

// javaLogUsed reports whether anything was appended to the log: a length of 0
// is the padding that marks the end.
func javaLogUsed(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var b [javaLogHeaderBytes + javaLogEntryBytes]byte
	if n, err := f.ReadAt(b[:], 0); n < len(b) {
		if errors.Is(err, io.EOF) {
			err = nil // nothing but a header, or less
		}
		return false, err
	}
	return binary.BigEndian.Uint32(b[len(b)-4:]) != 0, nil
}
