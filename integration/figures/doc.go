// Command figures measures an ensemble of three Quorate servers beside one of
// three Apache ZooKeeper servers on this machine, and prints targets and
// measured figures as one Markdown table:
//
//	scripts/compare-ensemble.sh [flags]
//
// main.go has the flags and the order of things. workloads.go runs the load
// generator on both ensembles in turns, floor.go on processes that do nothing but what every write needs. The other parts have one ensemble run
// at a time: failover.go kills leaders, bigtree.go does so with many znodes,
// restarts a follower and has one synchronized by a snapshot under the load of
// steady.go. client.go is the client that sees an election as stock clients do,
// table.go writes what came out.
//
// All servers live on 127.0.0.1, on one disk, with tickTime 2000, initLimit 10,
// syncLimit 5, the JVM's own settings, and data directories of their own.
package main
