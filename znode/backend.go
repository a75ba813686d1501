package znode

import (
	"bytes"

	"github.com/quorate/quorate/wire"
)

// Record is a znode at rest.
type Record struct {
	Info
	Data []byte // nil is null
}

// Meta describes a checkpoint: everything of the database that is not a
// znode. It becomes durable in one step with the nodes it goes with.
type Meta struct {
	Zxid      int64 // last transaction the checkpoint contains
	Digest    uint64
	NodeCount int64           // znodes, the root counted once
	DataBytes int64           // sum of path and data lengths (approximate_data_size)
	Sessions  map[int64]int32 // id -> timeout, ms
	ACLs      map[ACLID]ACLEntry
	// WholeFrom is the zxid from which on Digest is right again, if that is after
	// Zxid: a snapshot that a Java server writes while it goes on contains some of
	// what comes after its zxid. 0 otherwise.
	WholeFrom int64
}

// ACLEntry is one list of the table and how many znodes use it.
type ACLEntry struct {
	ACL  []wire.ACL
	Refs int64
}

// Change is one znode that differs from the last checkpoint.
type Change struct {
	Path    []byte
	Deleted bool
	// Record is the new state unless Deleted; then it is not looked at. Its
	// DataLength and Prefix must agree with Path and Data.
	Record Record
}

// Backend holds the tree at rest, as of one zxid: the checkpoint.
//
// Get, Children and Owned may be called from any goroutine, also while a
// Checkpoint runs; each sees one checkpoint or the next, whole.
type Backend interface {
	// Meta returns the last checkpoint's metadata; found is false on a backend
	// that has never been written.
	Meta() (m Meta, found bool, err error)
	// Get reads the znode at path into rec; Data is appended to buf[:0], or is
	// nil. It returns the possibly grown buffer.
	Get(path, buf []byte, rec *Record) (found bool, out []byte, err error)
	// Children calls fn with the name of every child of path, in byte order,
	// until fn returns false. It does not read their records.
	Children(path []byte, fn func(name []byte) bool) error
	// Owned calls fn, in the order of CompareKeys and until fn returns false,
	// for every znode whose EphemeralOwner is not 0: ephemeral, container and
	// TTL nodes.
	Owned(fn func(owner int64, path []byte) bool) error
	// Checkpoint replaces the tree by the one that changes lead to, in one
	// durable step: after a crash either all of it is there or none. next
	// yields the changes in ascending order of [CompareKeys]; the slices of a
	// Change are valid until the following call. An error of next is returned
	// as it is and leaves the last checkpoint in place. One Checkpoint runs at
	// a time.
	Checkpoint(m Meta, next func(*Change) (more bool, err error)) error
	// Snapshot returns a consistent view that does not change; Close it.
	Snapshot() (Snapshot, error)
	// DiskBytes is the space used on disk.
	DiskBytes() int64
	Close() error
}

// Snapshot is a view of one checkpoint for reading at leisure: exports,
// backups, snapshots for lagging peers.
type Snapshot interface {
	Meta() (Meta, error)
	// Walk visits every znode in the order of [CompareKeys]: the root first,
	// every parent before its children, siblings side by side by name. path
	// and rec are valid until fn returns; its error ends the walk and is
	// returned. The order is the one Checkpoint takes, so one backend's walk
	// can fill another.
	Walk(fn func(path []byte, rec *Record) error) error
	Close() error
}

// SplitPath divides an absolute path into its parent and its last component.
// The root has parent "" and name "".
func SplitPath(path []byte) (parent, name []byte) {
	if len(path) <= 1 {
		return nil, nil
	}
	i := len(path) - 1
	for i > 0 && path[i] != '/' {
		i--
	}
	if i == 0 {
		return path[:1], path[1:]
	}
	return path[:i], path[i+1:]
}

// CompareKeys orders paths as the backend keeps them: by parent path, then by
// name, so that the children of one znode lie side by side. The root is first.
func CompareKeys(a, b []byte) int {
	pa, na := SplitPath(a)
	pb, nb := SplitPath(b)
	if c := bytes.Compare(pa, pb); c != 0 {
		return c
	}
	return bytes.Compare(na, nb)
}
