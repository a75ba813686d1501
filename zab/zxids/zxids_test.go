package zxids

import "testing"

func TestZxidParts(t *testing.T) {
	z := MakeZxid(2, 7)
	if z != 0x200000007 || Epoch(z) != 2 || Counter(z) != 7 {
		t.Fatalf("zxid %#x: epoch %d counter %d", z, Epoch(z), Counter(z))
	}
	if got := MakeZxid(1, CounterMax); got != 0x1ffffffff || Counter(got) != CounterMax || Epoch(got) != 1 {
		t.Fatalf("last of epoch 1 = %#x", got)
	}
	if got := FormatZxid(0x20000000a); got != "0x20000000a" {
		t.Fatalf("FormatZxid = %s", got)
	}
	if got := FormatZxid(-1); got != "0xffffffffffffffff" {
		t.Fatalf("FormatZxid(-1) = %s", got)
	}
}

func TestFollows(t *testing.T) {
	for _, c := range []struct {
		prev, next int64
		want       bool
	}{
		{0, 1, true},
		{1, 2, true},
		{1, 3, false},
		{2, 2, false},
		{2, 1, false},
		{0, MakeZxid(1, 1), true},
		{MakeZxid(1, 9), MakeZxid(2, 1), true},
		{MakeZxid(1, 9), MakeZxid(5, 1), true},
		{MakeZxid(1, 9), MakeZxid(2, 2), false},
		{MakeZxid(2, 9), MakeZxid(1, 1), false},
		{MakeZxid(3, 0), MakeZxid(3, 1), true},
		{MakeZxid(1, 9), MakeZxid(2, 0), false},
		{MakeZxid(1, CounterMax), MakeZxid(2, 0), false},
		{MakeZxid(1, CounterMax), MakeZxid(2, 1), true},
	} {
		if got := Follows(c.prev, c.next); got != c.want {
			t.Errorf("Follows(%#x, %#x) = %v", c.prev, c.next, got)
		}
	}
}
