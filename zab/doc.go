// Package zab holds what every part of the ZooKeeper Atomic Broadcast protocol shares.
//
// A zxid is the position of a transaction in the one history that all servers agree on: the epoch of the leader that
// proposed it in the high 32 bits, that leader's counter in the low 32. The functions on zxids live here; the
// transaction log is in zab/txnlog.
//
// The package is pure: it starts no goroutine, reads no clock and touches neither socket nor file.
package zab
