package server

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/quorate/quorate/zab/txnlog"
	"github.com/quorate/quorate/znode"
)

// disks are a server's two file systems, in memory, which lose power together.
//
// A power loss is a copy of both at one moment, made before an operation that
// changes one of them. The moment is the same for both because the log stands
// still while the copies are made: each of its operations holds the gate.
type disks struct {
	log   *txnlog.MemFS
	store *vfs.MemFS
	acked atomic.Int64 // the highest zxid that a client was told

	gate    sync.Mutex
	rng     *rand.Rand
	record  bool
	crashes []crash
	// fail makes operations of the log fail.
	fail func(txnlog.Op) error
}

// crash is what a power loss left.
type crash struct {
	log   *txnlog.MemFS
	store *vfs.MemFS
	at    string // the operation that it hit
	acked int64  // when it hit
}

func newDisks(seed uint64) *disks {
	return &disks{
		log: txnlog.NewMemFS(), store: vfs.NewCrashableMem(),
		rng: rand.New(rand.NewPCG(seed, 7)), record: true,
	}
}

// disks are those that a server finds after the crash.
func (c *crash) disks(seed uint64) *disks {
	d := newDisks(seed)
	d.log, d.store, d.record = c.log, c.store, false
	d.acked.Store(c.acked)
	return d
}

// config puts a server's storages on the disks.
func (d *disks) config(cfg Config) Config {
	cfg.hooks.log = func(o *txnlog.Options) { o.Dir, o.FS = "/log", &gatedFS{d} }
	cfg.hooks.store = func(o *znode.StoreOptions) { o.Dir, o.FS = "/tree", d.storeFS() }
	return cfg
}

func (d *disks) storeFS() vfs.FS {
	return &linkFS{d: d, FS: errorfs.Wrap(d.store, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			d.gate.Lock()
			d.crash(fmt.Sprintf("tree: %v %s", op.Kind, filepath.Base(op.Path)))
			d.gate.Unlock()
		}
		return nil
	}))}
}

// linkFS links behind the gate: MemFS.Link takes a lock twice for reading, and
// a copy of the file system that begins in between would wait for ever, and
// Link for it.
type linkFS struct {
	vfs.FS
	d *disks
}

// Link implements [vfs.FS].
func (l *linkFS) Link(from, to string) error {
	l.d.gate.Lock()
	defer l.d.gate.Unlock()
	l.d.crash("tree: link " + filepath.Base(to))
	return l.d.store.Link(from, to)
}

// Unwrap implements [vfs.FS].
func (l *linkFS) Unwrap() vfs.FS { return l.FS }

// crash copies the disks. The gate is held.
func (d *disks) crash(at string) {
	if !d.record {
		return
	}
	c := crash{at: at, acked: d.acked.Load()} // before the copies: all of it must be in them
	c.store = d.store.CrashClone(vfs.CrashCloneCfg{
		UnsyncedDataPercent: []int{0, 30, 70, 100}[d.rng.IntN(4)], RNG: d.rng,
	})
	c.log = d.log.Crash(int64(d.rng.Uint64() >> 1))
	d.crashes = append(d.crashes, c)
}

// op does one operation of the log.
func (d *disks) op(kind txnlog.OpKind, name string, f func() error) error {
	d.gate.Lock()
	defer d.gate.Unlock()
	d.crash(fmt.Sprintf("log: %s %s", kind, filepath.Base(name)))
	if d.fail != nil {
		if err := d.fail(txnlog.Op{Kind: kind, Name: name}); err != nil {
			return err
		}
	}
	return f()
}

// gatedFS is the log's file system: each change passes the gate.
type gatedFS struct{ d *disks }

func (g *gatedFS) MkdirAll(dir string) error {
	return g.d.op(txnlog.OpMkdir, dir, func() error { return g.d.log.MkdirAll(dir) })
}

func (g *gatedFS) List(dir string) ([]string, error) { return g.d.log.List(dir) }

func (g *gatedFS) Create(name string) (f txnlog.File, err error) {
	err = g.d.op(txnlog.OpCreate, name, func() error { f, err = g.d.log.Create(name); return err })
	return &gatedFile{f, g.d, name}, err
}

func (g *gatedFS) Open(name string, write bool) (txnlog.File, error) {
	f, err := g.d.log.Open(name, write)
	return &gatedFile{f, g.d, name}, err
}

func (g *gatedFS) Rename(from, to string) error {
	return g.d.op(txnlog.OpRename, from, func() error { return g.d.log.Rename(from, to) })
}

func (g *gatedFS) Remove(name string) error {
	return g.d.op(txnlog.OpRemove, name, func() error { return g.d.log.Remove(name) })
}

func (g *gatedFS) SyncDir(dir string) error {
	return g.d.op(txnlog.OpSyncDir, dir, func() error { return g.d.log.SyncDir(dir) })
}

// gatedFile is a file of a gatedFS; reads, Size and Close are the file's own.
type gatedFile struct {
	txnlog.File
	d    *disks
	name string
}

func (f *gatedFile) WriteAt(b []byte, off int64) (n int, err error) {
	err = f.d.op(txnlog.OpWrite, f.name, func() error { n, err = f.File.WriteAt(b, off); return err })
	return n, err
}

func (f *gatedFile) Sync() error { return f.d.op(txnlog.OpSync, f.name, f.File.Sync) }

func (f *gatedFile) Truncate(size int64) error {
	return f.d.op(txnlog.OpTruncate, f.name, func() error { return f.File.Truncate(size) })
}

func (f *gatedFile) Preallocate(size int64) error {
	return f.d.op(txnlog.OpPreallocate, f.name, func() error { return f.File.Preallocate(size) })
}
