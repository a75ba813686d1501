package server

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"go.uber.org/zap"

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

// recover opens the database of a server without peers: all that is in its log
// is committed.
func (s *Server) recover() error { return s.openDatabase(true) }

// openHistory opens the database of a member of an ensemble.
func (s *Server) openHistory() error { return s.openDatabase(false) }

func (s *Server) openDatabase(alone bool) error {
	if err := s.makeRules(); err != nil {
		return err
	}
	if err := s.cfg.prepareDirs(alone); err != nil {
		return err
	}
	h, err := openHistory(s.historyOptions(alone))
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return &exitError{exitDataDir, err}
	}
	if err != nil {
		return err
	}
	if err := s.cfg.useUpInitialize(); err != nil {
		return errors.Join(err, h.close())
	}
	s.history, s.recovered = h, h.recovered
	s.store, s.tree, s.txns = h.current.store, h.current.tree, h.log
	return nil
}

// historyOptions says where the database is.
func (s *Server) historyOptions(alone bool) historyOptions {
	c := &s.cfg
	o := historyOptions{
		DataDir: c.DataDir, LogDir: c.LogDir, Alone: alone,
		Store: znode.StoreOptions{
			Background: s.loop.ckpt.standBack, Yield: s.loop.ckpt.yield, Failed: s.loop.storeFailed,
			Logger: func(format string, args ...any) {
				s.log.Warn("tree at rest", zap.String("what", fmt.Sprintf(format, args...)))
			},
		},
		Log: txnlog.Options{
			PreallocBytes: c.PreallocBytes, NoSync: c.NoSync || c.observesUnsynced(), RollBytes: c.LogRollBytes,
		},
		Rules: s.rules, TreeBytes: c.TreeBytes, TrustEmpty: c.TrustEmptySnapshot,
		Logger: s.log,
	}
	if !alone {
		o.Checkpoint = s.checkpointApplied
	}
	o.fillDefaults()
	if c.hooks.store != nil {
		c.hooks.store(&o.Store)
	}
	if c.hooks.log != nil {
		c.hooks.log(&o.Log)
	}
	return o
}

// checkpointApplied has everything applied so far written to rest, and returns
// when it is durable. Any goroutine but the loop's may call it.
func (s *Server) checkpointApplied() error {
	done := make(chan error, 1)
	ok := s.loop.do(func() {
		tree := s.rep.Tree()
		s.loop.ckpt.await(tree.LastZxid(), done)
	})
	if !ok {
		return errStageEnded
	}
	select {
	case err := <-done:
		return err
	case <-s.stopped:
		return errStageEnded
	}
}
