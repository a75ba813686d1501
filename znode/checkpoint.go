package znode

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// yieldChanges is how many changes a checkpoint writes before StoreOptions.Yield.
const yieldChanges = 64

// Checkpoint implements [Backend]. The changes go straight into sstables,
// which Pebble then takes over in one step of its manifest: readers see all of
// them or none, and so does a restart. Memory is bounded by the sstable
// writers, whatever the number of changes.
//
// An error leaves the last checkpoint in place and the store usable, unless
// Pebble could not write its manifest: then what is on disk is unknown until
// the next open, and every later call returns that error.
func (s *Store) Checkpoint(m Meta, next func(*Change) (more bool, err error)) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	s.checkpointing.Lock()
	defer s.checkpointing.Unlock()
	w := newCheckpointWriter(s)
	defer w.discard()
	if err := w.write(m, next); err != nil {
		return err
	}
	if err := w.ingest(); err != nil {
		return err
	}
	s.merge()
	return nil
}

// checkpointWriter turns one checkpoint into sstables.
//
// The node sstables begin with the metadata; those of the index are written
// beside them, which works because both kinds of keys sort by path.
type checkpointWriter struct {
	s     *Store
	nodes tableWriter
	owned tableWriter
	index *pebble.Iterator // the index as it is, read in step with the changes
	files int
	last  []byte
	key   []byte
	value []byte
}

func newCheckpointWriter(s *Store) *checkpointWriter {
	w := &checkpointWriter{s: s}
	w.nodes = tableWriter{w: w, gap: noGap, heldIn: noGap}
	w.owned = w.nodes
	return w
}

func (w *checkpointWriter) write(m Meta, next func(*Change) (bool, error)) (err error) {
	if w.index, err = w.s.db.NewIter(&pebble.IterOptions{
		LowerBound: []byte{keyOwned}, UpperBound: []byte{keyOwned + 1},
	}); err != nil {
		return storeReadError("index", err)
	}
	w.index.First()
	if w.nodes.cut, err = newCutter(w.s.db, w.s.cuts); err != nil {
		return err
	}
	if err := w.nodes.set([]byte{keyMeta}, appendMeta(nil, &m)); err != nil {
		return err
	}
	var c Change
	for n := 1; ; n++ {
		c = Change{}
		more, err := next(&c)
		if err != nil || !more {
			return err
		}
		if err := w.change(&c); err != nil {
			return err
		}
		if n%yieldChanges == 0 {
			w.s.opts.Yield()
		}
	}
}

func (w *checkpointWriter) change(c *Change) error {
	if err := checkStoredPath(c.Path); err != nil {
		return err
	}
	if w.last != nil && CompareKeys(w.last, c.Path) >= 0 {
		return errChangeOrder(w.last, c.Path)
	}
	w.last = append(w.last[:0], c.Path...)
	w.key = appendNodeKey(w.key[:0], c.Path)
	if c.Deleted {
		if err := w.nodes.delete(w.key); err != nil {
			return err
		}
		return w.indexOwner(0)
	}
	var err error
	if w.value, err = appendRecord(w.value[:0], c.Path, &c.Record); err != nil {
		return err
	}
	if err := w.nodes.set(w.key, w.value); err != nil {
		return err
	}
	return w.indexOwner(c.Record.Stat.EphemeralOwner)
}

// indexOwner brings the index entry of the node whose key is w.key in line
// with its owner. The key is made the index entry's on the way.
func (w *checkpointWriter) indexOwner(owner int64) error {
	w.key[0] = keyOwned
	was, err := w.indexedOwner(w.key)
	if err != nil || was == owner {
		return err
	}
	if owner == 0 {
		return w.owned.delete(w.key)
	}
	return w.owned.set(w.key, binary.BigEndian.AppendUint64(w.value[:0], uint64(owner)))
}

