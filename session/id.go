package session

// containerOwner is the owner field of a container znode, so no session may
// have it as its id: its ephemerals would be taken for containers.
const containerOwner = -1 << 63

// FirstID returns the id of the first session that a server hands out:
//
//	bits 63-56  low byte of the server's id (1 on a standalone server)
//	bits 55-16  low 40 bits of nowMillis
//	bits 15-0   0
//
// The ids of two servers, or of two runs of one, do not meet as long as a run
// creates no more than 65,536 sessions for each millisecond it lasts and
// nowMillis has grown in between. ZooKeeper takes it from a monotonic clock,
// which a reboot resets; the wall clock serves better. A caller that finds an
// id known asks for the next one.
func FirstID(serverID, nowMillis int64) int64 {
	return skipReserved(serverID<<56 | int64(uint64(nowMillis)<<24>>8))
}

// IDs hands out session ids in ascending order. The zero value starts at 1;
// servers use [NewIDs].
type IDs struct {
	next int64
}

// NewIDs returns a generator whose first id is [FirstID] of the arguments.
func NewIDs(serverID, nowMillis int64) IDs {
	return IDs{next: FirstID(serverID, nowMillis)}
}

// Next returns an id that this generator has not returned before. It is never
// 0, which asks for a new session on the wire, nor 0x8000000000000000, which
// marks container znodes.
func (g *IDs) Next() int64 {
	id := skipReserved(g.next)
	g.next = id + 1
	return id
}

func skipReserved(id int64) int64 {
	if id == 0 || id == containerOwner {
		return id + 1
	}
	return id
}
