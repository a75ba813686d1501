package znode

import (
	"testing"

	"github.com/quorate/quorate/wire"
)

func TestOwnerKinds(t *testing.T) {
	plain, extended, old := OwnerKinds{}, OwnerKinds{Extended: true}, OwnerKinds{Extended: true, Emulate353: true}
	ttl353 := int64(-1<<63) | 5000
	for _, c := range []struct {
		kinds OwnerKinds
		owner int64
		want  Kind
	}{
		{plain, 0, Persistent},
		{plain, 0x100001241680000, Ephemeral},
		{plain, ContainerOwner, Container},
		{plain, TTLOwner(100), Ephemeral}, // a session of server 255
		{plain, ttl353, Ephemeral},
		{extended, 0, Persistent},
		{extended, 0x100001241680000, Ephemeral},
		{extended, ContainerOwner, Container},
		{extended, TTLOwner(100), TTL},
		{extended, TTLOwner(100) | 1<<40, Persistent}, // an extended type of the future
		{extended, ttl353, Ephemeral},                 // a session of server 128
		{extended, -1 << 57, Ephemeral},               // a session of server 254
		{old, ttl353, TTL},
		{old, TTLOwner(100), TTL},
		{old, ContainerOwner, Container},
		{old, 0x7f00001241680000, Ephemeral},
	} {
		if got := c.kinds.Of(c.owner); got != c.want {
			t.Errorf("%+v: %#x is of kind %d, want %d", c.kinds, uint64(c.owner), got, c.want)
		}
	}
	if got := uint64(TTLOwner(100)); got != 0xff00000000000064 {
		t.Errorf("TTLOwner(100) is %#x", got)
	}
	if got := uint64(TTLOwner(TTLMax)); got != 0xff0000ffffffffff {
		t.Errorf("TTLOwner(TTLMax) is %#x", got)
	}
	if got := extended.TTLOf(TTLOwner(TTLMax)); got != TTLMax {
		t.Errorf("TTLOf is %d", got)
	}
	if got := old.TTLOf(ttl353); got != 5000 {
		t.Errorf("TTLOf of a 3.5.3 owner is %d", got)
	}
}

// What a fresh server shows of its own znodes (client-protocol.md sections 6
// and 9), and of the owners.
func TestWireStat(t *testing.T) {
	var st wire.Stat
	root := Info{NumChildren: 1}
	root.WireStat(&st, OwnerKinds{})
	if st != (wire.Stat{Cversion: -1, NumChildren: 1}) {
		t.Errorf("the root: %+v", st)
	}
	node := Info{
		Stat:        Stat{Czxid: 1, Mzxid: 2, Pzxid: 3, Ctime: 4, Mtime: 5, Version: 6, Cversion: 10, Aversion: 8, EphemeralOwner: 9},
		NumChildren: 4, DataLength: 11,
	}
	node.WireStat(&st, OwnerKinds{})
	want := wire.Stat{
		Czxid: 1, Mzxid: 2, Pzxid: 3, Ctime: 4, Mtime: 5, Version: 6, Cversion: 16, Aversion: 8,
		EphemeralOwner: 9, DataLength: 11, NumChildren: 4,
	}
	if st != want {
		t.Errorf("%+v, want %+v", st, want)
	}
	for owner, shown := range map[int64]int64{ContainerOwner: 0, TTLOwner(5): 0, 77: 77, 0: 0} {
		node.Stat.EphemeralOwner, node.DataLength = owner, -1
		node.WireStat(&st, OwnerKinds{Extended: true})
		if st.EphemeralOwner != shown || st.DataLength != 0 {
			t.Errorf("owner %#x is shown as %#x, null data as %d bytes", uint64(owner), uint64(st.EphemeralOwner), st.DataLength)
		}
	}
}
