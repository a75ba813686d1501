package znode

import (
	"bufio"
	"fmt"
	"hash"
	"hash/adler32"
	"io"
	"maps"
	"slices"

	"github.com/quorate/quorate/wire"
)

const (
	javaSnapshotMagic   = 0x5a4b534e // "ZKSN"
	javaSnapshotVersion = 2
	javaSnapshotDBID    = -1
	// javaOpenACL is the id of the open list in snapshots; it is not in their
	// table.
	javaOpenACL = -1
)

// ZxidDigest is the digest that a Java snapshot carries: that of the tree when
// the snapshot was complete. The nodes in the file may be of any zxid between
// the one in its name and this one, so the two can be compared when replay has
// reached Zxid, or at once when Zxid is the snapshot's own.
type ZxidDigest struct {
	Zxid    int64
	Version int32 // of the algorithm; only DigestVersion compares with Meta.Digest
	Digest  uint64
}

// JavaSnapshotReader receives the parts of a snapshot in the order of the
// file: sessions, lists, znodes. Any error of a method ends the reading and is
// returned. Slices are valid until the method returns.
type JavaSnapshotReader interface {
	Session(id int64, timeoutMs int32) error
	// ACL names a list. -1, the open list, is not among them.
	ACL(id int64, acl []wire.ACL) error
	// Node is called for parents before their children, the root "/" first.
	// Data is nil for null.
	Node(path []byte, stat *Stat, acl int64, data []byte) error
}

// JavaSnapshotTrailer is what follows the znodes in a snapshot.
type JavaSnapshotTrailer struct {
	Digest *ZxidDigest // nil: not recorded (before 3.6, or switched off)
	// LastZxid is lastProcessedZxid, recorded since 3.9; 0 when it is not.
	LastZxid int64
}

// ReadJavaSnapshot decodes an uncompressed snapshot file of Java ZooKeeper and
// checks all its seals. Only what comes before a seal that was right has been
// checked: on an error, whatever v has received must be thrown away. Memory is
// bounded by the largest field (256 MiB at most). Errors that are due to the
// file's contents are [ErrCorrupt] and say at which byte.
func ReadJavaSnapshot(file io.Reader, v JavaSnapshotReader) (JavaSnapshotTrailer, error) {
	r := newJavaReader(file)
	if magic := r.int(); r.err == nil && magic != javaSnapshotMagic {
		r.fail(fmt.Errorf("%w: not a snapshot: begins with %08x", ErrCorrupt, uint32(magic)))
	}
	if version := r.int(); r.err == nil && version != javaSnapshotVersion {
		r.fail(fmt.Errorf("%w: snapshot format %d, only %d is known", ErrCorrupt, version, javaSnapshotVersion))
	}
	r.long() // dbid: nobody reads it
	r.snapshotBody(v)
	r.seal()
	t := r.snapshotTrailer()
	return t, r.err
}

// snapshotBody reads sessions, lists and znodes: what a file has in common
// with the stream a leader sends.
func (r *javaReader) snapshotBody(v JavaSnapshotReader) {
	for n := r.count("sessions"); n > 0 && r.err == nil; n-- {
		id, timeout := r.long(), r.int()
		if r.err == nil {
			r.deliver(v.Session(id, timeout))
		}
	}
	for n := r.count("access control lists"); n > 0 && r.err == nil; n-- {
		id, list := r.long(), r.acls()
		if r.err == nil {
			r.deliver(v.ACL(id, list))
		}
	}
	r.snapshotNodes(v)
}

// deliver ends the reading when the receiver of a part did not want it.
func (r *javaReader) deliver(err error) {
	if err != nil {
		r.fail(err)
	}
}

func (r *javaReader) snapshotNodes(v JavaSnapshotReader) {
	var path, data []byte
	var stat Stat
	for first := true; r.err == nil; first = false {
		path, _ = r.buffer(path)
		if len(path) == 1 && path[0] == '/' {
			if first {
				r.fail(fmt.Errorf("%w: the tree has no root", ErrCorrupt))
			}
			return
		}
		if first != (len(path) == 0) {
			r.fail(fmt.Errorf("%w: path %q where the root must come first, and only once", ErrCorrupt, path))
		}
		if first {
			path = append(path, '/')
		}
		var null bool
		data, null = r.buffer(data)
		acl := r.long()
		r.stat(&stat)
		node := storedData(data)
		if null {
			node = nil
		}
		if r.err == nil {
			r.deliver(v.Node(path, &stat, acl, node))
		}
	}
}