// indexedOwner returns what the last checkpoint's index says of key. Keys are
// asked for in ascending order.
func (w *checkpointWriter) indexedOwner(key []byte) (int64, error) {
	if w.index.Valid() && bytes.Compare(w.index.Key(), key) < 0 {
		w.index.SeekGE(key)
	}
	if !w.index.Valid() {
		return 0, storeReadError("index", w.index.Error())
	}
	if !bytes.Equal(w.index.Key(), key) {
		return 0, nil
	}
	value, err := w.index.ValueAndErr()
	if err != nil || len(value) != 8 {
		return 0, storeReadError("index", errors.Join(err, fmt.Errorf("entry of %q has %d bytes", key, len(value))))
	}
	return int64(binary.BigEndian.Uint64(value)), nil
}

// ingest finishes the sstables and hands them to Pebble.
func (w *checkpointWriter) ingest() error {
	if err := errors.Join(w.nodes.end(), w.owned.end()); err != nil {
		return w.s.writeError(err)
	}
	if w.index != nil {
		err := w.index.Close()
		w.index = nil
		if err != nil {
			return storeReadError("index", err)
		}
	}
	paths := slices.Concat(w.nodes.paths, w.owned.paths)
	return w.s.guard(func() error {
		return w.s.writeError(w.s.db.Ingest(context.Background(), paths))
	})
}

// writeError says what was being written when the disk failed.
func (s *Store) writeError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("znode: writing a checkpoint to %s: %w", s.opts.Dir, err)
}

// discard gives up what ingest has not taken over.
func (w *checkpointWriter) discard() {
	w.nodes.discard()
	w.owned.discard()
	if w.index != nil {
		w.index.Close() //nolint:errcheck // whatever it says, this checkpoint has failed already
	}
}

// tableWriter writes ascending keys into sstables of limited size.
type tableWriter struct {
	w     *checkpointWriter
	table *sstable.Writer // the one being written, or nil
	paths []string        // all of them

	cut    *cutter // nil: tables end at their size alone
	gap    int     // the one the table being written is for, or noGap
	held   held    // what waits for a table of its own, all in the gap heldIn
	heldIn int
}

func (t *tableWriter) set(key, value []byte) error {
	return t.w.s.writeError(t.add(key, value, false))
}

func (t *tableWriter) delete(key []byte) error {
	return t.w.s.writeError(t.add(key, nil, true))
}

// put writes one entry into the table at hand.
func (t *tableWriter) put(key, value []byte, deleted bool) error {
	if err := t.roll(); err != nil {
		return err
	}
	if deleted {
		return t.table.Delete(key)
	}
	return t.table.Set(key, value)
}

// roll makes sure that there is a table to write to, a new one when the last
// has its size.
func (t *tableWriter) roll() error {
	if t.table != nil && t.table.Raw().EstimatedSize() >= storeTableBytes {
		if err := t.finish(); err != nil {
			return err
		}
	}
	if t.table != nil {
		return nil
	}
	return t.create()
}

func (t *tableWriter) create() error {
	s := t.w.s
	t.w.files++
	path := s.fs.PathJoin(s.stagingDir(), fmt.Sprintf("%06d.sst", t.w.files))
	file, err := s.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	t.paths = append(t.paths, path)
	file = vfs.NewSyncingFile(&pieceFile{File: file}, vfs.SyncingFileOptions{BytesPerSync: storeSyncBytes})
	t.table = sstable.NewWriter(objstorageprovider.NewFileWritable(file), s.tables)
	return nil
}

// end completes the last table.
func (t *tableWriter) end() error {
	if err := t.held.each(t.put); err != nil {
		return err
	}
	return t.finish()
}

// finish completes and syncs the table being written.
func (t *tableWriter) finish() error {
	if t.table == nil {
		return nil
	}
	err := t.table.Close()
	t.table = nil
	return err
}

// discard removes all tables that are still there.
func (t *tableWriter) discard() {
	t.finish() //nolint:errcheck // the file is removed next
	for _, path := range t.paths {
		t.w.s.fs.Remove(path) //nolint:errcheck // gone when it was ingested; the next open clears the rest
	}
}
