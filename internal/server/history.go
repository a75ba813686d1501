package server

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/zab/txnlog"
	"github.com/quorate/quorate/znode"
)

// historyOptions say where a server's database is and how it is opened.
type historyOptions struct {
	// DataDir holds the tree at rest and the epoch files, LogDir the log. Both
	// contain version-2.
	DataDir, LogDir string
	// Alone is a server without peers: all that is logged is committed, and
	// there are no epochs.
	Alone bool
	// Store and Log are templates; their directories are filled in when empty.
	Store znode.StoreOptions
	Log   txnlog.Options
	// Rules and TreeBytes are what the tree is opened with.
	Rules     znode.Rules
	TreeBytes int64
	// TrustEmpty accepts a Java server's logs without a snapshot.
	TrustEmpty bool
	// Checkpoint has everything applied so far written to rest, and returns when
	// it is durable. nil is a server that writes no checkpoints; snapshots are
	// then made from copies.
	Checkpoint func() error
	// Logger hears what operators should know; nil is silence.
	Logger *zap.Logger
}

func (o *historyOptions) fillDefaults() {
	if o.Store.Dir == "" {
		o.Store.Dir = filepath.Join(o.DataDir, treeDir)
	}
	if o.Log.Dir == "" {
		o.Log.Dir = filepath.Join(o.LogDir, versionDir)
	}
	if o.Log.FS == nil {
		o.Log.FS = txnlog.OS()
	}
	if o.Log.Register == "" {
		o.Log.Register = filepath.Join(o.metaDir(), registerName)
	}
	if o.Log.EntryBytesMax == 0 {
		o.Log.EntryBytesMax = entryBytesMax
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
}

// registerName is the file in dataDir/version-2 by which a log file that is gone is
// missed ([txnlog.Options]).
const registerName = "quorate.logs"

// metaDir is where the epoch files are, and our own small ones.
func (o *historyOptions) metaDir() string { return filepath.Join(o.DataDir, versionDir) }

// history is the storage of one server: the tree at rest, the transaction log
// and, for a member of an ensemble, the epoch files. It is the disk of zab's
// DESIGN.md, section "What the runtime does with a Ready".
//
// The log may end in transactions of which nobody knows whether they are
// committed; the tree never holds one of those. A snapshot from a leader
// replaces both in one step (history_install.go).
//
// write, noteCommitted, roll and purge belong to one goroutine, the disk's.
// Everything else may be called from any goroutine, also meanwhile.
type history struct {
	o      historyOptions
	lock   io.Closer // of the log's directory
	log    *txnlog.Log
	epochs *txnlog.Epochs // nil when alone

	// The disk goroutine's.
	place placeFile
	note  noteFile
	noted int64 // as it was read at the start
	batch txnlog.Batch

	mu      sync.Mutex
	base    int64 // place.Base, for readers of the log
	current *resting
	retired []*resting
	number  int // of the last sibling store
	aside   map[zab.ConnID]*aside
	over    bool

	recovered Recovery
}

// resting is a tree, the store that it rests in, and who reads the store.
type resting struct {
	tree    *znode.Tree
	store   *znode.Store
	options znode.StoreOptions
	readers sync.WaitGroup
}

// openHistory opens a server's database, after finishing or undoing what a
// crash interrupted. An empty one is filled from the data directory of a Java
// server, if there is one. The tree is brought to the last transaction known to
// be committed. After an error nothing is held.
func openHistory(o historyOptions) (*history, error) {
	began := time.Now()
	o.fillDefaults()
	h := &history{o: o, aside: map[zab.ConnID]*aside{}}
	if err := h.open(); err != nil {
		return nil, errors.Join(err, h.close())
	}
	r := &h.recovered
	r.Znodes, r.Zxid, r.Took = h.current.tree.NodeCount(), h.current.tree.LastZxid(), time.Since(began)
	return h, nil
}

func (h *history) open() error {
	if err := ensureDirs(h.o.DataDir, h.o.LogDir); err != nil {
		return err
	}
	for _, dir := range []string{h.o.metaDir(), h.o.Log.Dir} {
		if err := h.o.Log.FS.MkdirAll(dir); err != nil {
			return &exitError{exitDataDir, fmt.Errorf("data directory: %w", err)}
		}
	}
	var err error
	if h.o.Log.FS == txnlog.OS() {
		if h.lock, err = lockLogDir(h.o.Log.Dir); err != nil {
			return err
		}
	}
	if h.place, err = readPlace(h.o.Log.FS, h.o.metaDir()); err != nil {
		return err
	}
	if err := h.checkIdentity(); err != nil {
		return err
	}
	if err := h.readImported(); err != nil {
		return err
	}
	if err := h.openTree(); err != nil {
		return err
	}
	if err := h.finishInstall(); err != nil {
		return err
	}
	if err := h.openLog(); err != nil {
		return err
	}
	if err := h.writeIdentity(); err != nil {
		return err
	}
	if h.o.Alone {
		return nil
	}
	last := max(h.log.LastZxid(), h.current.tree.LastZxid())
	if h.epochs, err = txnlog.OpenEpochs(h.o.Log.FS, h.o.metaDir(), last); err != nil {
		return fmt.Errorf("epochs: %w", err)
	}
	return nil
}

// bootScanBytes is how many bytes of log files that do not tell what they hold
// are read at a start to find out.
const bootScanBytes = 256 << 20

// unproven reports whether the tree at the start came from elsewhere, as a snapshot of a
// leader or of a Java server, and this server is not known to have followed or led since.
// Such a tree may hold some of what is only committed behind it.
func (h *history) unproven() bool {
	return h.noted == 0 && (h.place.Installs > 0 || h.place.Java > 0)
}

// boot returns what the core needs to know of the disk. All of the log behind
// the tree is read into memory.
func (h *history) boot() (b zab.Boot, err error) {
	applied := h.current.tree.LastZxid()
	b = zab.Boot{
		AcceptedEpoch: h.epochs.Accepted(), CurrentEpoch: h.epochs.Current(), Base: applied, Applied: applied,
	}
	if h.log.LastZxid() < applied {
		return b, nil
	}
	err = h.LogRange(applied, h.log.LastZxid(), func(zxid int64, data []byte) error {
		b.Tail = append(b.Tail, zab.Entry{Zxid: zxid, Data: append([]byte(nil), data...)})
		return nil
	})
	if err != nil {
		return b, err
	}
	runs, err := h.log.Runs(h.place.Base, bootScanBytes)
	if err != nil {
		return b, fmt.Errorf("transaction log: %w", err)
	}
	for _, r := range runs {
		b.Runs = append(b.Runs, zab.Run(r))
	}
	if len(runs) > 0 {
		switch first := runs[0].First; {
		case first > applied && !zab.Follows(applied, first):
			return b, fmt.Errorf("%w: the tree is at %s, the log behind it begins at %s",
				txnlog.ErrMissing, zab.FormatZxid(applied), zab.FormatZxid(first))
		case first > applied: // nothing can have been purged in between
		case zab.Follows(h.place.Base, first):
			b.Base = h.place.Base
		default:
			b.Base = first - 1
		}
	}
	return b, nil
}

// tree returns the present tree.
func (h *history) tree() *znode.Tree {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.current.tree
}

// diskBytes is the room that the tree at rest takes.
func (h *history) diskBytes() int64 {
	r := h.hold()
	if r == nil {
		return 0
	}
	defer r.readers.Done()
	return r.store.DiskBytes()
}

// hold returns the present store for reading, until readers.Done; nil when the
// history is closed.
func (h *history) hold() *resting {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over || h.current == nil {
		return nil
	}
	h.current.readers.Add(1)
	return h.current
}

// retire closes the tree that an installed snapshot has replaced, which nobody
// reads any more, and removes its store. It waits for snapshots of it that are
// still being sent.
func (h *history) retire(old *znode.Tree) error {
	r := h.takeRetired(old)
	if r == nil {
		return nil
	}
	r.readers.Wait()
	if err := r.close(); err != nil {
		return err
	}
	return r.options.Remove()
}

func (h *history) takeRetired(old *znode.Tree) *resting {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, r := range h.retired {
		if r.tree == old {
			h.retired = append(h.retired[:i:i], h.retired[i+1:]...)
			return r
		}
	}
	return nil
}

func (r *resting) close() error {
	var errs []error
	if r.tree != nil {
		errs = append(errs, r.tree.Close())
	}
	if r.store != nil {
		errs = append(errs, r.store.Close())
	}
	return errors.Join(errs...)
}

// close waits for snapshots being sent and closes everything. Nothing may be
// called any more but DropSnapshot. Closing again is harmless.
func (h *history) close() error {
	h.mu.Lock()
	over := h.over
	h.over = true
	all := append(h.retired, h.current)
	conns := h.aside
	h.retired, h.aside = nil, nil
	h.mu.Unlock()
	if over {
		return nil
	}
	var errs []error
	for _, a := range conns {
		errs = append(errs, a.drop())
	}
	for _, r := range all {
		if r != nil {
			r.readers.Wait()
			errs = append(errs, r.close())
		}
	}
	if h.log != nil {
		errs = append(errs, h.log.Close())
	}
	errs = append(errs, h.note.close())
	if h.lock != nil {
		errs = append(errs, h.lock.Close())
	}
	return errors.Join(errs...)
}
