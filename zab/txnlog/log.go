package txnlog

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/quorate/quorate/zab/zxids"
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrTooLong says that an entry of the batch is longer than EntryBytesMax. Nothing was written; the log goes on.
	ErrTooLong = errors.New("transaction too long for the log")
	// ErrNotConsecutive says that the batch does not continue the history. Nothing was written; the log goes on.
	ErrNotConsecutive = errors.New("transaction does not follow the last one of the log")
	// ErrMissing says that entries that were asked for are not in the log (purged, or lost).
	ErrMissing = errors.New("log entries missing")
	// ErrTruncated says that the log was truncated under an Iterator.
	ErrTruncated = errors.New("log truncated while being read")
	// ErrClosed says that the log has been closed.
	ErrClosed = errors.New("log closed")
)

// PreallocBytesDefault is ZooKeeper's preAllocSize, 64 MiB.
const PreallocBytesDefault = 64 << 20

// Options of a Log. Only Dir is needed.
type Options struct {
	// Dir is where the log files are, <dataLogDir>/version-2. It is created when missing.
	Dir string
	// FS is the file system; nil is OS().
	FS FS
	// PreallocBytes is by how much a file grows at a time (preAllocSize), so that a sync need not record a new size. 0 is
	// PreallocBytesDefault, a negative number turns it off. The price is room on disk that may stay unused in one file.
	PreallocBytes int64
	// NoSync makes Sync return at once (forceSync=no): faster, and a power loss takes acknowledged writes with it.
	NoSync bool
	// EntryBytesMax is the longest payload, in bytes, written and believed when read. 0 is EntryBytesMaxDefault; a Java
	// server reads none above EntryBytesMaxJava unless told to.
	EntryBytesMax int
	// Register is the path of a small file that lists the files of the log, so that Open misses one that is gone. It
	// belongs outside Dir, on another disk if there is one; its directory must exist. Without the file Open believes what
	// it finds, and makes it. "" is none. With NoSync nothing is listed: a power loss may take any file.
	Register string
	// AsideThrough is the last zxid that a file may begin with to be renamed where it would be removed because nothing in
	// it is needed any more: to AsidePrefix and its name. It is for the files of a Java server, which an operator may
	// want to go back to. Files that are cut off (Truncate) are removed all the same: a Java server would do so too. 0 is none.
	AsideThrough int64
	// RollBytes is the size in bytes from which on a new file is started (txnLogSizeLimitInKb). 0 is never by size.
	RollBytes int64
}

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = OS()
	}
	if o.PreallocBytes == 0 {
		o.PreallocBytes = PreallocBytesDefault
	}
	if o.EntryBytesMax == 0 {
		o.EntryBytesMax = EntryBytesMaxDefault
	}
	return o
}

// FileInfo describes one file of a log.
type FileInfo struct {
	Name      string // without directory
	FirstZxid int64  // of its first entry
	Bytes     int64  // size; of the file being written, how much has been written
	Active    bool   // the file being written

	// whole: everything before Bytes has been seen or written as whole entries, so nothing in it can be a torn tail.
	whole bool
	// runs is what the file holds, as far as it is known without reading it; nil when it is not.
	runs []Run
}

// Log is the transaction log of one server.
//
// Append, Sync, Truncate, SkipTo and Close belong to one writer at a time (a lock makes others wait); everything else
// may be called by anyone at any time and does not wait for the disk, except Purge and Read for their own work.
// After a failed write or sync every call that would change the log returns that same error.
type Log struct {
	o      Options
	prefix string // of the files' names
	roll   atomic.Bool

	writer sync.Mutex // held by the writer, also during its I/O; never by readers
	active activeFile
	skip   int64 // what SkipTo set
	reg    *register
	// unlisted says that a file has been created that is not in the register yet.
	unlisted bool

	removal sync.Mutex // held by Purge and Truncate, so that each finds the files it decided about

	mu       sync.Mutex // guards what follows; never held during I/O
	files    []FileInfo // by FirstZxid
	last     int64
	err      error // sticky
	truncGen int   // counts Truncate
}

// Open reads the directory, finds the end of the log and makes it ready for Append, which will start a new file.
//
// A torn tail of the newest file, which is what a crash leaves of a write that was not synced, is cut off, durably.
// Files without any entry are removed. A file that is in the register must be there with an entry. Whatever else is wrong with the newest file, and a foreign file under a log's
// name, is a *CorruptError; nothing is changed then. Older files are checked when they are read.
func Open(o Options) (*Log, error) {
	l := &Log{o: o.withDefaults(), prefix: logPrefix}
	if err := l.o.FS.MkdirAll(l.o.Dir); err != nil {
		return nil, fmt.Errorf("create the directory of the transaction log: %w", err)
	}
	if err := l.recover(); err != nil {
		return nil, err
	}
	return l, nil
}

// Append writes the entries of the batch with one write. They are not durable before Sync, and the batch may be reset
// as soon as Append returns. ErrTooLong and ErrNotConsecutive refuse the whole batch and leave the log as it is; any
// other error is final.
func (l *Log) Append(b *Batch) error {
	l.writer.Lock()
	defer l.writer.Unlock()
	if err := l.Err(); err != nil {
		return err
	}
	if b.Len() == 0 {
		return nil
	}
	if err := b.check(l.prevFor(b), l.o.EntryBytesMax); err != nil {
		return err
	}
	if err := l.write(b); err != nil {
		return l.fail(fmt.Errorf("append to the transaction log: %w", err))
	}
	return nil
}

