package znode

import (
	"hash/maphash"
	"unsafe"
)

// index finds nodes by path: extendible hashing. A directory of segments is
// chosen from by the upper bits of a path's hash; a segment is a small table
// with linear probing. A full segment is split in two, so growing never takes
// longer than one segment's entries, however many nodes there are.
//
// A slot holds 32 bits of the hash and the node's number; it needs no look at
// the node to be moved. 0 is an empty slot: node 0 is never used.
type index struct {
	seed     maphash.Seed
	dir      []*segment // 1<<depth entries
	depth    uint
	segments int
	count    int
	before   [segmentSlots]uint64 // split's: a segment as it was
}

const (
	segmentSlots = 4096
	segmentFull  = segmentSlots * 3 / 4
)

type segment struct {
	slots *[segmentSlots]uint64
	mem   []byte
	depth uint // how many upper bits its entries share
	count int
}

func newIndex() index {
	return index{seed: maphash.MakeSeed(), dir: []*segment{newSegment(0)}, segments: 1}
}

func newSegment(depth uint) *segment {
	mem := mapBytes(segmentSlots * 8)
	backBytes(mem)
	return &segment{slots: (*[segmentSlots]uint64)(unsafe.Pointer(&mem[0])), mem: mem, depth: depth}
}

// tag is what the index keeps of a path's hash.
func (x *index) tag(path []byte) uint32 { return uint32(maphash.Bytes(x.seed, path) >> 32) }

func (x *index) segment(tag uint32) *segment {
	return x.dir[uint64(tag)>>(32-x.depth)]
}

// find calls same with each node whose tag is the given one until it returns
// true, and returns that node; 0 when there is none.
func (x *index) find(t *nodeTable, tag uint32, path []byte) uint32 {
	s := x.segment(tag)
	for i := tag & (segmentSlots - 1); ; i = (i + 1) & (segmentSlots - 1) {
		slot := s.slots[i]
		if slot == 0 {
			return 0
		}
		if uint32(slot>>32) == tag {
			if id := uint32(slot); string(t.path(id)) == string(path) {
				return id
			}
		}
	}
}

// insert adds a node that is not there yet.
func (x *index) insert(tag, id uint32) {
	s := x.segment(tag)
	for s.count >= segmentFull && s.depth < 20 {
		x.split(s, tag)
		s = x.segment(tag)
	}
	s.add(tag, id)
	x.count++
}

func (s *segment) add(tag, id uint32) {
	i := tag & (segmentSlots - 1)
	for s.slots[i] != 0 {
		i = (i + 1) & (segmentSlots - 1)
	}
	s.slots[i] = uint64(tag)<<32 | uint64(id)
	s.count++
}

// split divides a segment by the next bit of its entries' tags: those that have it move to a new one.
func (x *index) split(s *segment, tag uint32) {
	if s.depth == x.depth {
		dir := make([]*segment, 2*len(x.dir))
		for i, d := range x.dir {
			dir[2*i], dir[2*i+1] = d, d
		}
		x.dir = dir
		x.depth++
	}
	span := 1 << (x.depth - s.depth)
	first := int(uint64(tag)>>(32-x.depth)) &^ (span - 1)
	x.before = *s.slots
	clear(s.slots[:])
	s.depth++
	s.count = 0
	high := newSegment(s.depth)
	x.segments++
	for _, slot := range x.before {
		if slot == 0 {
			continue
		}
		t := uint32(slot >> 32)
		if t>>(32-s.depth)&1 == 0 {
			s.add(t, uint32(slot))
		} else {
			high.add(t, uint32(slot))
		}
	}
	for i := span / 2; i < span; i++ {
		x.dir[first+i] = high
	}
}

// remove takes a node out. What follows it in its run moves up, so that no
// marks of removed entries remain.
func (x *index) remove(tag, id uint32) {
	s := x.segment(tag)
	i := tag & (segmentSlots - 1)
	for uint32(s.slots[i]) != id || s.slots[i] == 0 {
		if s.slots[i] == 0 {
			panic("znode: a node is not in the index")
		}
		i = (i + 1) & (segmentSlots - 1)
	}
	for j := i; ; {
		j = (j + 1) & (segmentSlots - 1)
		slot := s.slots[j]
		if slot == 0 {
			break
		}
		home := uint32(slot>>32) & (segmentSlots - 1)
		if (j-home)&(segmentSlots-1) >= (j-i)&(segmentSlots-1) {
			s.slots[i] = slot
			i = j
		}
	}
	s.slots[i] = 0
	s.count--
	x.count--
}

func (x *index) bytes() int64 {
	return int64(x.segments)*segmentSlots*8 + int64(len(x.dir))*8
}

func (x *index) close() {
	seen := map[*segment]bool{}
	for _, s := range x.dir {
		if !seen[s] {
			seen[s] = true
			unmapBytes(s.mem)
		}
	}
	x.dir = nil
}
