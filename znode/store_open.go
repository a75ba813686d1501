package znode

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	// storeFormat is the value of the format key. A later version that lays
	// things out differently writes another number.
	storeFormat = "quorate tree 1"
	// storeFormatName begins the format of every version.
	storeFormatName = "quorate tree "
	// storeComparer names the key order in Pebble's own files, so that Pebble
	// refuses the database of another program before it writes to it.
	storeComparer = "quorate.tree"
	// storeStagingDir holds the sstables of a checkpoint being written.
	storeStagingDir = "staging"

	storeBlockBytes  = 4 << 10
	storeTableBytes  = 16 << 20  // of one sstable
	storeSyncBytes   = 512 << 10 // written to a file between two hints to the kernel
	storeBloomBits   = 10
	storeBaseBytes   = 64 << 20  // of the level above the last
	storeMemtable    = 256 << 10 // never used: see Store
	storeOpenFiles   = 500
	storeTableFormat = pebble.FormatValueSeparation
)

// OpenStore opens the store in o.Dir, or makes an empty one. It refuses, and
// leaves untouched, a directory that another server has open
// ([ErrStoreInUse]), that belongs to another program or a newer version
// ([ErrStoreForeign]), or that is damaged ([ErrCorrupt]).
func OpenStore(o StoreOptions) (*Store, error) {
	s := &Store{opts: o, fs: o.FS, cuts: storeCutLimits, merger: newMerger()}
	if s.fs == nil {
		s.fs = vfs.Default
	}
	if s.opts.Logger == nil {
		s.opts.Logger = func(string, ...any) {}
	}
	if s.opts.Background == nil {
		s.opts.Background = func() {}
	}
	if s.opts.Yield == nil {
		s.opts.Yield = runtime.Gosched
	}
	if s.opts.Failed == nil {
		s.opts.Failed = func(error) {}
	}
	if s.opts.CacheBytes == 0 {
		s.opts.CacheBytes = storeCacheBytes
	}
	err := s.open()
	if err == nil {
		return s, nil
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return nil, fmt.Errorf("znode: opening %s: %w", o.Dir, err)
}

func (s *Store) open() error {
	if err := makeDirAll(s.fs, s.opts.Dir); err != nil {
		return err
	}
	if err := s.checkDir(); err != nil {
		return err
	}
	if err := s.takeLock(); err != nil {
		return err
	}
	if err := s.guard(s.openPebble); err != nil {
		return storeOpenError(err)
	}
	err := s.claim()
	if err != nil {
		err = errors.Join(err, s.db.Close())
	}
	return err
}

// claim makes sure that the database is ours, and then clears it of what a
// crash may have left.
func (s *Store) claim() error {
	found, err := s.checkFormat()
	if err != nil {
		return err
	}
	if err := s.clearStaging(); err != nil || found {
		return err
	}
	return s.initFormat()
}

// makeDirAll creates dir and makes its name durable.
func makeDirAll(fsys vfs.FS, dir string) error {
	if _, err := fsys.Stat(dir); err == nil {
		return nil
	}
	if parent := fsys.PathDir(dir); parent != dir {
		if err := makeDirAll(fsys, parent); err != nil {
			return err
		}
	}
	if err := fsys.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	return syncDir(fsys, fsys.PathDir(dir))
}

func syncDir(fsys vfs.FS, dir string) error {
	d, err := fsys.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// checkDir refuses a directory that holds something else than a store, before
// anything is written into it.
func (s *Store) checkDir() error {
	desc, err := pebble.Peek(s.opts.Dir, s.fs)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrStoreForeign, err)
	}
	if desc.Exists {
		return checkManifest(s.fs, desc.ManifestFilename)
	}
	names, err := s.fs.List(s.opts.Dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !isUnfinishedStore(name) {
			return fmt.Errorf("%w: there is no tree in it, but %q", ErrStoreForeign, name)
		}
	}
	return nil
}

// isUnfinishedStore tells the files that a crash during the creation of a
// store may leave.
func isUnfinishedStore(name string) bool {
	for _, prefix := range []string{"LOCK", "MANIFEST-", "OPTIONS-", "marker.", "temporary.", storeStagingDir} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func (s *Store) takeLock() (err error) {
	s.lock, err = pebble.LockDirectory(s.opts.Dir, s.fs)
	if err == nil {
		return nil
	}
	var opening *fs.PathError // the file LOCK cannot be made, which says nothing of a lock
	taken := errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) && !errors.As(err, &opening) ||
		strings.Contains(err.Error(), "lock held") // by this process
	if taken {
		return fmt.Errorf("%w: %w", ErrStoreInUse, err)
	}
	return err
}

func (s *Store) openPebble() (err error) {
	o := s.pebbleOptions()
	if s.db, err = pebble.Open(s.opts.Dir, o); err == nil {
		s.tables = o.MakeWriterOptions(0, s.db.TableFormat())
	}
	return err
}

