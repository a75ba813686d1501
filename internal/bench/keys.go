package bench

// treeFanout is how many znodes share a parent: listings stay small whatever
// the size of the tree, and a parent's reply never nears jute.maxbuffer.
const treeFanout = 1000

// Key numbers are written with nine digits and parents with six, so that every
// path of a tree has the same length.
const keysMax = 999_999_999

// tree names the znodes below one prefix: number i is
// <prefix>/p<i/1000>/n<i>.
type tree struct{ prefix string }

// appendParent appends the path of parent p.
func (t tree) appendParent(dst []byte, p int) []byte {
	return appendDigits(append(append(dst, t.prefix...), "/p"...), p, 6)
}

// appendKey appends the path of znode i.
func (t tree) appendKey(dst []byte, i int) []byte {
	dst = t.appendParent(dst, i/treeFanout)
	return appendDigits(append(dst, "/n"...), i, 9)
}

// parents returns how many parents n znodes need.
func parents(n int) int { return (n + treeFanout - 1) / treeFanout }

// LoadedPath returns the path of the i-th znode that workload [Load] created
// below root (Report.Root).
func LoadedPath(root string, i int) string {
	return string(tree{root + "/" + string(Load)}.appendKey(nil, i))
}

// appendDigits appends v with leading zeros to the given width.
func appendDigits(dst []byte, v, width int) []byte {
	const zeros = "000000000"
	at := len(dst)
	dst = append(dst, zeros[:width]...)
	for i := at + width - 1; i >= at && v > 0; i-- {
		dst[i] = byte('0' + v%10)
		v /= 10
	}
	return dst
}

// rng is xorshift64*: enough to spread keys, and a few nanoseconds a draw.
type rng uint64

// newRNG returns a generator for lane i; lanes draw different sequences, and a
// lane draws the same one in every run.
func newRNG(i int) rng { return rng(uint64(i+1) * 0x9E3779B97F4A7C15) }

// below draws a number in [0, n).
func (r *rng) below(n int) int {
	x := uint64(*r)
	x ^= x >> 12
	x ^= x << 25
	x ^= x >> 27
	*r = rng(x)
	return int((x * 0x2545F4914F6CDD1D >> 33) % uint64(n))
}
