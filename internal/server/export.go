package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

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
		path, err := znode.ExportJava(snap, s.cfg.exportOptions(out))
		r.Files = append(r.Files, path)
		return errors.Join(err, snap.Close())
	})
}

// ExportInPlace turns the directories of cfg into those of a Java server: a snapshot
// of the tree is written beside the log and the epochs, which have Java's format
// already, and the tree at rest is removed. Of a member of an ensemble nothing is
// lost that it has acknowledged, committed or not. A later start of this server takes
// over from Java's files. The server that owns the directories must be stopped.
func ExportInPlace(cfg Config) (Report, error) {
	var files []string
	var h *history
	r, err := offline(cfg, func(s *Server, r *Report) error {
		snap, err := s.store.Snapshot()
		if err != nil {
			return err
		}
		path, err := znode.ExportJavaSnapshot(snap, s.cfg.exportOptions(s.cfg.DataDir))
		h, files = s.history, append(files, path)
		return errors.Join(err, snap.Close())
	})
	if err == nil {
		err = h.release()
	}
	r.Files = files
	return r, err
}

// exportOptions say how snapshots for Java servers are written.
func (c *Config) exportOptions(dir string) znode.ExportOptions {
	return znode.ExportOptions{
		DataDir: dir, Compression: c.SnapshotCompression,
		Snapshot: znode.JavaSnapshotOptions{LastZxid: c.SnapshotLastZxid},
	}
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

// offline recovers the database without serving it, brings the tree at rest up to
// what is known to be committed, and hands it to f. In the log of a server alone that
// is everything; that of a member may end in what is not.
func offline(cfg Config, f func(*Server, *Report) error) (Report, error) {
	cfg.fillDefaults()
	s := newServer(cfg)
	r := Report{}
	member, err := s.wasMember()
	if err == nil {
		err = s.openDatabase(!member)
	}
	if err == nil {
		err = checkpointNow(s.tree)
	}
	if err == nil {
		r.Recovery, r.Sessions, r.Digest = s.recovered, s.tree.SessionCount(), s.tree.Digest()
		err = f(s, &r)
	}
	return r, errors.Join(err, s.closeStorage())
}

// wasMember reports whether the directories are those of a member of an ensemble: a
// server alone has promised no epochs.
func (s *Server) wasMember() (bool, error) {
	if s.cfg.Ensemble != nil {
		return true, nil
	}
	_, err := os.Lstat(filepath.Join(s.cfg.DataDir, versionDir, "acceptedEpoch"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
