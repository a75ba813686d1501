// Package zxids takes zxids apart and puts them together. A zxid is the place of a
// transaction in the one history that all servers agree on: the epoch of the
// leader that proposed it in the high 32 bits, that leader's counter in the low
// 32. It is a package of its own because the log needs it and not the protocol.
package zxids

import (
	"math"
	"strconv"
)

// CounterMax is the last counter of an epoch. A leader that has used it must give way to a new epoch.
const CounterMax = math.MaxUint32

// MakeZxid returns the zxid of the counter-th transaction of an epoch.
func MakeZxid(epoch int64, counter uint32) int64 {
	return epoch<<32 | int64(counter)
}

// Epoch returns the epoch of a zxid. A standalone server that never had peers works in epoch 0.
func Epoch(zxid int64) int64 {
	return zxid >> 32
}

// Counter returns the place of a zxid in its epoch: 1 for the first transaction, 0 only for the mark
// "the leader of this epoch is established", which is never a transaction.
func Counter(zxid int64) uint32 {
	return uint32(zxid) //nolint:gosec // the low half is what is wanted
}

// Follows reports whether next may be the transaction right after prev in one history: the next counter of the same
// epoch, or the first transaction of a later epoch. Epochs without any transaction leave no trace, so an epoch may
// be skipped; a counter may not.
func Follows(prev, next int64) bool {
	if Epoch(next) == Epoch(prev) {
		return Counter(prev) != CounterMax && next == prev+1
	}
	return Epoch(next) > Epoch(prev) && Counter(next) == 1
}

// FormatZxid writes a zxid the way ZooKeeper prints it: 0x and lower-case hex without leading zeros.
func FormatZxid(zxid int64) string {
	return "0x" + strconv.FormatUint(uint64(zxid), 16) //nolint:gosec // printed as bits
}
