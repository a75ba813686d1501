package bench

import "testing"

func TestTreePaths(t *testing.T) {
	tr := tree{"/x"}
	for i, want := range map[int]string{
		0: "/x/p000000/n000000000", 999: "/x/p000000/n000000999",
		1000: "/x/p000001/n000001000", keysMax: "/x/p999999/n999999999",
	} {
		if got := string(tr.appendKey(nil, i)); got != want {
			t.Errorf("key %d is %s, want %s", i, got, want)
		}
	}
	for n, want := range map[int]int{1: 1, 1000: 1, 1001: 2, 1_000_000: 1000} {
		if got := parents(n); got != want {
			t.Errorf("%d znodes have %d parents, want %d", n, got, want)
		}
	}
}

// Every key of a small set is drawn, none outside, and about as often as the
// others.
func TestRNGSpreads(t *testing.T) {
	const keys, draws = 10, 100_000
	for lane := range 3 {
		r := newRNG(lane)
		var seen [keys]int
		for range draws {
			seen[r.below(keys)]++
		}
		for k, n := range seen {
			if n < draws/keys*9/10 || n > draws/keys*11/10 {
				t.Errorf("lane %d draws key %d %d times of %d", lane, k, n, draws)
			}
		}
	}
}
