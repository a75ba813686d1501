package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/zab/transport"
)

// exitError is an error that wants an exit code of ZooKeeper's, for supervisors
// that look at it.
type exitError struct {
	code int
	error
}

// ExitCode is what the process should end with.
func (e *exitError) ExitCode() int { return e.code }

// Unwrap returns the error.
func (e *exitError) Unwrap() error { return e.error }

// ZooKeeper's exit codes for what cannot be had (ExitCode).
const (
	exitDataDir    = 3
	exitQuorumPort = 14
)

// PortUnavailable reports whether Open failed because a port for members of the
// ensemble cannot be had now: another process that is on its way out has it, or the
// machine does not yet have the address, or its name. A bad configuration is none of it.
func PortUnavailable(err error) bool {
	var e *exitError
	return errors.As(err, &e) && e.code == exitQuorumPort && !errors.Is(err, transport.ErrOptions)
}

// ensureDirs creates the data directories.
func ensureDirs(dirs ...string) error {
	for _, d := range dirs {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return &exitError{exitDataDir, fmt.Errorf("data directory: %w", err)}
		}
	}
	return nil
}

const (
	// initializeName is the file by which an operator says that an empty database
	// is meant (zkServer-initialize.sh).
	initializeName = "initialize"
	// blankName marks a member whose database is empty although nobody has said
	// that it is meant to be.
	blankName = "quorate.blank"
)

// prepareDirs looks at the directories before the database is opened: whether they
// are there, if they may not be made, and whether an empty one is to be trusted.
func (c *Config) prepareDirs(alone bool) error {
	dirs := []string{filepath.Join(c.DataDir, versionDir), filepath.Join(c.LogDir, versionDir)}
	if c.NoDirAutocreate {
		for _, d := range dirs {
			if _, err := os.Stat(d); err != nil {
				return &exitError{exitDataDir, fmt.Errorf("data directory: %w; datadir.autocreate is false", err)}
			}
		}
	}
	if !c.NoDBAutocreate {
		return nil
	}
	if full, err := c.hasDatabase(dirs); err != nil || full {
		return err
	}
	if _, err := os.Stat(filepath.Join(c.DataDir, initializeName)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if alone {
		return fmt.Errorf("the database in %s is empty, db.autocreate is false, and there is no file %q",
			c.DataDir, filepath.Join(c.DataDir, initializeName))
	}
	return c.markBlank(dirs[0])
}

// hasDatabase reports whether there is anything to start from: a tree of ours, or
// files of a Java server.
func (c *Config) hasDatabase(dirs []string) (bool, error) {
	entries, err := os.ReadDir(c.DataDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if slices.ContainsFunc(entries, func(e os.DirEntry) bool { return strings.HasPrefix(e.Name(), treeDir) }) {
		return true, nil
	}
	for _, d := range dirs {
		entries, err := os.ReadDir(d)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		for _, e := range entries {
			if kind, _, ok := strings.Cut(e.Name(), "."); ok && (kind == "snapshot" || kind == "log") {
				return true, nil
			}
		}
	}
	return false, nil
}

// markBlank leaves a mark that outlives a restart: the next one finds a database,
// if an empty one.
func (c *Config) markBlank(dir string) error {
	if err := ensureDirs(dir); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, blankName))
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// blank reports whether this member must not vote before it has been synchronized,
// because it may stand in for one that had acknowledged writes. last is the end of
// its history.
func (c *Config) blank(last int64) (bool, error) {
	mark := filepath.Join(c.DataDir, versionDir, blankName)
	if last != 0 {
		return false, removeAny(mark)
	}
	_, err := os.Stat(mark)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// useUpInitialize removes the operator's file, now that there is a database.
func (c *Config) useUpInitialize() error { return removeAny(filepath.Join(c.DataDir, initializeName)) }

// removeAny removes a file that may not be there.
func removeAny(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// lastOf is the end of the history that the disk held.
func lastOf(b *zab.Boot) int64 {
	if n := len(b.Runs); n > 0 {
		return b.Runs[n-1].Last
	}
	return b.Base
}
