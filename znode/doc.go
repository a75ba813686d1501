// Package znode is the replicated database: the tree of znodes, its access
// control lists, its sessions and its quotas, as of one zxid; the rules that
// turn a client's request into a transaction ([Preparer]); what a transaction
// does ([Tree.Apply]); and the tree at rest ([Backend], in Pebble).
//
// The tree lives in memory and is a cache of the backend: nodes changed since
// the last checkpoint are pinned, clean ones may be dropped when the budget is
// passed and are read back on demand. Nothing here starts a goroutine, reads a
// clock or knows of connections, the log or the protocol between servers.
package znode
