package znode

import (
	"errors"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// manifestFS makes the name of a manifest durable as soon as it is created,
// and has sstables written in large pieces.
//
// Pebble creates a manifest and then the marker file that points to it, and
// syncs the directory once for both names. A crash before that sync may leave
// the marker alone on a file system that does not keep the order of such
// changes, and then the store would not open again. It happens at every open,
// so it is worth one more sync.
type manifestFS struct{ vfs.FS }

// Create implements [vfs.FS].
func (m manifestFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := m.FS.Create(name, category)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(name, ".sst") {
		return &pieceFile{File: f}, nil
	}
	if !strings.HasPrefix(m.PathBase(name), "MANIFEST-") {
		return f, nil
	}
	if err := syncDir(m.FS, m.PathDir(name)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Unwrap implements [vfs.FS].
func (m manifestFS) Unwrap() vfs.FS { return m.FS }

// pieceBytes is how much of an sstable is gathered before it is written.
const pieceBytes = 64 << 10

// pieceFile gathers what is written to a file. Pebble writes an sstable 4 KiB
// at a time, and so many system calls were a fifth of what a checkpoint and the
// compactions behind it cost. One goroutine writes, and nobody reads before the
// file is closed.
type pieceFile struct {
	vfs.File
	buf []byte
}

// Write implements [vfs.File].
func (f *pieceFile) Write(p []byte) (int, error) {
	if f.buf == nil {
		f.buf = make([]byte, 0, pieceBytes)
	}
	if len(f.buf)+len(p) > cap(f.buf) {
		if err := f.flush(); err != nil {
			return 0, err
		}
	}
	if len(p) > cap(f.buf) {
		return f.File.Write(p)
	}
	f.buf = append(f.buf, p...)
	return len(p), nil
}

func (f *pieceFile) flush() error {
	if len(f.buf) == 0 {
		return nil
	}
	_, err := f.File.Write(f.buf)
	f.buf = f.buf[:0]
	return err
}

// Sync implements [vfs.File].
func (f *pieceFile) Sync() error {
	if err := f.flush(); err != nil {
		return err
	}
	return f.File.Sync()
}

// SyncData implements [vfs.File].
func (f *pieceFile) SyncData() error {
	if err := f.flush(); err != nil {
		return err
	}
	return f.File.SyncData()
}

// Close implements [vfs.File].
func (f *pieceFile) Close() error { return errors.Join(f.flush(), f.File.Close()) }
