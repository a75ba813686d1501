// Package server is the runtime around a [replica.Replica]: sockets, the loop
// that owns the replica, the goroutine that writes the transaction log,
// checkpoints in the background, and the words operators ask it. All
// goroutines of a server start here.
//
// The goroutines: a poller, one for every two processors, accepts connections
// and reads them, answers reads itself and hands writes to the loop; the loop
// proposes, applies and answers writes, in steps that others make for it when
// there is little to do (see loop.help); the disk goroutine appends to the log
// and syncs it; at most one writes a checkpoint; short-lived ones answer the
// four-letter words and make long listings. Without epoll, a goroutine for each
// connection takes the poller's place.
package server
