package server

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/zab/txnlog"
	"github.com/quorate/quorate/znode"
)

// Recovery says what a start found, for the line the operator reads.
type Recovery struct {
	Znodes     int64
	Zxid       int64
	Checkpoint int64 // zxid of the tree at rest
	Replayed   int64 // transactions read from the log
	Imported   bool  // from a Java data directory
	Took       time.Duration
}

// Recovery returns what the start found.
func (s *Server) Recovery() Recovery { return s.recovered }

// treeDir is where under dataDir the tree at rest lives. Its name must not
// start like a file of ZooKeeper's.
const treeDir = "quorate"

// entryBytesMax bounds a transaction in the log. Requests are bounded long
// before; what can be larger is the end of a session with very many ephemerals.
const entryBytesMax = 1 << 30

// versionDir is the directory of ZooKeeper's on-disk format.
const versionDir = "version-2"

// recover opens the tree at rest, importing a Java data directory into an
// empty one, and replays the log behind it.
func (s *Server) recover() error {
	began := time.Now()
	if err := s.makeRules(); err != nil {
		return err
	}
	logDir := filepath.Join(s.cfg.LogDir, versionDir)
	if err := ensureDirs(s.cfg.DataDir, logDir); err != nil {
		return err
	}
	var err error
	if err = s.openStore(); err != nil {
		return err
	}
	fresh, err := s.importJava()
	if err != nil {
		return err
	}
	s.tree, err = znode.Open(znode.Options{
		Backend: s.store, BudgetBytes: s.cfg.TreeBytes, Digest: s.rules.Digest,
		Kinds: s.rules.Kinds,
	})
	if err != nil {
		return fmt.Errorf("tree at rest in %s: %w", filepath.Join(s.cfg.DataDir, treeDir), err)
	}
	s.tree.ACLs().SetAuth(s.rules.Auth)
	if fresh {
		// From now on there is a checkpoint for the log to stand on: a log
		// without one would look like a Java server's that lost its snapshots.
		if err := checkpointNow(s.tree); err != nil {
			return err
		}
	}
	if s.recovered.Imported {
		s.tree.Lock()
		err := s.tree.MeasureQuotas()
		s.tree.Unlock()
		if err != nil {
			return fmt.Errorf("counting what quotas are about: %w", err)
		}
	}
	s.recovered.Checkpoint = s.tree.LastZxid()
	if err := s.openLog(logDir); err != nil {
		return err
	}
	s.recovered.Znodes, s.recovered.Zxid = s.tree.NodeCount(), s.tree.LastZxid()
	s.recovered.Took = time.Since(began)
	return nil
}

func (s *Server) openStore() (err error) {
	o := znode.StoreOptions{Dir: filepath.Join(s.cfg.DataDir, treeDir)}
	if s.cfg.hooks.store != nil {
		s.cfg.hooks.store(&o)
	}
	s.store, err = znode.OpenStore(o)
	return err
}

// openLog opens the transaction log and replays what it has beyond the tree.
func (s *Server) openLog(dir string) (err error) {
	o := txnlog.Options{
		Dir: dir, PreallocBytes: s.cfg.PreallocBytes, NoSync: s.cfg.NoSync,
		RollBytes: s.cfg.LogRollBytes, EntryBytesMax: entryBytesMax,
	}
	if s.cfg.hooks.log != nil {
		s.cfg.hooks.log(&o)
	}
	if s.txns, err = txnlog.Open(o); err != nil {
		return fmt.Errorf("transaction log: %w", err)
	}
	if err := s.replay(); err != nil {
		return fmt.Errorf("replaying the transaction log in %s: %w", dir, err)
	}
	// The tree may be ahead: of a log that lost its end because nothing was
	// synced (forceSync=no), or that did not come along with a snapshot.
	s.txns.SkipTo(s.tree.LastZxid())
	return nil
}

// importJava fills an empty store from the snapshots of a Java server. It
// reports whether the store is still empty, which it is when there are none.
func (s *Server) importJava() (fresh bool, err error) {
	_, found, err := s.store.Meta()
	if err != nil || found {
		return false, err
	}
	res, err := znode.ImportJava(znode.ImportOptions{
		DataDir: s.cfg.DataDir, DataLogDir: s.cfg.LogDir, TrustEmpty: s.cfg.TrustEmptySnapshot,
	}, s.store)
	if err != nil {
		return false, fmt.Errorf("importing ZooKeeper's data: %w", err)
	}
	for _, skipped := range res.Skipped {
		s.log.Warn("a ZooKeeper snapshot was passed over", zap.Error(skipped))
	}
	for _, w := range res.Warnings {
		s.log.Warn("import", zap.String("what", w))
	}
	if res.Snapshot == "" {
		return true, nil
	}
	s.recovered.Imported = true
	s.log.Info("imported a ZooKeeper snapshot", zap.String("file", res.Snapshot), zap.Int64("replayFrom", res.Replay))
	return false, nil
}

// replay applies what the log has beyond the tree at rest. All of it counts as
// committed: a standalone server acknowledges nothing else.
func (s *Server) replay() error {
	it, err := s.txns.Read(s.tree.LastZxid())
	if err != nil {
		return err
	}
	var res znode.Result
	var events []znode.Event
	for it.Next() {
		_, payload := it.Entry()
		if events, err = s.replayOne(payload, &res, events); err != nil {
			return errors.Join(err, it.Close())
		}
		s.recovered.Replayed++
		if s.recovered.Replayed%1024 == 0 {
			if err := s.settleReplay(); err != nil {
				return errors.Join(err, it.Close())
			}
		}
	}
	return errors.Join(it.Err(), it.Close())
}

func (s *Server) replayOne(payload []byte, res *znode.Result, events []znode.Event) ([]znode.Event, error) {
	rd := wire.NewReader(payload)
	var h znode.TxnHeader
	h.Decode(&rd)
	if err := rd.Err(); err != nil {
		return events, fmt.Errorf("transaction header: %w", err)
	}
	for {
		s.tree.Lock()
		out, err := s.tree.Apply(&h, rd.Remaining(), res, events[:0])
		s.tree.Unlock()
		var absent *znode.NotResidentError
		if !errors.As(err, &absent) {
			if err != nil {
				err = fmt.Errorf("transaction 0x%x: %w", h.Zxid, err)
			}
			return out, err
		}
		if err := s.tree.LoadMissing(absent); err != nil {
			return out, err
		}
	}
}

// settleReplay keeps a replay within the tree's budget: clean nodes are
// dropped, and when everything is changed, it is written to rest.
func (s *Server) settleReplay() error {
	for s.tree.OverBudget() {
		s.tree.Lock()
		n := s.tree.Evict(4096)
		s.tree.Unlock()
		if n > 0 || !s.tree.Pinned() {
			continue
		}
		if s.tree.DirtyBytes() == 0 {
			return nil // what is left has to be in memory
		}
		s.tree.Lock()
		c := s.tree.BeginCheckpoint()
		s.tree.Unlock()
		err := c.Write()
		s.tree.Lock()
		s.tree.EndCheckpoint(c, err)
		s.tree.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}
