package txnlog

import (
	"errors"
	"os"
	"syscall"
)

// Sync calls fdatasync: unlike fsync it leaves out times, which no reader of the log needs.
func (f *osFile) Sync() error {
	return f.control("fdatasync", syscall.Fdatasync)
}

// Preallocate calls fallocate, and only sets the size where the file system cannot reserve.
func (f *osFile) Preallocate(size int64) error {
	err := f.control("fallocate", func(fd int) error { return syscall.Fallocate(fd, 0, 0, size) })
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		return f.growTo(size)
	}
	return err
}

// control runs a system call on the descriptor until no signal interrupts it.
func (f *osFile) control(op string, call func(fd int) error) error {
	for {
		err := call(int(f.Fd()))
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EINTR) {
			return &os.PathError{Op: op, Path: f.Name(), Err: err}
		}
	}
}
