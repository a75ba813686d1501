// Package zabtest runs several cores of package zab in one goroutine, on a network and disks made of slices.
//
// Two drivers use it: the traces in zab/testdata, stories written as commands with their expected output, and the
// random simulation (Simulate), which draws everything from a seed. Both check the invariants of the TLA+
// specification that ZooKeeper ships (Checker) after every step.
//
// It belongs to tests. Nothing here knows real time, and the only randomness is the seed's.
package zabtest
