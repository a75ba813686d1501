// Package sim runs whole servers (protocol core, log, tree, sessions, watches)
// and their clients on a simulated network, disk and clock, all drawn from one
// seed, and compares everything that clients are told with what must hold.
//
// The servers are [replica.Member]s, stepped as the runtime steps them, and the
// clients speak the bytes of ZooKeeper's client protocol. Faults come from the
// seed as well: crashes, lost connections, partitions, slow, failing and lost
// disks, loops that stand still, clocks that jump and drift. After a time of faults everything is healed, and
// then clients must get on with their work.
//
// DESIGN.md says what is simulated, what is injected, what is checked, and how to
// replay a seed.
package sim