// storeOpenError sorts Pebble's reasons not to open.
func storeOpenError(err error) error {
	text := err.Error()
	switch {
	case pebble.IsCorruptionError(err):
		return pebbleDamage(err)
	case strings.Contains(text, "comparer"), strings.Contains(text, "merger"), strings.Contains(text, "format major version"):
		return fmt.Errorf("%w: %w", ErrStoreForeign, err)
	}
	return err
}

// checkFormat compares the format key with this version's; found is false on
// an empty database.
func (s *Store) checkFormat() (found bool, err error) {
	value, closer, err := s.db.Get([]byte{keyFormat})
	if errors.Is(err, pebble.ErrNotFound) {
		return false, s.checkEmpty()
	}
	if err != nil {
		return false, storeReadError("format", err)
	}
	defer closer.Close()
	if string(value) == storeFormat {
		return true, nil
	}
	if bytes.HasPrefix(value, []byte(storeFormatName)) {
		return false, fmt.Errorf("%w: its format is %q, this version's is %q", ErrStoreForeign, value, storeFormat)
	}
	return false, fmt.Errorf("%w: its format key says %q", ErrStoreForeign, value)
}

// checkEmpty refuses keys where there is no format key.
func (s *Store) checkEmpty() error {
	return scanKeys(s.db, nil, nil, func(key, _ []byte) (bool, error) {
		return false, fmt.Errorf("%w: it has no format key, but key %q", ErrStoreForeign, key)
	})
}

// initFormat makes an empty database a store.
func (s *Store) initFormat() error {
	w := newCheckpointWriter(s)
	defer w.discard()
	if err := w.nodes.set([]byte{keyFormat}, []byte(storeFormat)); err != nil {
		return err
	}
	return w.ingest()
}

// clearStaging removes what a crash left of an unfinished checkpoint.
func (s *Store) clearStaging() error {
	dir := s.stagingDir()
	if err := s.fs.RemoveAll(dir); err != nil {
		return err
	}
	return s.fs.MkdirAll(dir, 0o750)
}

// TempDir is a directory on the store's disk for files that are not needed
// after a restart: the next OpenStore removes them. It is empty when the store
// is not on the operating system's file system.
func (s *Store) TempDir() string {
	if s.opts.FS != nil {
		return ""
	}
	return s.stagingDir()
}

func (s *Store) stagingDir() string { return s.fs.PathJoin(s.opts.Dir, storeStagingDir) }

// pebbleOptions are the same for every open. What matters: filters at every
// level, because a miss in the tree's memory is mostly a question for a znode
// that does not exist; small blocks, because Get wants one record of one; one
// compaction at a time, because requests go on meanwhile.
func (s *Store) pebbleOptions() *pebble.Options {
	comparer := *pebble.DefaultComparer
	comparer.Name = storeComparer
	o := &pebble.Options{
		Comparer:                   &comparer,
		FS:                         manifestFS{s.fs},
		Lock:                       s.lock,
		DisableWAL:                 true,
		FormatMajorVersion:         storeTableFormat,
		CacheSize:                  s.opts.CacheBytes,
		MemTableSize:               storeMemtable,
		MaxOpenFiles:               storeOpenFiles,
		BytesPerSync:               storeSyncBytes,
		LBaseMaxBytes:              storeBaseBytes,
		L0CompactionThreshold:      2 * mergeLayers, // which Pebble halves
		L0StopWritesThreshold:      1000,            // nothing is written but by Ingest, which does not wait
		CompactionConcurrencyRange: func() (int, int) { return 1, 1 },
		Logger:                     storeLogger{s},
		EventListener:              s.events(),
	}
	o.Experimental.CompactionScheduler = s.merger
	for i := range o.Levels {
		o.Levels[i].BlockSize = storeBlockBytes
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(storeBloomBits)
		o.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.SnappyCompression }
		o.TargetFileSizes[i] = storeTableBytes
	}
	// The writer of columnar blocks hands each to a goroutine and waits until that takes it. To a thread of its own, as
	// those in the background have, every wait costs two switches of threads: more than the block itself.
	o.Experimental.EnableColumnarBlocks = func() bool { return false }
	o.EnsureDefaults()
	return o
}

func (s *Store) events() *pebble.EventListener {
	return &pebble.EventListener{
		CompactionBegin: func(pebble.CompactionInfo) { s.opts.Background() },
		BackgroundError: func(err error) { storeLogger{s}.Errorf("background work failed: %v", err) },
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			s.fail(&damageError{file: info.Path, cause: info.Details})
		},
		DiskSlow: func(info pebble.DiskSlowInfo) { storeLogger{s}.Errorf("%s", info) },
	}
}
