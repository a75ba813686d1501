// Package replica is one server's deterministic whole: the database
// ([znode.Tree]), the rules that write to it ([znode.Preparer]), the sessions
// ([session.Tracker]), the watches ([watch.Table]) and the clients attached to
// this server, stepped by events. It opens no socket, starts no goroutine and
// reads no clock: bytes and times come in, bytes go out through [Client].
//
// Two kinds of callers share it. Each connection feeds its own [Client] with
// [Client.Feed], which answers reads at once under the tree's read lock. One
// goroutine, the loop, owns everything that changes the database: Submit,
// Apply, Attach, Tick.
//
// Lock order: the tree's lock, then a client's, then the watch table's.
package replica
