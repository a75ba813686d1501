package znode

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// StoreOptions says where a [Store] is and what it may use.
type StoreOptions struct {
	// Dir holds the store and nothing else. It is created when missing.
	Dir string
	// FS is the file system; nil is the operating system's. Crash tests bring
	// their own.
	FS vfs.FS
	// CacheBytes bounds the cache of blocks read from disk; 0 is 16 MiB. The
	// tree keeps znodes itself, so this one only has to hold the filters and
	// indexes (2.5 MB for 1,000,000 znodes) and the blocks being read.
	CacheBytes int64
	// Logger hears what the store does on its own that an operator may want to
	// know: slow disks, failed background work. nil is silence. It may be
	// called from any goroutine.
	Logger func(format string, args ...any)
	// Background is called on each goroutine that merges sstables when it
	// begins, and may lower the priority of its thread: the goroutine ends with
	// its work. nil is nothing. It must not call the store.
	Background func()
	// Yield is called by a checkpoint after every 64 changes, and may let waiting
	// goroutines run: that is about 50 us of work, where the scheduler alone would
	// let it keep a processor for 10 ms. nil is runtime.Gosched, which is dear for a
	// goroutine that has a thread of its own.
	Yield func()
	// Failed is called once, when the store has failed for good: data in it are
	// damaged, or Pebble cannot go on. From then on every call returns an
	// error. It must not call the store nor wait, and any goroutine may call it.
	Failed func(error)
}

// storeCacheBytes is the default of StoreOptions.CacheBytes.
const storeCacheBytes = 16 << 20

var (
	// ErrStoreClosed is what every method of a closed [Store] returns.
	ErrStoreClosed = errors.New("znode: store is closed")
	// ErrStoreInUse is what [OpenStore] returns when another process, or
	// another Store of this one, has the directory open.
	ErrStoreInUse = errors.New("in use by another server")
	// ErrStoreForeign is what [OpenStore] returns for a directory that is not
	// a store of this version. Nothing in it has been changed.
	ErrStoreForeign = errors.New("not a tree this version can use")
)

// Store is the [Backend] on disk, in Pebble. All its methods may be called
// from any goroutine.
//
// There is no write-ahead log: the transaction log is one. What Pebble holds
// changes only in [Store.Checkpoint], by whole sstables, so its memtable stays
// empty and a crash leaves one checkpoint or the next.
type Store struct {
	opts StoreOptions
	fs   vfs.FS
	lock *pebble.Lock
	db   *pebble.DB
	// tables is how Checkpoint writes sstables.
	tables sstable.WriterOptions
	cuts   cutLimits
	gate   storeGate
	merger *merger

	checkpointing sync.Mutex
	failure       atomic.Pointer[error]
	stuck         atomic.Bool // Pebble gave up, perhaps with locks held
}

var _ Backend = (*Store)(nil)

// Meta implements [Backend].
func (s *Store) Meta() (m Meta, found bool, err error) {
	if err := s.enter(); err != nil {
		return Meta{}, false, err
	}
	defer s.gate.leave()
	m, found, err = readMeta(s.db)
	return m, found, s.seen(err)
}

// readMeta reads the metadata from the database or a snapshot of it.
func readMeta(r pebble.Reader) (m Meta, found bool, err error) {
	value, closer, err := r.Get([]byte{keyMeta})
	if errors.Is(err, pebble.ErrNotFound) {
		return Meta{}, false, nil
	}
	if err != nil {
		return Meta{}, false, storeReadError("metadata", err)
	}
	defer closer.Close()
	m, err = decodeMeta(value)
	return m, err == nil, err
}

// Get implements [Backend].
func (s *Store) Get(path, buf []byte, rec *Record) (found bool, out []byte, err error) {
	if err := s.enter(); err != nil {
		return false, buf, err
	}
	defer s.gate.leave()
	s.noteRead()
	buf = appendNodeKey(buf[:0], path) // no longer needed when the data comes
	value, it, err := s.seek(buf)
	if err != nil {
		return false, buf, s.seen(storeReadError(string(path), err))
	}
	if it == nil {
		return false, buf, nil
	}
	defer it.Close() //nolint:errcheck // the value it returned was read without one
	buf, err = decodeRecord(path, value, buf, rec)
	return err == nil, buf, s.seen(err)
}

// seek finds the value of key; it is valid until the iterator is closed. The
// iterator is nil when there is none. pebble.DB.Get does not ask the filters of the last level,
// where nearly everything is: with them a miss costs 1.5 us instead of 6, and
// a hit the same.
func (s *Store) seek(key []byte) (value []byte, it *pebble.Iterator, err error) {
	it, err = s.db.NewIter(&pebble.IterOptions{UseL6Filters: true})
	if err != nil {
		return nil, nil, err
	}
	if it.SeekPrefixGE(key) && bytes.Equal(it.Key(), key) {
		if value, err = it.ValueAndErr(); err == nil {
			return value, it, nil
		}
	}
	if cerr := it.Close(); err == nil {
		err = cerr
	}
	return nil, nil, err
}

// Children implements [Backend].
func (s *Store) Children(path []byte, fn func(name []byte) bool) error {
	lower, upper := childBounds(path)
	s.noteRead()
	return s.scan(lower, upper, func(key, _ []byte) (bool, error) {
		return fn(key[len(lower):]), nil
	})
}

