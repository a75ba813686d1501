//go:build unix

package server

import (
	"os"
	"syscall"
)

// fileDescriptors returns how many are open and how many may be; -1 when it
// cannot be learned.
func fileDescriptors() (open, limit int64) {
	open, limit = -1, -1
	if entries, err := os.ReadDir("/dev/fd"); err == nil {
		open = int64(len(entries))
	}
	var r syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r) == nil {
		limit = int64(r.Cur)
	}
	return open, limit
}
