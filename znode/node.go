package znode

import "github.com/quorate/quorate/wire"

// ACLID names an access control list in the tree's table. Ids are local to one
// server: they are not in transactions.
type ACLID uint32

// OpenACLID is the id of the list that lets anyone do everything.
const OpenACLID ACLID = 1

// Stat is a znode's metadata as it is stored and hashed (StatPersisted). It
// differs from [wire.Stat] in two fields: Cversion counts creations of
// children only, and EphemeralOwner also says container and TTL.
type Stat struct {
	Czxid, Mzxid, Pzxid         int64
	Ctime, Mtime                int64 // ms
	Version, Cversion, Aversion int32
	EphemeralOwner              int64
}

// Info is what the rules need to know of a znode besides its data. It is a
// copy and stays valid when the lock is released.
type Info struct {
	Stat        Stat
	ACL         ACLID
	NumChildren int32
	// DataLength is -1 for null data.
	DataLength int32
	// Prefix is the CRC-32 (IEEE) of path and data: the part of the node's
	// digest that does not depend on Stat. See NodeDigest.
	Prefix uint32
}

// Node is a znode as a reader sees it. Data aliases the tree and is valid only
// while the lock under which it was found is held; nil is null.
type Node struct {
	Info
	Data []byte
}

// Residency is the answer of a look-up in memory.
type Residency uint8

const (
	// Absent says: there is no such znode.
	Absent Residency = iota
	// Found says: the node is in memory.
	Found
	// NotResident says: only the backend knows. Release the lock, call
	// [Tree.Load], and look again.
	NotResident
)

// TxnHeader precedes every transaction, in the log and between servers.
type TxnHeader struct {
	ClientID int64 // session
	Cxid     int32
	Zxid     int64
	Time     int64 // ms, the leader's wall clock
	Type     wire.Op
}

// TxnHeaderBytes is the encoded size of a TxnHeader.
const TxnHeaderBytes = 32

// Decode reads the header.
func (h *TxnHeader) Decode(r *wire.Reader) {
	h.ClientID, h.Cxid, h.Zxid, h.Time, h.Type = r.Long(), r.Int(), r.Long(), r.Long(), wire.Op(r.Int())
}

// txnTimeAt is where the header has its Time.
const txnTimeAt = 8 + 4 + 8

// txnZxidAt is where the header has its Zxid.
const txnZxidAt = 8 + 4

// TxnZxid returns the Zxid of the header that txn begins with. ok is false if it is too short for one.
func TxnZxid(txn []byte) (zxid int64, ok bool) {
	if len(txn) < TxnHeaderBytes {
		return 0, false
	}
	r := wire.NewReader(txn[txnZxidAt:])
	return r.Long(), true
}

// TxnTime returns the Time of the header that txn begins with, in ms. ok is false if it is too short for one.
func TxnTime(txn []byte) (ms int64, ok bool) {
	if len(txn) < TxnHeaderBytes {
		return 0, false
	}
	r := wire.NewReader(txn[txnTimeAt:])
	return r.Long(), true
}

// Append encodes the header.
func (h TxnHeader) Append(dst []byte) []byte {
	dst = wire.AppendLong(wire.AppendInt(wire.AppendLong(dst, h.ClientID), h.Cxid), h.Zxid)
	return wire.AppendInt(wire.AppendLong(dst, h.Time), int32(h.Type))
}

// Result is what a transaction did, enough to answer the client that asked.
// Slices alias the transaction's bytes.
type Result struct {
	Type wire.Op
	Code wire.Code // OK, or why the request failed (an error transaction)
	Path []byte    // of a create: the final path, suffix included
	Stat wire.Stat // of create, setData, setACL, reconfig: after the change
	Sub  []Result  // of a multi: one per operation
}

// Event is a change that watches may wait for.
type Event struct {
	Type wire.EventType
	Path []byte
	// ACL is the list that decides who may hear of it: READ on the changed
	// node (for a deleted one, its last list; for NodeChildrenChanged the
	// parent's). ZooKeeper 3.9 (ZOOKEEPER-4799).
	ACL ACLID
	// DataBytes is how much data a create or setData wrote, for statistics.
	DataBytes int
}
