// Package server is the runtime around a [replica.Replica]: sockets, the loop
// that owns the replica, the goroutine that writes the transaction log,
// checkpoints in the background, and the words operators ask it. All
// goroutines of a server start here.
//
// The goroutines: one per listener accepts; one per connection reads, answers
// reads itself and hands writes to the loop; the loop proposes, applies and
// answers writes; the disk goroutine appends to the log and syncs it; at most
// one writes a checkpoint; short-lived ones finish writing to slow clients.
package server