// Owned implements [Backend].
func (s *Store) Owned(fn func(owner int64, path []byte) bool) error {
	var path []byte
	return s.scan([]byte{keyOwned}, []byte{keyOwned + 1}, func(key, value []byte) (more bool, err error) {
		if path, err = appendKeyPath(path[:0], key); err != nil {
			return false, err
		}
		if len(value) != 8 {
			return false, fmt.Errorf("znode: owner of %q: %w: %d bytes", path, ErrCorrupt, len(value))
		}
		return fn(int64(binary.BigEndian.Uint64(value)), path), nil
	})
}

// scan calls fn for the keys from lower to upper of one checkpoint.
func (s *Store) scan(lower, upper []byte, fn func(key, value []byte) (more bool, err error)) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	return s.seen(scanKeys(s.db, lower, upper, fn))
}

// scanKeys is scan over the database or a snapshot of it.
func scanKeys(r pebble.Reader, lower, upper []byte, fn func(key, value []byte) (more bool, err error)) error {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return storeReadError(string(lower), err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			_ = it.Close() // it says the same
			return storeReadError(string(lower), err)
		}
		if more, err := fn(it.Key(), value); err != nil || !more {
			return errors.Join(err, it.Close())
		}
	}
	return storeReadError(string(lower), it.Close())
}

// DiskBytes implements [Backend]: the files of the store, those that wait for
// deletion included.
func (s *Store) DiskBytes() int64 {
	if s.enter() != nil {
		return 0
	}
	defer s.gate.leave()
	return int64(s.db.Metrics().DiskSpaceUsage())
}

// Close implements [Backend]. It waits for calls under way; every [Snapshot]
// must have been closed.
func (s *Store) Close() error {
	if !s.gate.close() {
		return ErrStoreClosed
	}
	var err error
	if !s.stuck.Load() {
		err = s.guard(s.db.Close)
	}
	return errors.Join(err, s.lock.Close())
}

// storeReadError says what was being read when Pebble failed.
func storeReadError(what string, err error) error {
	if err == nil {
		return nil
	}
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("znode: reading %q: %w", what, pebbleDamage(err))
	}
	return fmt.Errorf("znode: reading %q: %w", what, err)
}

// damageError is damage that Pebble found: [ErrCorrupt], and where. Pebble's own
// text does not name the file, but a carrier of details that is of no use to anybody.
type damageError struct {
	file  string
	cause error
}

func pebbleDamage(err error) error {
	d := &damageError{cause: err}
	if info := pebble.ExtractDataCorruptionInfo(err); info != nil {
		d.file = info.Path
	}
	return d
}

// Error implements [error].
func (d *damageError) Error() string {
	text := strings.TrimSpace(strings.ReplaceAll(d.cause.Error(), "<corruption detail carrier>", ""))
	if d.file != "" && !strings.Contains(text, d.file) {
		text = d.file + ": " + text
	}
	return ErrCorrupt.Error() + ": " + text
}

// Unwrap has it be [ErrCorrupt] as well as what it comes from.
func (d *damageError) Unwrap() []error { return []error{ErrCorrupt, d.cause} }

// enter begins a call that uses the database; gate.leave ends it.
func (s *Store) enter() error {
	if err := s.failed(); err != nil {
		return err
	}
	return s.gate.enter()
}

// failed returns what broke the store for good, or nil.
func (s *Store) failed() error {
	if err := s.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// fail makes every later call return the first such error.
func (s *Store) fail(err error) {
	err = fmt.Errorf("znode: store %s: %w", s.opts.Dir, err)
	if s.failure.CompareAndSwap(nil, &err) {
		s.opts.Logger("%v", err)
		s.opts.Failed(err)
	}
}

// seen makes the store fail when what was read is damaged, and returns err: whoever
// reads on would sooner or later serve what was not written.
func (s *Store) seen(err error) error {
	if errors.Is(err, ErrCorrupt) {
		s.fail(err)
	}
	return err
}

// guard runs fn, during which Pebble may find that it cannot go on. Pebble
// says so through Logger.Fatalf and expects not to return from it; storeLogger
// then ends the goroutine, which is why fn gets one of its own.
func (s *Store) guard(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		defer close(done)
		done <- fn()
	}()
	err, finished := <-done
	if !finished {
		return s.failed()
	}
	return err
}

// storeLogger is Pebble's pebble.Logger.
type storeLogger struct{ s *Store }

// Infof drops what only Pebble's authors want to know.
func (storeLogger) Infof(string, ...any) {}

// Errorf tells the operator what went wrong in the background.
func (l storeLogger) Errorf(format string, args ...any) {
	l.s.opts.Logger("znode: store %s: "+format, append([]any{l.s.opts.Dir}, args...)...)
}

// Fatalf keeps the server alive to say what happened and to stop in order:
// the store fails, and the goroutine that cannot go on ends. Pebble may hold
// locks here, so nothing touches the database any more, and the directory
// stays locked until the process ends.
func (l storeLogger) Fatalf(format string, args ...any) {
	l.s.stuck.Store(true)
	l.s.fail(fmt.Errorf(format, args...))
	runtime.Goexit()
}

// storeGate counts the calls inside, so that Close can wait for them.
type storeGate struct {
	mu     sync.Mutex
	inside int
	closed bool
	empty  chan struct{} // made by close, closed by the last to leave
}

func (g *storeGate) enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return ErrStoreClosed
	}
	g.inside++
	return nil
}

func (g *storeGate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.closed && g.inside == 0 {
		close(g.empty)
	}
}

// close lets nobody in and returns when nobody is inside; false when it was
// closed already.
func (g *storeGate) close() bool {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return false
	}
	g.closed, g.empty = true, make(chan struct{})
	if g.inside == 0 {
		close(g.empty)
	}
	g.mu.Unlock()
	<-g.empty
	return true
}
