package bench

import (
	"testing"

	"github.com/quorate/quorate/wire"
)

// createdPaths runs a creator to its end.
func createdPaths(t *testing.T, c *creator) []string {
	t.Helper()
	var out []string
	for {
		b, _, ok := c.next(nil, 1)
		if !ok {
			return out
		}
		r := wire.NewReader(b[wire.FrameHeaderBytes+wire.RequestHeaderBytes:])
		var req wire.CreateRequest
		req.Decode(&r, wire.OpCreate)
		if r.Err() != nil {
			t.Fatal(r.Err())
		}
		out = append(out, string(req.Path))
	}
}

// Together the creators make every znode of the tree once, parents first, in
// as many requests as creations says.
func TestCreatorsShareATree(t *testing.T) {
	for _, total := range []int{1, 999, 1000, 1001, 5500} {
		for _, lanes := range []int{1, 3, 16} {
			seen := map[string]bool{}
			for i := range lanes {
				paths := createdPaths(t, newCreator(tree{"/t"}, nil, i, lanes, total))
				if want := creations(total, i, lanes); int64(len(paths)) != want {
					t.Fatalf("%d znodes, lane %d of %d: %d requests, creations says %d", total, i, lanes, len(paths), want)
				}
				for _, p := range paths {
					parent := p[:len("/t/p000000")]
					if seen[p] || p != parent && !seen[parent] {
						t.Fatalf("%s is created twice or before its parent", p)
					}
					seen[p] = true
				}
			}
			if want := total + parents(total); len(seen) != want {
				t.Fatalf("%d znodes, %d lanes: %d created, want %d", total, lanes, len(seen), want)
			}
			for i := range total {
				if p := string(tree{"/t"}.appendKey(nil, i)); !seen[p] {
					t.Fatalf("%s is missing", p)
				}
			}
		}
	}
}

func TestMixedKeepsItsShare(t *testing.T) {
	for _, percent := range []int{0, 10, 90, 100} {
		s := &readWrite{tree: tree{"/k"}, keys: 10, readPercent: percent, rng: newRNG(0)}
		const n = 20000
		reads := 0
		for range n {
			if _, op, _ := s.next(nil, 1); op == wire.OpGetData {
				reads++
			}
		}
		if diff := reads*100/n - percent; diff < -2 || diff > 2 {
			t.Errorf("%d of %d are reads, want %d %%", reads, n, percent)
		}
	}
}

func TestShareAddsUp(t *testing.T) {
	for _, n := range []int64{0, 1, 15, 16, 17, 1000} {
		var sum int64
		for i := range 16 {
			sum += share(n, i, 16)
		}
		if sum != n {
			t.Errorf("shares of %d add up to %d", n, sum)
		}
	}
}
