package txnlog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// OS returns the file system of the machine. Files are created with mode 0644, directories with 0755.
func OS() FS {
	return osFS{}
}

type osFS struct{}

// MkdirAll implements FS. It syncs the parent of each directory it creates: a log in a directory that is gone after a crash is no log.
func (osFS) MkdirAll(dir string) error {
	err := os.Mkdir(dir, 0o755)
	parent := filepath.Dir(dir)
	if errors.Is(err, fs.ErrNotExist) && parent != dir {
		if err := (osFS{}).MkdirAll(parent); err != nil {
			return err
		}
		err = os.Mkdir(dir, 0o755)
	}
	if errors.Is(err, fs.ErrExist) {
		return requireDir(dir)
	}
	if err != nil {
		return err
	}
	return (osFS{}).SyncDir(parent)
}

func requireDir(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	return nil
}

// List implements FS.
func (osFS) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

// Create implements FS.
func (osFS) Create(name string) (File, error) {
	return openOS(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

// Open implements FS.
func (osFS) Open(name string, write bool) (File, error) {
	if write {
		return openOS(name, os.O_RDWR)
	}
	return openOS(name, os.O_RDONLY)
}

func openOS(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, 0o644) //nolint:gosec // as ZooKeeper's files, readable by the operator's tools
	if err != nil {
		return nil, err
	}
	return &osFile{File: f}, nil
}

// Rename implements FS.
func (osFS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements FS.
func (osFS) Remove(name string) error { return os.Remove(name) }

// SyncDir implements FS.
func (osFS) SyncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the caller's own directory
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// osFile is a file of the machine; Sync and Preallocate differ between systems.
type osFile struct {
	*os.File
}

// Size implements File.
func (f *osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// growTo sets the size when it is below size: the fallback of Preallocate, which reserves nothing.
func (f *osFile) growTo(size int64) error {
	now, err := f.Size()
	if err != nil || now >= size {
		return err
	}
	return f.Truncate(size)
}
