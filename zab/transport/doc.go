// Package transport holds the sockets between the servers of an ensemble: ZooKeeper's election port (QuorumCnxManager)
// and quorum port (QuorumPacket), byte for byte as Java ZooKeeper 3.5 to 3.9 speaks them.
//
// It decides nothing. It turns zab.Message values into bytes and back, carries out the orders that stand for bytes
// (SNAP, LogRange), and tells the core about connections. Who may connect, who leads, when a silent peer is given up:
// all that is the core's.
//
// What strangers send costs a bounded slot for a bounded time, and no memory that their bytes have not filled.
//
// DESIGN.md beside this file tells which goroutine does what, and every bound.
package transport
