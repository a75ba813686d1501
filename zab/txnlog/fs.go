package txnlog

import "io"

// FS is what the log needs of a file system. OS returns the real one, NewMemFS one in memory that can crash.
//
// Names are paths as package path/filepath builds them. Creating, renaming and removing are durable only after SyncDir
// of the directory; bytes written are durable only after File.Sync. Errors about a missing or existing file satisfy
// errors.Is with fs.ErrNotExist and fs.ErrExist.
type FS interface {
	// MkdirAll creates a directory and its missing parents, durably.
	MkdirAll(dir string) error
	// List returns the names, without the directory, of what is in dir, sorted.
	List(dir string) ([]string, error)
	// Create makes a new file and opens it for reading and writing. It fails when the name exists.
	Create(name string) (File, error)
	// Open opens an existing file for reading and, when write is set, for writing.
	Open(name string, write bool) (File, error)
	// Rename gives a file another name, replacing what has it.
	Rename(from, to string) error
	// Remove removes a file.
	Remove(name string) error
	// SyncDir makes creations, renames and removals in dir durable.
	SyncDir(dir string) error
}

// File is an open file of an FS.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync makes the bytes, and the size if it is needed to read them, durable (fdatasync).
	Sync() error
	// Truncate sets the size, in bytes.
	Truncate(size int64) error
	// Preallocate grows the file to size bytes of zeros with room on disk reserved for them, where the file system can
	// reserve; it never shrinks a file. When there is no room it fails; the file stays usable, its size then lies
	// anywhere between the old one and the one asked for.
	Preallocate(size int64) error
	// Size returns the size in bytes.
	Size() (int64, error)
}