// snapshotTrailer reads the parts behind the first seal, as far as there are
// any. What may follow them belongs to a later release.
func (r *javaReader) snapshotTrailer() (t JavaSnapshotTrailer) {
	if r.err != nil || r.atEnd() {
		return t
	}
	d := &ZxidDigest{Zxid: r.long(), Version: r.int()}
	if d.Version < DigestVersion {
		r.buffer(nil) // a hexadecimal string, of an algorithm long gone
	} else {
		d.Digest = uint64(r.long())
	}
	r.seal()
	if d.Zxid != 0 || d.Digest != 0 {
		t.Digest = d
	}
	if r.err != nil || r.atEnd() {
		return t
	}
	t.LastZxid = r.long()
	r.seal()
	return t
}

// JavaSnapshotOptions chooses among the forms of a snapshot file.
type JavaSnapshotOptions struct {
	// LastZxid adds the third part, lastProcessedZxid, that 3.9 writes.
	// Every release reads files without it.
	LastZxid bool
}

// WriteJavaSnapshot writes the view as an uncompressed snapshot file that every
// release of Java ZooKeeper since 3.5 loads. Memory does not depend on the
// tree. The file belongs under the name [JavaSnapshotName].
func WriteJavaSnapshot(w io.Writer, view Snapshot, o JavaSnapshotOptions) error {
	m, err := view.Meta()
	if err != nil {
		return err
	}
	out := &javaWriter{w: bufio.NewWriterSize(w, javaBufferBytes), sum: adler32.New()}
	out.head(&m)
	if err := view.Walk(out.node); err != nil {
		return err
	}
	out.put(wire.AppendString(nil, "/"))
	out.seal()
	digest := wire.AppendInt(wire.AppendLong(nil, m.Zxid), DigestVersion)
	out.put(wire.AppendLong(digest, int64(m.Digest)))
	out.seal()
	if o.LastZxid {
		out.put(wire.AppendLong(nil, m.Zxid))
		out.seal()
	}
	if out.err != nil {
		return out.err
	}
	return out.w.Flush()
}

// javaWriter writes a snapshot and keeps the Adler-32 of what it has written.
type javaWriter struct {
	w       *bufio.Writer
	sum     hash.Hash32
	scratch []byte
	err     error // the first
}

func (w *javaWriter) put(b []byte) {
	if w.err != nil {
		return
	}
	if w.sum != nil {
		w.sum.Write(b) //nolint:errcheck // a hash does not fail
	}
	_, w.err = w.w.Write(b)
}

func (w *javaWriter) seal() {
	w.put(wire.AppendString(wire.AppendLong(nil, int64(w.sum.Sum32())), "/"))
}

// head writes all that comes before the znodes of a file.
func (w *javaWriter) head(m *Meta) {
	b := wire.AppendInt(wire.AppendInt(nil, javaSnapshotMagic), javaSnapshotVersion)
	w.put(wire.AppendLong(b, javaSnapshotDBID))
	w.tables(m)
}

// tables writes sessions and lists.
func (w *javaWriter) tables(m *Meta) {
	b := wire.AppendInt(nil, int32(len(m.Sessions)))
	for _, id := range slices.Sorted(maps.Keys(m.Sessions)) {
		b = wire.AppendInt(wire.AppendLong(b, id), m.Sessions[id])
	}
	w.put(b)
	// The empty list is not in our table, because it cannot be set and is not
	// counted; znodes of an imported tree may have it all the same.
	lists := maps.Clone(m.ACLs)
	if lists == nil {
		lists = map[ACLID]ACLEntry{}
	}
	lists[NoACLID] = ACLEntry{}
	delete(lists, OpenACLID)
	b = wire.AppendInt(b[:0], int32(len(lists)))
	for _, id := range slices.Sorted(maps.Keys(lists)) {
		b = wire.AppendACLs(wire.AppendLong(b, int64(id)), lists[id].ACL)
	}
	w.put(b)
}

func (w *javaWriter) node(path []byte, rec *Record) error {
	if len(path) == 1 {
		path = nil // the root's name in a snapshot
	}
	acl := int64(rec.ACL)
	if rec.ACL == OpenACLID {
		acl = javaOpenACL
	}
	b := wire.AppendString(w.scratch[:0], path)
	b = wire.AppendBuffer(b, rec.Data)
	b = appendJavaStat(wire.AppendLong(b, acl), &rec.Stat)
	w.put(b)
	w.scratch = b
	return w.err
}
