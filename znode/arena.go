package znode

import (
	"encoding/binary"
	"math/bits"
)

// arena holds the bytes of paths and data outside of the Go heap. A block is
// named by a ref and has the size of its class; freed blocks are reused for
// the same class, and freed large ones are given back at once.
//
// It is changed under the tree's lock and read under its read lock. Its chunks
// never move, so bytes that were handed out stay where they are until freed.
type arena struct {
	chunks [][]byte
	free   [arenaClasses]ref // heads of lists linked through the blocks
	next   int               // where in the last chunk the free room begins
	backed int               // up to where the last chunk has been given memory
	large  [][]byte          // by index; nil = unused
	unused []uint32          // indices of large that are nil
	used   int64             // bytes in blocks that are handed out
}

// ref names a block: chunk and offset, or with largeBit an index of large. 0
// is no block: the first bytes of the first chunk are left out.
type ref uint64

const (
	arenaChunkBytes = 1 << 20
	arenaBlockMax   = 64 << 10 // larger ones are mapped one by one
	arenaStep       = 16       // and the smallest block
	arenaFine       = 16       // so many classes are one step apart
	arenaClasses    = arenaFine + 8*8 + 1
	largeBit        = 1 << 63
)

// classOf returns the class of a block of n bytes and the class's size: steps
// of 16 up to 256, then eight classes to each doubling.
func classOf(n int) (class, size int) {
	if n <= arenaStep*arenaFine {
		class = max(0, (n-1)/arenaStep)
		return class, (class + 1) * arenaStep
	}
	top := bits.Len(uint(n-1)) - 1 // n-1 is in [1<<top, 2<<top), and top >= 8
	step := 1 << (top - 3)
	eighth := (n - 1 - 1<<top) / step
	return arenaFine + (top-8)*8 + eighth, 1<<top + (eighth+1)*step
}

// backStep is how many bytes are given memory at a time: a few microseconds' worth.
const backStep = 32 << 10

// backUpTo gives memory to what mapBytes returned up to need, and a little more; up to backed it has some. It
// returns up to where it has now.
func backUpTo(mem []byte, backed, need int) int {
	if need <= backed {
		return backed
	}
	to := min((need+backStep-1)&^(backStep-1), len(mem))
	backBytes(mem[backed:to])
	return to
}

// alloc returns a block of at least n bytes; what is in it is left over. n of
// 0 is no block.
func (a *arena) alloc(n int) ref {
	if n == 0 {
		return 0
	}
	if n > arenaBlockMax {
		return a.allocLarge(n)
	}
	class, size := classOf(n)
	a.used += int64(size)
	if r := a.free[class]; r != 0 {
		a.free[class] = ref(binary.NativeEndian.Uint64(a.bytes(r, 8)))
		return r
	}
	if len(a.chunks) == 0 || a.next+size > arenaChunkBytes {
		a.chunks = append(a.chunks, mapBytes(arenaChunkBytes))
		a.next, a.backed = 0, 0
		if len(a.chunks) == 1 {
			a.next = arenaStep // ref 0 is no block
		}
	}
	r := ref(len(a.chunks)-1)<<32 | ref(a.next)
	a.next += size
	a.backed = backUpTo(a.chunks[len(a.chunks)-1], a.backed, a.next)
	return r
}

func (a *arena) allocLarge(n int) ref {
	b := mapBytes(n)
	a.used += int64(n)
	if k := len(a.unused); k > 0 {
		i := a.unused[k-1]
		a.unused = a.unused[:k-1]
		a.large[i] = b
		return largeBit | ref(i)
	}
	a.large = append(a.large, b)
	return largeBit | ref(len(a.large)-1)
}

// release gives back a block of which n bytes were asked.
func (a *arena) release(r ref, n int) {
	if r == 0 {
		return
	}
	if r&largeBit != 0 {
		i := uint32(r)
		a.used -= int64(len(a.large[i]))
		unmapBytes(a.large[i])
		a.large[i] = nil
		a.unused = append(a.unused, i)
		return
	}
	class, size := classOf(n)
	a.used -= int64(size)
	binary.NativeEndian.PutUint64(a.bytes(r, 8), uint64(a.free[class]))
	a.free[class] = r
}

// bytes returns the first n bytes of a block.
func (a *arena) bytes(r ref, n int) []byte {
	if r == 0 {
		return []byte{}
	}
	if r&largeBit != 0 {
		return a.large[uint32(r)][:n:n]
	}
	off := int(uint32(r))
	return a.chunks[r>>32][off : off+n : off+n]
}

// put allocates a block with the contents of b.
func (a *arena) put(b []byte) ref {
	r := a.alloc(len(b))
	copy(a.bytes(r, len(b)), b)
	return r
}

// replace makes the block r, of oldLen bytes, hold b, in place if it fits in
// its class.
func (a *arena) replace(r ref, oldLen int, b []byte) ref {
	if r != 0 && sameBlock(oldLen, len(b)) {
		copy(a.bytes(r, len(b)), b)
		return r
	}
	a.release(r, oldLen)
	return a.put(b)
}

func sameBlock(a, b int) bool {
	if a == b {
		return true
	}
	if a > arenaBlockMax || b > arenaBlockMax || a == 0 || b == 0 {
		return false
	}
	ca, _ := classOf(a)
	cb, _ := classOf(b)
	return ca == cb
}

// close gives back everything.
func (a *arena) close() {
	for _, c := range a.chunks {
		unmapBytes(c)
	}
	for _, l := range a.large {
		if l != nil {
			unmapBytes(l)
		}
	}
	*a = arena{}
}
