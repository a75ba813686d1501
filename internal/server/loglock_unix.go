//go:build unix

package server

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/quorate/quorate/znode"
)

// lockName is the file in dataLogDir/version-2 that a running server holds a lock
// on. ZooKeeper does not look at it.
const lockName = "quorate.lock"

// lockLogDir keeps every other server from the directory of the log until the lock
// is closed, or the process ends. The tree's directory has Pebble's own.
func lockLogDir(dir string) (io.Closer, error) {
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644) //nolint:gosec // as ZooKeeper's files
	if err != nil {
		return nil, fmt.Errorf("lock of the transaction log: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case err == nil, errors.Is(err, syscall.ENOTSUP), errors.Is(err, syscall.ENOSYS), errors.Is(err, syscall.ENOLCK):
		return f, nil // file systems that have no locks have had none before
	case errors.Is(err, syscall.EWOULDBLOCK):
		err = fmt.Errorf("transaction log in %s: %w: %s is locked", dir, znode.ErrStoreInUse, path)
	default:
		err = fmt.Errorf("lock of the transaction log: %s: %w", path, err)
	}
	return nil, errors.Join(err, f.Close())
}
