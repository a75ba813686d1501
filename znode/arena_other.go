//go:build !unix

package znode

// mapBytes returns zeroed memory, here from the Go heap.
func mapBytes(n int) []byte { return make([]byte, n) }

func unmapBytes([]byte) {}
