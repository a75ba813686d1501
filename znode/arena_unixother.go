//go:build unix && !linux && !race

package znode

// backBytes does nothing: the system gives memory when it is written to.
func backBytes([]byte) {}
