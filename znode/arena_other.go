//go:build !unix || race

package znode

// mapBytes returns zeroed memory, here from the Go heap: for systems without
// mmap, and for the race detector, which does not see mapped memory.
func mapBytes(n int) []byte { return make([]byte, n) }

func unmapBytes([]byte) {}

// backBytes does nothing: the Go heap sees to it.
func backBytes([]byte) {}
