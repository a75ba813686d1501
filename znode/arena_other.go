//go:build !unix || race

package znode

// mapBytes returns zeroed memory, here from the Go heap: for systems without
// mmap, and for the race detector, which does not see mapped memory.
func mapBytes(n int) []byte { return make([]byte, n) }

func unmapBytes([]byte) {}
