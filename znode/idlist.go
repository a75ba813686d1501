package znode

// idList is a list of numbers of nodes, in blocks: it grows and is joined to
// another without a copy of what is in it. The zero value is empty.
type idList struct {
	blocks [][]uint32
	n      int
}

// idBlock is how many ids a block holds. A checkpoint sorts one at a time: the
// keys of so many fit into a processor's cache.
const idBlock = 8192

func (l *idList) len() int { return l.n }

// size is the memory that the list takes.
func (l *idList) size() (bytes int64) {
	if k := len(l.blocks); k > 0 {
		bytes = 4*int64(l.n) + 4*int64(cap(l.blocks[k-1])-len(l.blocks[k-1]))
	}
	return bytes + 24*int64(cap(l.blocks))
}

func (l *idList) add(id uint32) {
	k := len(l.blocks)
	if k == 0 || len(l.blocks[k-1]) == idBlock {
		l.blocks = append(l.blocks, make([]uint32, 0, 64))
		k++
	}
	l.blocks[k-1] = append(l.blocks[k-1], id)
	l.n++
}

// addAll takes over the blocks of another list, which must not be used any
// more.
func (l *idList) addAll(other idList) {
	if l.n == 0 {
		*l = other
		return
	}
	l.blocks = append(l.blocks, other.blocks...)
	l.n += other.n
}

// pop removes and returns one of the ids; there must be one.
func (l *idList) pop() uint32 {
	k := len(l.blocks) - 1
	b := l.blocks[k]
	id := b[len(b)-1]
	if l.blocks[k] = b[:len(b)-1]; len(b) == 1 {
		l.blocks[k] = nil
		l.blocks = l.blocks[:k]
	}
	l.n--
	return id
}

// shrink keeps the first n ids of block k. The block may be empty then, after
// which the list can only be read, or joined to another.
func (l *idList) shrink(k, n int) {
	l.n -= len(l.blocks[k]) - n
	l.blocks[k] = l.blocks[k][:n]
}
