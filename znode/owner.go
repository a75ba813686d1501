package znode

import "github.com/quorate/quorate/wire"

// ContainerOwner is the Stat.EphemeralOwner of every container.
const ContainerOwner int64 = -1 << 63

// TTLMax is the longest time to live, ms: what fits in 40 bits.
const TTLMax int64 = 1<<40 - 1

const (
	extendedOwnerMask = int64(-1) << 56 // top byte 0xFF: an extended type
	extendedTypeMask  = int64(0xFFFF) << 40
)

// TTLOwner returns the Stat.EphemeralOwner of a znode that lives ttl ms after
// its last change.
func TTLOwner(ttl int64) int64 { return extendedOwnerMask | ttl&TTLMax }

// Kind says who removes a znode.
type Kind uint8

const (
	// Persistent znodes are removed by clients alone.
	Persistent Kind = iota
	// Ephemeral znodes go with their session and have no children.
	Ephemeral
	// Container znodes are reaped once their last child is gone.
	Container
	// TTL znodes are reaped when they are childless and unchanged for a time.
	TTL
)

// OwnerKinds tells how a Stat.EphemeralOwner reads. It must be the same on
// every server of an ensemble.
type OwnerKinds struct {
	// Extended is zookeeper.extendedTypesEnabled: owners with the top byte
	// 0xFF are extended types. Without it they are sessions of server 255.
	Extended bool
	// Emulate353 is zookeeper.emulate353TTLNodes, effective with Extended: any
	// other negative owner but ContainerOwner is a TTL as release 3.5.3 wrote
	// it, so sessions of servers above 127 are not.
	Emulate353 bool
}

// Of returns the kind of the znode with this owner. An extended type nobody
// knows, which Java fails on, counts as Persistent: nothing must remove it.
func (k OwnerKinds) Of(owner int64) Kind {
	switch {
	case owner == 0:
		return Persistent
	case owner == ContainerOwner:
		return Container
	case k.Extended && owner&extendedOwnerMask == extendedOwnerMask:
		if owner&extendedTypeMask != 0 {
			return Persistent
		}
		return TTL
	case k.Extended && k.Emulate353 && owner < 0:
		return TTL
	default:
		return Ephemeral
	}
}

// TTLOf returns the time to live in ms of an owner whose kind is [TTL].
func (k OwnerKinds) TTLOf(owner int64) int64 {
	if k.Emulate353 && owner&extendedOwnerMask != extendedOwnerMask {
		return owner & (1<<63 - 1)
	}
	return owner & TTLMax
}

// WireStat fills in what clients see: their cversion counts deletions too, and
// the owner is told of ephemerals only.
func (i *Info) WireStat(st *wire.Stat, kinds OwnerKinds) {
	*st = wire.Stat{
		Czxid: i.Stat.Czxid, Mzxid: i.Stat.Mzxid, Pzxid: i.Stat.Pzxid,
		Ctime: i.Stat.Ctime, Mtime: i.Stat.Mtime,
		Version: i.Stat.Version, Aversion: i.Stat.Aversion,
		// creations, plus creations less the children there are: deletions
		Cversion:    2*i.Stat.Cversion - i.NumChildren,
		NumChildren: i.NumChildren,
		DataLength:  max(i.DataLength, 0),
	}
	if kinds.Of(i.Stat.EphemeralOwner) == Ephemeral {
		st.EphemeralOwner = i.Stat.EphemeralOwner
	}
}
