package quorum

import (
	"errors"
	"math"
	"math/bits"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// set returns the membership function of a bit mask: bit i stands for server i.
func set(mask uint) func(int64) bool {
	return func(id int64) bool { return id >= 0 && id < 64 && mask>>uint(id)&1 == 1 }
}

func TestMajority(t *testing.T) {
	m := NewMajority(3, 1, 2, 3)
	if !slices.Equal(m.Voters(), []int64{1, 2, 3}) {
		t.Fatalf("voters %v", m.Voters())
	}
	for mask, want := range map[uint]bool{0: false, 0b0010: false, 0b0110: true, 0b1110: true, 0b10001: false} {
		if got := m.IsQuorum(set(mask)); got != want {
			t.Errorf("IsQuorum(%b) = %v", mask, got)
		}
	}
	if m.Weight(2) != 1 || m.Weight(9) != 0 || m.IsVoter(9) {
		t.Error("a stranger has weight")
	}
	if NewMajority(1, 2, 3, 4).IsQuorum(set(0b00110)) {
		t.Error("half of four is a majority")
	}
	if NewMajority().IsQuorum(func(int64) bool { return true }) {
		t.Error("a quorum of nobody")
	}
}

// The example of ZooKeeper's administrator guide: three groups of three.
func TestHierarchicalThreeByThree(t *testing.T) {
	h, err := NewHierarchical(map[int64][]int64{1: {1, 2, 3}, 2: {4, 5, 6}, 3: {7, 8, 9}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !h.IsQuorum(set(0b0000110110)) { // 1 2, 4 5
		t.Error("two of three in two of three groups must do")
	}
	if h.IsQuorum(set(0b0010101110)) { // all of group 1, one each of the others
		t.Error("five of nine, but only one group won")
	}
	if h.IsQuorum(func(id int64) bool { return id > 100 }) {
		t.Error("strangers decide")
	}
}

func TestWeightZero(t *testing.T) {
	h, err := NewHierarchical(map[int64][]int64{1: {1, 2, 3}, 2: {4}}, map[int64]int64{3: 0, 4: 0})
	if err != nil {
		t.Fatal(err)
	}
	if !h.IsQuorum(set(0b00110)) || h.IsQuorum(set(0b11010)) {
		t.Error("servers of weight 0 must not count, nor a group of them")
	}
	if !h.IsVoter(3) || h.Weight(3) != 0 || h.Weight(1) != 1 {
		t.Error("a server of weight 0 is a voter without weight")
	}
}

func TestHierarchicalErrors(t *testing.T) {
	for _, c := range []struct {
		groups  map[int64][]int64
		weights map[int64]int64
		want    error
	}{
		{map[int64][]int64{1: {1}, 2: {1}}, nil, ErrTwoGroups},
		{map[int64][]int64{1: {1, 1}}, nil, ErrTwoGroups},
		{map[int64][]int64{1: {1}}, map[int64]int64{2: 1}, ErrNoGroup},
		{map[int64][]int64{1: {1}}, map[int64]int64{1: -1}, ErrWeight},
		{map[int64][]int64{1: {1, 2}}, map[int64]int64{1: math.MaxInt64}, ErrWeight},
		{map[int64][]int64{1: {1}}, map[int64]int64{1: 0}, ErrNoWeight},
		{nil, nil, ErrNoWeight},
	} {
		if _, err := NewHierarchical(c.groups, c.weights); !errors.Is(err, c.want) {
			t.Errorf("%v %v: %v, want %v", c.groups, c.weights, err, c.want)
		}
	}
}

// dumb is a quorum system written down as the definition reads, over bit masks.
type dumb struct {
	voters  uint
	groups  []uint // empty: plain majority
	weights [8]int64
}

func (d dumb) isQuorum(mask uint) bool {
	if len(d.groups) == 0 {
		return 2*bits.OnesCount(mask&d.voters) > bits.OnesCount(d.voters)
	}
	counting, won := 0, 0
	for _, g := range d.groups {
		var have, all int64
		for i := range 8 {
			if g>>i&1 == 1 {
				all += d.weights[i]
				if mask>>i&1 == 1 {
					have += d.weights[i]
				}
			}
		}
		if all > 0 {
			counting++
		}
		if 2*have > all {
			won++
		}
	}
	return 2*won > counting
}

// drawSystem draws a system over the servers 0..7 and its twin.
func drawSystem(t *rapid.T, name string) (Verifier, dumb) {
	voters := rapid.SliceOfNDistinct(rapid.Int64Range(0, 7), 1, 8, rapid.ID[int64]).Draw(t, name+"Voters")
	d := dumb{}
	for _, id := range voters {
		d.voters |= 1 << uint(id)
	}
	if rapid.Bool().Draw(t, name+"Plain") {
		return NewMajority(voters...), d
	}
	n := rapid.IntRange(1, 4).Draw(t, name+"Groups")
	d.groups = make([]uint, n)
	groups, weights := map[int64][]int64{}, map[int64]int64{}
	for i, id := range voters {
		w := rapid.Int64Range(0, 3).Draw(t, name+"Weight")
		if i == 0 {
			w = max(w, 1)
		}
		g := rapid.IntRange(0, n-1).Draw(t, name+"Group")
		d.groups[g] |= 1 << uint(id)
		d.weights[id] = w
		groups[int64(g)] = append(groups[int64(g)], id)
		if w != 1 || rapid.Bool().Draw(t, name+"Written") {
			weights[id] = w
		}
	}
	h, err := NewHierarchical(groups, weights)
	if err != nil {
		t.Fatal(err)
	}
	return h, d
}

// checkSystems compares a and b with their twins on every subset, and checks what the protocol relies on: quorums of
// one system meet, more servers never undo a quorum, and a quorum of both meets each quorum of either.
func checkSystems(t *rapid.T) {
	a, da := drawSystem(t, "a")
	b, db := drawSystem(t, "b")
	ab := Both(a, b)
	for mask := range uint(256) {
		qa, qb := a.IsQuorum(set(mask)), b.IsQuorum(set(mask))
		if qa != da.isQuorum(mask) || qb != db.isQuorum(mask) {
			t.Fatalf("set %b: a %v, b %v, the twins %v and %v", mask, qa, qb, da.isQuorum(mask), db.isQuorum(mask))
		}
		both := ab.IsQuorum(set(mask))
		if both != (qa && qb) {
			t.Fatalf("set %b: both %v", mask, both)
		}
		// Quorums meet exactly if no quorum's complement is one.
		rest := ^mask & 255
		if qa && a.IsQuorum(set(rest)) || both && (a.IsQuorum(set(rest)) || b.IsQuorum(set(rest))) {
			t.Fatalf("%b and %b both decide", mask, rest)
		}
		for i := range 8 {
			if qa && !a.IsQuorum(set(mask|1<<i)) {
				t.Fatalf("%b is a quorum, with %d it is none", mask, i)
			}
		}
	}
	for id := int64(-1); id < 9; id++ {
		if ab.IsVoter(id) != (a.IsVoter(id) || b.IsVoter(id)) || ab.IsVoter(id) != slices.Contains(ab.Voters(), id) {
			t.Fatalf("IsVoter(%d) of both is %v", id, ab.IsVoter(id))
		}
		if a.IsVoter(id) && ab.Weight(id) != a.Weight(id) || !a.IsVoter(id) && ab.Weight(id) != b.Weight(id) {
			t.Fatalf("Weight(%d) of both is %d", id, ab.Weight(id))
		}
	}
}

func TestAgainstTwin(t *testing.T) { rapid.Check(t, checkSystems) }

func FuzzAgainstTwin(f *testing.F) { f.Fuzz(rapid.MakeFuzz(checkSystems)) }
