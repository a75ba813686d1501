// Package zab is the ZooKeeper Atomic Broadcast protocol as a pure state machine: FastLeaderElection, discovery,
// synchronization and broadcast, for leaders, followers and observers, with ZooKeeper's messages in ZooKeeper's
// meaning.
//
// A Core computes and never acts. Messages of peers, ticks, proposals and the news that a write is durable go in;
// Ready says what to do: writes to the disk in order, messages that may leave now, messages that must wait for a
// write, transactions to apply, connections to make and to close. A transaction is opaque bytes with a zxid: the epoch
// of the leader that proposed it in the high 32 bits, that leader's counter in the low 32.
//
// There is one file for each phase of the protocol (election.go, discovery.go, sync.go, broadcast.go), two for what a
// leader and a learner know (leader.go, learner.go), and one handler for each role and message, found in one table
// (core.go). DESIGN.md beside this file has the phases, the message table and the duties of the runtime.
//
// The package is pure: it starts no goroutine, reads no clock, draws no random number of its own, and touches neither
// socket nor file.
package zab
