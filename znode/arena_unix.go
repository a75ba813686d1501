//go:build unix && !race

package znode

import (
	"fmt"
	"syscall"
)

// mapBytes returns zeroed memory outside of the Go heap: the collector neither
// scans it nor counts it, so the tree's size does not pace it.
func mapBytes(n int) []byte {
	b, err := syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		panic(fmt.Sprintf("znode: out of memory: mapping %d bytes: %v", n, err))
	}
	return b
}

func unmapBytes(b []byte) {
	if err := syscall.Munmap(b); err != nil {
		panic(fmt.Sprintf("znode: unmapping %d bytes: %v", len(b), err))
	}
}
