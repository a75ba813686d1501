package server

import (
	"errors"
	"fmt"

	"github.com/quorate/quorate/znode"
)

// Report says what an offline command found or wrote.
type Report struct {
	Recovery
	Sessions int
	Digest   uint64
	Files    []string
}

// Export writes the database under cfg's directories as a data directory that
// Java ZooKeeper starts from. The server that owns the directories must be
// stopped; out must hold no ZooKeeper data.
func Export(cfg Config, out string) (Report, error) {
	return offline(cfg, func(s *Server, r *Report) error {
		snap, err := s.store.Snapshot()
		if err != nil {
			return err
		}
		path, err := znode.ExportJava(snap, znode.ExportOptions{DataDir: out})
		r.Files = append(r.Files, path)
		return errors.Join(err, snap.Close())
	})
}

// Check opens the database under cfg's directories as a start would, reads
// every znode, and reports what it found. The server must be stopped.
func Check(cfg Config) (Report, error) {
	return offline(cfg, func(s *Server, r *Report) error {
		return s.verify(r)
	})
}

// verify walks the whole tree and compares the digest and the count with what
// the checkpoint says.
func (s *Server) verify(r *Report) error {
	snap, err := s.store.Snapshot()
	if err != nil {
		return err
	}
	var digest uint64
	var count int64
	err = snap.Walk(func(path []byte, rec *znode.Record) error {
		count++
		digest += znode.NodeDigest(znode.DataPrefix(path, rec.Data), &rec.Stat, path)
		return nil
	})
	if err = errors.Join(err, snap.Close()); err != nil {
		return err
	}
	if digest != r.Digest || count != r.Znodes {
		return fmt.Errorf("check: the tree at rest has %d znodes and digest %d, its checkpoint says %d and %d",
			count, digest, r.Znodes, r.Digest)
	}
	return nil
}

// offline recovers the database without serving it, brings the tree at rest
// up to the end of the log, and hands it to f.
func offline(cfg Config, f func(*Server, *Report) error) (Report, error) {
	cfg.fillDefaults()
	s := newServer(cfg)
	r := Report{}
	err := s.recover()
	if err == nil {
		err = checkpointNow(s.tree)
	}
	if err == nil {
		r.Recovery, r.Sessions, r.Digest = s.recovered, s.tree.SessionCount(), s.tree.Digest()
		err = f(s, &r)
	}
	return r, errors.Join(err, s.closeStorage())
}
