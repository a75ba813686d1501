package session

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// TestPasswordVectors compares with what a JVM (OpenJDK 17) prints for
// new java.util.Random(id ^ 0xB3415C00L).nextBytes(new byte[16]).
func TestPasswordVectors(t *testing.T) {
	for _, v := range []struct {
		id   int64
		want string
	}{
		{0, "f22acd4a97e69d6d20a49bb638eadb38"},
		{1, "054cc74a37327db215e702e20c73f005"},
		{-1, "20f62cb5648dc2d771471c8a2486a9ee"},
		{0x01000123456789ab, "237710bc62d77989a42e8da77022789d"},
		{0x01019a0c5d2b0000, "5717820d984b25648d8bec4da161b634"},
		{0x00000000b3415c00, "60b420bb3851d9d47acb933dbe70399b"},
		{0x7fffffffffffffff, "20f62cb5648dc2d771471c8a2486a9ee"},
		// The generator has 48 bits of state, so the server's id and the upper
		// byte of the time leave no trace.
		{0x0100000000000000, "f22acd4a97e69d6d20a49bb638eadb38"},
		{-0x01ffffffffffffff, "054cc74a37327db215e702e20c73f005"},
	} {
		if got := Password(v.id); hex.EncodeToString(got[:]) != v.want {
			t.Errorf("password of %#x is %x, want %s", uint64(v.id), got, v.want)
		}
	}
}

func TestCheckPassword(t *testing.T) {
	const id = 0x01019a0c5d2b0000
	good := Password(id)
	wrong := good
	wrong[15] ^= 1
	zero := Password(0)
	for _, c := range []struct {
		name string
		id   int64
		pw   []byte
		want bool
	}{
		{"right", id, good[:], true},
		{"copied", id, bytes.Clone(good[:]), true},
		{"one bit off", id, wrong[:], false},
		{"of another session", id + 1, good[:], false},
		{"null", id, nil, false},
		{"empty", id, []byte{}, false},
		{"too short", id, good[:15], false},
		{"too long", id, append(good[:], 0), false},
		{"session 0", 0, zero[:], false},
	} {
		if got := CheckPassword(c.id, c.pw); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestFirstID(t *testing.T) {
	for _, c := range []struct {
		server, now, want int64
	}{
		{1, 0, 0x0100000000000000},
		{1, 1, 0x0100000000010000},
		// 40 bits of the time are kept.
		{2, 0x123456789abcde, 0x0256789abcde0000},
		{1, 0xffffffffffff, 0x01ffffffffff0000},
		{254, 5, -0x01fffffffffb0000},
		// The low byte of the server's id is kept.
		{0x305, 0, 0x0500000000000000},
		// Reserved: 0 and the owner of container znodes.
		{0, 0, 1},
		{128, 0, -0x7fffffffffffffff},
		{128, 1 << 40, -0x7fffffffffffffff},
	} {
		if got := FirstID(c.server, c.now); got != c.want {
			t.Errorf("server %d at %d ms: %#x, want %#x", c.server, c.now, uint64(got), uint64(c.want))
		}
	}
}

func TestIDs(t *testing.T) {
	g := NewIDs(1, 7)
	for i := range int64(3) {
		if got := g.Next(); got != 0x0100000000070000+i {
			t.Errorf("id %d is %#x", i, got)
		}
	}
	var zero IDs
	if a, b := zero.Next(), zero.Next(); a != 1 || b != 2 {
		t.Errorf("the zero value hands out %d and %d, want 1 and 2", a, b)
	}
}

// TestIDsSkipReserved steps over the two ids that mean something else.
func TestIDsSkipReserved(t *testing.T) {
	g := IDs{next: 1<<63 - 1}
	if a, b := g.Next(), g.Next(); a != 1<<63-1 || b != containerOwner+1 {
		t.Errorf("got %#x and %#x, want 0x8000000000000000 left out between them", uint64(a), uint64(b))
	}
	g = IDs{next: -1}
	if a, b := g.Next(), g.Next(); a != -1 || b != 1 {
		t.Errorf("got %d and %d, want 0 left out between them", a, b)
	}
}

func TestNegotiate(t *testing.T) {
	for _, c := range []struct{ requested, lowest, highest, want int32 }{
		{10_000, 4000, 40_000, 10_000},
		{4000, 4000, 40_000, 4000},
		{3999, 4000, 40_000, 4000},
		{0, 4000, 40_000, 4000},
		{-1, 4000, 40_000, 4000},
		{-1 << 31, 4000, 40_000, 4000},
		{40_000, 4000, 40_000, 40_000},
		{40_001, 4000, 40_000, 40_000},
		{1<<31 - 1, 4000, 40_000, 40_000},
		{5, 5, 5, 5},
		{7000, 9000, 6000, 6000},
	} {
		if got := Negotiate(c.requested, c.lowest, c.highest); got != c.want {
			t.Errorf("%d within [%d, %d] is %d, want %d", c.requested, c.lowest, c.highest, got, c.want)
		}
	}
}