// prevFor returns the zxid that the first of the batch must follow. An empty log takes any first entry: what came
// before it is in a checkpoint.
func (l *Log) prevFor(b *Batch) int64 {
	prev := max(l.LastZxid(), l.skip)
	if prev == 0 {
		return b.entries[0].zxid - 1
	}
	return prev
}

func (l *Log) write(b *Batch) error {
	if err := l.ensureActive(b.entries[0].zxid); err != nil {
		return err
	}
	if err := l.active.write(b, l.o); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = b.last()
	f := &l.files[len(l.files)-1]
	f.Bytes, f.runs = l.active.pos, b.extend(f.runs)
	return nil
}

// ensureActive makes sure that there is a file to write to, a new one if it is time for that: each epoch begins one, so
// that names and seals say all about what the log holds.
func (l *Log) ensureActive(firstZxid int64) error {
	full := l.o.RollBytes > 0 && l.active.pos >= l.o.RollBytes || zxids.Epoch(firstZxid) != zxids.Epoch(l.LastZxid())
	if asked := l.roll.Swap(false); l.active.f != nil && (asked || full) {
		if err := l.finishActive(); err != nil {
			return err
		}
	}
	if l.active.f != nil {
		return nil
	}
	name := prefixedName(l.prefix, firstZxid)
	a, err := createActive(l.o, name)
	if err != nil {
		return err
	}
	l.active, l.unlisted = a, true
	l.mu.Lock()
	defer l.mu.Unlock()
	l.files = append(l.files, FileInfo{Name: name, FirstZxid: firstZxid, Bytes: a.pos, Active: true, whole: true})
	return nil
}

// finishActive makes the active file an old one: synced, so that only the newest file can ever be torn, and cut to
// its length.
func (l *Log) finishActive() error {
	files := l.Files()
	err := l.active.finish(files[len(files)-1].runs)
	l.active = activeFile{}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.files[len(l.files)-1].Active = false
	return err
}

// Sync makes durable what has been appended, with one fdatasync, or none when nothing was appended since. An error is
// final: what the disk holds is then unknown, and the server must stop voting.
func (l *Log) Sync() error {
	l.writer.Lock()
	defer l.writer.Unlock()
	if err := l.Err(); err != nil {
		return err
	}
	err := l.active.sync(l.o)
	if err == nil && l.unlisted {
		err = l.list()
	}
	if err != nil {
		return l.fail(fmt.Errorf("sync the transaction log: %w", err))
	}
	return nil
}

// list puts the newest file, which has a durable entry, into the register.
func (l *Log) list() error {
	files := l.Files()
	if n := len(files); n > 0 {
		if err := l.reg.prove(l.Files, files[n-1].FirstZxid); err != nil {
			return err
		}
	}
	l.unlisted = false
	return nil
}

// fail makes err the answer to every later call and returns it.
func (l *Log) fail(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
	return err
}

// Err returns the error that ended the log, or nil.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// LastZxid returns the zxid of the last entry on disk or appended, 0 when there is none.
func (l *Log) LastZxid() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// FirstZxid returns the zxid of the oldest entry, 0 when there is none.
func (l *Log) FirstZxid() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.files) == 0 {
		return 0
	}
	return l.files[0].FirstZxid
}

// Roll makes the next Append start a new file, as a snapshot's start does in ZooKeeper.
func (l *Log) Roll() { l.roll.Store(true) }

// SkipTo tells the log that the state up to zxid came from elsewhere (a snapshot from the leader): the next Append must
// follow zxid instead of the last entry, and starts a new file. Entries before the gap stay until they are purged; Read
// from before it fails with ErrMissing. It does nothing when the log reaches zxid already.
func (l *Log) SkipTo(zxid int64) {
	l.writer.Lock()
	defer l.writer.Unlock()
	if zxid > l.LastZxid() {
		l.skip = zxid
		l.Roll()
	}
}

// SizeBytes returns how many bytes the log's entries take, without what is preallocated.
func (l *Log) SizeBytes() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return sizeOf(l.files)
}

func sizeOf(files []FileInfo) (n int64) {
	for _, f := range files {
		n += f.Bytes
	}
	return n
}

// Files describes the files of the log, oldest first.
func (l *Log) Files() []FileInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	files := append([]FileInfo(nil), l.files...)
	if n := len(files); n > 0 && files[n-1].Active {
		files[n-1].runs = slices.Clone(files[n-1].runs) // Append goes on to change it
	}
	return files
}

// Close makes durable what was appended and closes the file. It returns the error that ended the log earlier, if one
// did. Closing again is harmless.
func (l *Log) Close() error {
	l.writer.Lock()
	defer l.writer.Unlock()
	err := l.Err()
	if errors.Is(err, ErrClosed) {
		return nil
	}
	if l.active.f == nil {
		l.fail(ErrClosed) //nolint:errcheck // it is the mark of being closed
		return err
	}
	if err != nil {
		err = errors.Join(err, l.active.f.Close())
		l.active = activeFile{}
		return err
	}
	err = l.finishActive()
	l.fail(ErrClosed) //nolint:errcheck // as above
	return err
}

func (l *Log) path(name string) string { return filepath.Join(l.o.Dir, name) }
