package znode

import (
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// storeSnapshot is a [Snapshot] of a [Store].
type storeSnapshot struct {
	s     *Store
	view  *pebble.Snapshot
	close sync.Once
}

// Snapshot implements [Backend]. An open snapshot keeps what was changed since
// on disk, so it should not be held for longer than its use takes.
func (s *Store) Snapshot() (Snapshot, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.gate.leave()
	return &storeSnapshot{s: s, view: s.db.NewSnapshot()}, nil
}

// Meta implements [Snapshot].
func (v *storeSnapshot) Meta() (Meta, error) {
	if err := v.s.enter(); err != nil {
		return Meta{}, err
	}
	defer v.s.gate.leave()
	m, found, err := readMeta(v.view)
	err = v.s.seen(err)
	if err == nil && !found {
		err = fmt.Errorf("znode: %s: the tree has never been written", v.s.opts.Dir)
	}
	return m, err
}

// Walk implements [Snapshot]. It is one scan over the keys: its memory does not
// depend on the tree.
func (v *storeSnapshot) Walk(fn func(path []byte, rec *Record) error) error {
	if err := v.s.enter(); err != nil {
		return err
	}
	defer v.s.gate.leave()
	var path, data []byte
	var rec Record
	return scanKeys(v.view, []byte{keyNode}, []byte{keyNode + 1}, func(key, value []byte) (more bool, err error) {
		if path, err = appendKeyPath(path[:0], key); err != nil {
			return false, err
		}
		if data, err = decodeRecord(path, value, data, &rec); err != nil {
			return false, v.s.seen(err)
		}
		return true, fn(path, &rec)
	})
}

// Close implements [Snapshot]. It works on a store that has failed, which
// could not be closed otherwise.
func (v *storeSnapshot) Close() error {
	err := errors.New("znode: snapshot is closed already")
	v.close.Do(func() {
		if err = v.s.gate.enter(); err != nil {
			return
		}
		defer v.s.gate.leave()
		if !v.s.stuck.Load() {
			err = v.view.Close()
		}
	})
	return err
}

// Backup makes a copy of the last checkpoint in dir, which must not exist. On
// the same file system it is made of hard links: instant, and free until the
// store moves on. [OpenStore] opens it.
func (s *Store) Backup(dir string) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	if err := s.guard(func() error { return s.db.Checkpoint(dir) }); err != nil {
		return fmt.Errorf("znode: backup of %s to %s: %w", s.opts.Dir, dir, err)
	}
	return nil
}
