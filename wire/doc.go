// Package wire is ZooKeeper's client protocol: operation and error codes, jute
// encoding, frames and the records that travel in them. It computes and never
// performs I/O; the standard library is all it imports.
//
// Decoding aliases: a []byte that comes out of a [Reader] points into the
// frame it was read from, and is valid only as long as that frame is. A nil
// slice is jute's null (length -1) and differs from an empty one.
//
// Encoding appends: every Append function extends the slice it is given, so
// that a connection can gather many replies in one buffer.
//
// Source of the layouts: zookeeper.jute of ZooKeeper 3.9.
package wire
