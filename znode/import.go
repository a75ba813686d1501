package znode

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/quorate/quorate/wire"
)

// ImportOptions says where a Java server has its data.
type ImportOptions struct {
	// DataDir and DataLogDir are the settings of zoo.cfg: the directories that
	// contain version-2. An empty DataLogDir is DataDir.
	DataDir, DataLogDir string
	// TempDir takes as much as the uncompressed snapshot while the import
	// runs. Empty is the store's own disk ([Store.TempDir]), or else the
	// system's.
	TempDir string
	// TrustEmpty is snapshot.trust.empty: logs without any snapshot are
	// complete, as those of servers before 3.5 can be.
	TrustEmpty bool
	// NoAutocreate is zookeeper.db.autocreate=false: without a file
	// "initialize", a server without data must not vote.
	NoAutocreate bool

	sortBytes int // memory for sorting; 0 is extSortBytes
}

// ImportResult says what an import found.
type ImportResult struct {
	// Snapshot is the file that was imported; empty when there is none and
	// nothing has been written.
	Snapshot string
	// Meta is what the backend holds now, when a snapshot was imported.
	Meta Meta
	// Replay is the zxid after which the transaction logs are to be replayed.
	// Znodes may be newer than that, since a Java server writes its snapshots
	// while it goes on; replaying what they already contain changes nothing.
	Replay int64
	// MayVote is false when there is no data and NoAutocreate says that a
	// server in this state must not count in an election.
	MayVote bool
	// Skipped tells why newer snapshots were passed over. The logs must reach
	// back to Replay then, which they do unless they have been purged.
	Skipped []error
	// Digest is what the snapshot says the tree's digest is, at a zxid that
	// may be ahead of Replay; nil when it says nothing.
	Digest *ZxidDigest
	// Warnings are for the operator.
	Warnings []string
}

var (
	// ErrNoSnapshot is what [ImportJava] returns when there are transaction
	// logs and no snapshot to begin from.
	ErrNoSnapshot = errors.New("transaction logs without a snapshot")
	// ErrNotEmpty is what [ImportJava] and [ExportJava] return when there is
	// something already where they would write.
	ErrNotEmpty = errors.New("not empty")
)

// importTries is how many damaged snapshots are passed over.
const importTries = 100

// ImportJava fills a backend that has never been written from the newest whole
// snapshot of a Java server; damaged ones are passed over. The logs behind it
// are the caller's to replay. Memory depends on the number of sessions and
// access control lists, not on that of znodes.
//
// All of the snapshot becomes the first checkpoint or nothing does: after an
// error or a crash the import can be started again.
func ImportJava(o ImportOptions, into Backend) (ImportResult, error) {
	if _, found, err := into.Meta(); err != nil || found {
		if found {
			err = fmt.Errorf("znode: importing %s: the tree to import into is %w", o.DataDir, ErrNotEmpty)
		}
		return ImportResult{}, err
	}
	d, err := readJavaDir(o.DataDir, o.DataLogDir)
	if err != nil {
		return ImportResult{}, err
	}
	res := ImportResult{MayVote: true}
	candidates := 0
	for _, file := range slices.Backward(d.snapshots) {
		err := checkJavaSnapshot(file.path)
		if err == nil {
			candidates++
			err = res.importSnapshot(o, file, into)
		}
		if err == nil {
			return res, nil
		}
		if !errors.Is(err, ErrCorrupt) || errors.Is(err, errIntoBackend) {
			return ImportResult{}, fmt.Errorf("znode: importing %s: %w", o.DataDir, err)
		}
		if res.Skipped = append(res.Skipped, err); len(res.Skipped) == importTries {
			break
		}
	}
	return res.withoutSnapshot(o, d, candidates)
}

