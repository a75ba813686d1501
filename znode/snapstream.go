package znode

import (
	"bufio"
	"fmt"
	"io"
	"os"

	"github.com/quorate/quorate/wire"
)

// snapStreamEnd is the last field of a snapshot on its way from a leader to a
// learner (LearnerHandler and Learner of ZooKeeper).
const snapStreamEnd = "BenWasHere"

// WriteSnapStream writes the view as a leader sends it behind a SNAP packet: a
// snapshot file without header, checksums and digest, and a signature at the
// end. Memory does not depend on the tree. An error of w ends it at once.
func WriteSnapStream(w io.Writer, view Snapshot) error {
	m, err := view.Meta()
	if err != nil {
		return err
	}
	out := &javaWriter{w: bufio.NewWriterSize(w, javaBufferBytes)}
	out.tables(&m)
	if err := view.Walk(out.node); err != nil {
		return err
	}
	out.put(wire.AppendString(wire.AppendString(nil, "/"), snapStreamEnd))
	if out.err != nil {
		return out.err
	}
	return out.w.Flush()
}

// SnapStreamResult says what [ReadSnapStream] has written.
type SnapStreamResult struct {
	// Meta is what the backend holds now.
	Meta Meta
	// UnknownACLs counts znodes whose access control list the stream does not
	// have, and FirstUnknown is one of them: a Java leader writes the lists
	// first and goes on meanwhile. Until the transactions behind the snapshot
	// say what the lists are, only super may use these znodes.
	UnknownACLs  int
	FirstUnknown string
}

// ReadSnapStream fills a backend that has never been written from a stream of
// WriteSnapStream or a Java leader, whatever its order of siblings, and not one
// byte of r is read behind the end of the stream. r should be buffered. zxid is
// what the leader stamped the snapshot with; znodes may be newer.
//
// All of the stream becomes the first checkpoint, durably, or nothing does.
// Memory depends on the number of sessions and access control lists and on the
// largest znode (256 MiB at most), not on the number of znodes, nor on what a
// length field claims; the disk takes the snapshot twice for a while. Errors
// that are due to the contents are [ErrCorrupt] and say at which byte.
func ReadSnapStream(r io.Reader, zxid int64, into Backend) (SnapStreamResult, error) {
	if _, found, err := into.Meta(); err != nil || found {
		if found {
			err = fmt.Errorf("znode: receiving a snapshot: the tree for it is %w", ErrNotEmpty)
		}
		return SnapStreamResult{}, err
	}
	dir, err := os.MkdirTemp(importTempDir(ImportOptions{}, into), "quorate-receive-")
	if err != nil {
		return SnapStreamResult{}, fmt.Errorf("znode: receiving a snapshot: %w", err)
	}
	defer os.RemoveAll(dir)
	imp := newJavaImport(dir)
	if err := readSnapStream(r, imp); err != nil {
		return SnapStreamResult{}, fmt.Errorf("znode: receiving a snapshot: %w", err)
	}
	imp.stamp(zxid)
	if err := imp.checkpoint(into); err != nil {
		return SnapStreamResult{}, fmt.Errorf("znode: receiving a snapshot: %w", err)
	}
	return SnapStreamResult{Meta: imp.meta, UnknownACLs: imp.unknown, FirstUnknown: imp.firstUnknown}, nil
}

// readSnapStream decodes a stream and checks its form.
func readSnapStream(from io.Reader, v JavaSnapshotReader) error {
	r := newExactReader(from)
	r.snapshotBody(v)
	n := r.int()
	if r.err == nil && int(n) != len(snapStreamEnd) {
		r.fail(fmt.Errorf("%w: a signature of %d bytes", ErrCorrupt, n))
	}
	if got := r.take(len(snapStreamEnd)); r.err == nil && string(got) != snapStreamEnd {
		r.fail(fmt.Errorf("%w: signature %q at the end", ErrCorrupt, got))
	}
	return r.err
}
