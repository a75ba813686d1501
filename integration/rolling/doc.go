// Command rolling rehearses the replacement of a running Java ensemble by
// Quorate, one server at a time on its own data directories, and the way back,
// while stock clients (go-zookeeper/zk, kazoo and Curator) use it. It prints what it did
// and what the clients saw:
//
//	go run ./integration/rolling
//
// It ends with an error if an acknowledged write was lost, a history is not
// linearizable, a session expired, a lock was held twice, two trees differ, or a
// Java server noticed anything.
package main
