// Package txnlog is the transaction log: the only code that puts transactions and epochs on disk.
//
// Files are ZooKeeper's, byte for byte where a reader looks: log.<zxid> files of checksummed entries, and the text
// files acceptedEpoch and currentEpoch. A Java server reads what this package writes and the other way round.
//
// A transaction is opaque here, except that it begins with a TxnHeader, whose zxid is read. The caller gathers encoded
// transactions in a Batch, writes them with one Append and makes them durable with one Sync; only then may they be
// acknowledged. A failed write or sync is final for a Log: what the disk holds afterwards is unknown, and asking a
// second time may be answered with a lie.
//
// DESIGN.md beside this file tells what is synced when, how a torn tail is told from corruption, and how recovery goes.
package txnlog
