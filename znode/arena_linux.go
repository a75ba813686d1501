//go:build !race

package znode

import "golang.org/x/sys/unix"

// backBytes has the system give memory to a part of what mapBytes returned, that begins and ends with a page, before
// it is written to: a page that is first touched by a write costs an interruption of its own, which is a twentieth of
// the time of a creation. Systems older than Linux 5.14 refuse, and give it then.
func backBytes(b []byte) { _ = unix.Madvise(b, unix.MADV_POPULATE_WRITE) }
