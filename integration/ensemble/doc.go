// Package ensemble starts, stops and disturbs ensembles of real processes
// whose members are Apache ZooKeeper of any release or Quorate, in any
// mixture. The two are interchangeable: a member keeps its id, its addresses
// and its data directory when its implementation changes.
//
// spec.go says what an ensemble is made of, member.go holds one member and
// what can be done to it, ensemble.go all of them, await.go waits for
// conditions, scan.go looks for what must never be in a log. A [Place] decides
// where members live: the default is 127.0.0.1; package netns has one network
// namespace for each.
//
// The package is for Linux: processes end with the one that started them.
package ensemble
