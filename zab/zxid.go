package zab

import "github.com/quorate/quorate/zab/zxids"

// CounterMax is the last counter of an epoch. A leader that has used it must give way to a new epoch.
const CounterMax = zxids.CounterMax

// MakeZxid returns the zxid of the counter-th transaction of an epoch; see zxids.MakeZxid.
func MakeZxid(epoch int64, counter uint32) int64 { return zxids.MakeZxid(epoch, counter) }

// Epoch returns the epoch of a zxid; see zxids.Epoch.
func Epoch(zxid int64) int64 { return zxids.Epoch(zxid) }

// Counter returns the place of a zxid in its epoch; see zxids.Counter.
func Counter(zxid int64) uint32 { return zxids.Counter(zxid) }

// Follows reports whether next may be the transaction right after prev in one history; see zxids.Follows.
func Follows(prev, next int64) bool { return zxids.Follows(prev, next) }

// FormatZxid writes a zxid the way ZooKeeper prints it; see zxids.FormatZxid.
func FormatZxid(zxid int64) string { return zxids.FormatZxid(zxid) }
