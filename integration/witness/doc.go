// Package witness has clients of an ensemble, stock go-zookeeper/zk, that use
// it as applications do (registers, counters, locks, ephemerals, watches)
// while others disturb it, remember every answer, and say at the end whether
// package history finds fault with them.
//
// A [Crowd] is a set of such clients on one ensemble. A [Locker] has clients in
// another language, kazoo or Curator, in a process of its own.
package witness