// withoutSnapshot decides what it means that no snapshot could be imported.
func (res *ImportResult) withoutSnapshot(o ImportOptions, d *javaDir, candidates int) (ImportResult, error) {
	used, err := d.firstUsedLog()
	if err != nil {
		return ImportResult{}, fmt.Errorf("znode: importing %s: %w", o.DataDir, err)
	}
	// A server that dies in its very first snapshot, that of the empty tree,
	// has lost nothing. Any other damaged one had contents.
	if n := len(d.snapshots); n > 0 && (candidates > 0 || used != "" || d.snapshots[n-1].zxid != 0) {
		return ImportResult{}, fmt.Errorf("znode: importing %s: none of %d snapshots can be used: %w",
			o.DataDir, n, errors.Join(res.Skipped...))
	}
	if used != "" && !o.TrustEmpty {
		return ImportResult{}, fmt.Errorf("znode: importing %s: %w: %s has entries; if the logs are complete, set snapshot.trust.empty",
			o.DataDir, ErrNoSnapshot, used)
	}
	if used == "" && o.NoAutocreate {
		res.MayVote, err = takeInitializeFile(d.logDir)
	}
	return *res, err
}

// takeInitializeFile removes the file by which an operator says that a server
// without data is meant to be so; found is whether there was one.
func takeInitializeFile(logDir string) (found bool, err error) {
	err = os.Remove(filepath.Join(logDir, "initialize"))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// errIntoBackend marks what is not the snapshot's fault.
var errIntoBackend = errors.New("writing the tree")

// importSnapshot makes one snapshot the first checkpoint.
func (res *ImportResult) importSnapshot(o ImportOptions, file javaFile, into Backend) error {
	dir, err := os.MkdirTemp(importTempDir(o, into), "quorate-import-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	imp := newJavaImport(dir)
	if o.sortBytes > 0 {
		imp.sorter.bytesMax = o.sortBytes
	}
	trailer, err := readJavaSnapshotFile(file.path, imp)
	if err != nil {
		return err
	}
	imp.stamp(file.zxid)
	if err := imp.checkpoint(into); err != nil {
		return fmt.Errorf("%s: %w", file.path, err)
	}
	res.Snapshot, res.Meta, res.Replay, res.Digest = file.path, imp.meta, file.zxid, trailer.Digest
	res.warn(imp)
	return nil
}

func importTempDir(o ImportOptions, into Backend) string {
	if s, ok := into.(*Store); ok && o.TempDir == "" {
		return s.TempDir()
	}
	return o.TempDir
}

func (res *ImportResult) warn(imp *javaImport) {
	d := res.Digest
	if d != nil && d.Version == DigestVersion && d.Zxid == res.Replay && d.Digest != res.Meta.Digest {
		res.Warnings = append(res.Warnings, fmt.Sprintf(
			"%s: the digest of its znodes is %x, it says %x; a Java server whose default charset is not UTF-8 counts non-ASCII paths differently",
			res.Snapshot, res.Meta.Digest, d.Digest))
	}
	if imp.unknown > 0 {
		res.Warnings = append(res.Warnings, fmt.Sprintf(
			"%s: %d znodes, %q first, have access control lists that it does not contain; until the logs say what they are, only super may use these znodes",
			res.Snapshot, imp.unknown, imp.firstUnknown))
	}
}

// javaImport sorts the znodes of a Java snapshot, which come in an order of
// their own, into storage order, and counts children and users of lists on
// the way.
type javaImport struct {
	sorter *extSorter
	meta   Meta
	acls   map[int64]ACLID  // by the snapshot's number
	lists  map[string]ACLID // by the encoded list
	newest int64            // zxid in a Stat

	// zookeeper and config say that the znodes of these names have come.
	zookeeper, config bool

	unknown      int // znodes whose list the snapshot does not have
	firstUnknown string

	// Siblings without children of their own come in a row: they are counted
	// here before an item is made of their number.
	parent   []byte
	siblings uint64

	key, value []byte
}

// Kinds of items to sort, under the key of a znode.
const (
	importNode     = 0 // its record
	importChildren = 1 // how many more children it has
)

func newJavaImport(dir string) *javaImport {
	return &javaImport{
		sorter: newExtSorter(dir),
		meta:   Meta{Sessions: map[int64]int32{}, ACLs: map[ACLID]ACLEntry{}},
		acls:   map[int64]ACLID{javaOpenACL: OpenACLID},
		lists:  map[string]ACLID{string(wire.OpenACL): OpenACLID, string(wire.AppendACLs(nil, nil)): NoACLID},
	}
}

// Session implements [JavaSnapshotReader].
func (imp *javaImport) Session(id int64, timeoutMs int32) error {
	imp.meta.Sessions[id] = timeoutMs
	return nil
}

// ACL implements [JavaSnapshotReader].
func (imp *javaImport) ACL(id int64, list []wire.ACL) error {
	imp.acls[id] = imp.intern(list)
	return nil
}

// intern numbers the lists densely, whatever numbers they had.
func (imp *javaImport) intern(list []wire.ACL) ACLID {
	key := string(wire.AppendACLs(nil, list))
	if id, known := imp.lists[key]; known {
		return id
	}
	id := OpenACLID + 1 + ACLID(len(imp.meta.ACLs))
	imp.lists[key] = id
	imp.meta.ACLs[id] = ACLEntry{ACL: list}
	return id
}

// nobodyACL is the list of a znode whose own is not known: it grants nothing.
var nobodyACL = []wire.ACL{{Perms: 0, ID: wire.ID{Scheme: "world", ID: "anyone"}}}

// aclOf translates the list's number. A list set while a Java server was
// writing the snapshot is missing from it: the tables come first. The log has
// it, and replay sets it again.
func (imp *javaImport) aclOf(path []byte, number int64) ACLID {
	id, known := imp.acls[number]
	if !known {
		if imp.unknown++; imp.unknown == 1 {
			imp.firstUnknown = string(path)
		}
		id = imp.intern(nobodyACL)
	}
	return id
}

// Node implements [JavaSnapshotReader].
func (imp *javaImport) Node(path []byte, stat *Stat, acl int64, data []byte) error {
	if err := checkStoredPath(path); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return imp.put(path, stat, imp.aclOf(path, acl), data)
}

// put takes a znode in.
func (imp *javaImport) put(path []byte, stat *Stat, acl ACLID, data []byte) error {
	rec := Record{Data: data, Info: Info{
		Stat: *stat, ACL: acl, DataLength: storedLength(data), Prefix: DataPrefix(path, data),
	}}
	imp.count(path, &rec)
	imp.zookeeper = imp.zookeeper || string(path) == zookeeperPath
	imp.config = imp.config || string(path) == configPath
	if err := imp.countChild(path); err != nil {
		return err
	}
	var err error
	if imp.value, err = appendRecord(imp.value[:0], path, &rec); err != nil {
		return err
	}
	imp.key = appendNodeKey(imp.key[:0], path)
	return imp.add(imp.key, importNode, imp.value)
}

func (imp *javaImport) add(key []byte, kind byte, payload []byte) error {
	if err := imp.sorter.add(key, kind, payload); err != nil {
		return fmt.Errorf("%w: %w", errIntoBackend, err)
	}
	return nil
}

// count adds the znode to the sums of Meta.
func (imp *javaImport) count(path []byte, rec *Record) {
	if rec.ACL > OpenACLID {
		e := imp.meta.ACLs[rec.ACL]
		e.Refs++
		imp.meta.ACLs[rec.ACL] = e
	}
	imp.meta.NodeCount++
	imp.meta.DataBytes += int64(len(path) + len(rec.Data))
	imp.meta.Digest += NodeDigest(rec.Prefix, &rec.Stat, path)
	imp.newest = max(imp.newest, rec.Stat.Czxid, rec.Stat.Mzxid, rec.Stat.Pzxid)
}

// stamp says what the znodes are as of. What is newer among them was there
// already when they were written down.
func (imp *javaImport) stamp(zxid int64) {
	imp.meta.Zxid = zxid
	if imp.newest > zxid {
		imp.meta.WholeFrom = imp.newest
	}
}

// countChild counts path as a child of its parent.
func (imp *javaImport) countChild(path []byte) error {
	parent, _ := SplitPath(path)
	if !bytes.Equal(parent, imp.parent) {
		if err := imp.flushSiblings(); err != nil {
			return err
		}
		imp.parent = append(imp.parent[:0], parent...)
	}
	imp.siblings++
	return nil
}

func (imp *javaImport) flushSiblings() error {
	n := imp.siblings
	imp.siblings = 0
	if n == 0 || len(imp.parent) == 0 {
		return nil // the root is nobody's child
	}
	imp.key = appendNodeKey(imp.key[:0], imp.parent)
	return imp.add(imp.key, importChildren, binary.AppendUvarint(nil, n))
}

// addConfig makes up for a snapshot of a server before 3.5, which does not have
// this znode, as Java does when it loads one.
func (imp *javaImport) addConfig() error {
	if imp.config || !imp.zookeeper {
		return nil
	}
	readOnly := imp.intern([]wire.ACL{{Perms: wire.PermRead, ID: wire.ID{Scheme: "world", ID: "anyone"}}})
	return imp.put([]byte(configPath), &Stat{Aversion: -1}, readOnly, []byte{})
}

// checkpoint writes what has been read into the backend.
func (imp *javaImport) checkpoint(into Backend) error {
	if err := imp.addConfig(); err != nil {
		return err
	}
	for id, e := range imp.meta.ACLs {
		if e.Refs == 0 {
			delete(imp.meta.ACLs, id)
		}
	}
	if err := imp.flushSiblings(); err != nil {
		return err
	}
	merged, err := imp.sorter.merge()
	if err != nil {
		return fmt.Errorf("%w: %w", errIntoBackend, err)
	}
	defer merged.close()
	src := importSource{merged: merged}
	err = into.Checkpoint(imp.meta, src.next)
	if err != nil && !errors.Is(err, errBadTree) {
		return fmt.Errorf("%w: %w", errIntoBackend, err)
	}
	return err
}

// errBadTree marks a snapshot whose znodes are not a tree.
var errBadTree = errors.New("not a tree")

// importSource turns sorted items into the changes of a checkpoint.
type importSource struct {
	merged  *extMerge
	item    extCursor // the one after those used, when ahead
	ahead   bool
	started bool
	key     []byte
	path    []byte
	data    []byte
}

func (s *importSource) next(c *Change) (more bool, err error) {
	if !s.started {
		s.started = true
		if s.ahead, err = s.merged.next(&s.item); err != nil {
			return false, err
		}
	}
	if !s.ahead {
		return false, nil
	}
	s.key = append(s.key[:0], s.item.key...)
	if s.path, err = appendKeyPath(s.path[:0], s.key); err != nil {
		return false, err
	}
	if s.item.kind != importNode {
		return false, fmt.Errorf("%w: %w: znode %q is missing, but has children", ErrCorrupt, errBadTree, s.path)
	}
	if s.data, err = decodeRecord(s.path, s.item.payload, s.data, &c.Record); err != nil {
		return false, err
	}
	c.Path = s.path
	return true, s.addChildren(c)
}

// addChildren uses up the other items of the node's key.
func (s *importSource) addChildren(c *Change) (err error) {
	for {
		if s.ahead, err = s.merged.next(&s.item); err != nil || !s.ahead || !bytes.Equal(s.item.key, s.key) {
			return err
		}
		if s.item.kind == importNode {
			return fmt.Errorf("%w: %w: znode %q is there twice", ErrCorrupt, errBadTree, s.path)
		}
		n, _ := binary.Uvarint(s.item.payload)
		c.Record.NumChildren += int32(n)
	}
}
