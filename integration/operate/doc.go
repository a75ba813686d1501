// Package operate holds the tests that show what operators see of an ensemble:
// the words of every role, side by side with Apache ZooKeeper's, and the
// procedures of docs/operations.md, carried out on real processes.
package operate
