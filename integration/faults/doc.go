// Package faults disturbs ensembles of real processes in network namespaces
// while stock clients use them: kills, stopped processes, partitions of every
// kind, slow and lossy links, full disks, the restart of all servers at once.
// What the clients saw is judged by package history.
//
// fault.go and disk.go have the faults, run.go inflicts them one after another.
// Each test has faults that every run suffers, for a brief time each, and draws a
// few more; a long run draws all it can. The moments and choices follow from a
// seed, which the test prints; what the servers make of it does not.
//
//	go test ./integration/faults -run TestFaults
//	make torture                    # as long as QUORATE_TORTURE says
//
// QUORATE_MEMBERS=3.8,3.8,quorate says what the members run, QUORATE_FAULTS which
// faults (a pattern of their names), QUORATE_SEED repeats the choices of a run.
package faults
