package replica

import (
	"bytes"

	"github.com/quorate/quorate/znode"
)

// A multiRead or a setWatches may name more znodes than fit into memory, and all of
// them may have to be read from the tree at rest. Such a request is carried out in
// pieces. Between two of them the locks are let go, so that writes and other
// connections get their turn, and what comes next is read. What is done stays done:
// beginning anew with each znode that was not in memory would take a time that grows
// with the square of the request, and would never end once the tree's budget is used
// up.
//
// As in ZooKeeper, the results of a multiRead may then be of different moments. Each is
// no older than the one before it.

const (
	// pieceOps and pieceBytes end a piece: so many operations, or so much output.
	pieceOps   = 1000
	pieceBytes = 1 << 20
	// aheadMax and aheadBytesMax bound what is read ahead of a request.
	aheadMax      = 256
	aheadBytesMax = 1 << 20
)

// progress is how far a client's request has got that is carried out in pieces. Its
// zero value says that none is under way.
type progress struct {
	begun bool
	off   int // of the request's body: where it goes on
	// stuck is where it last lacked something, plus 1.
	stuck int
	// out are the answer's pieces so far, without its header, of that size together. They
	// are put together at the end: one buffer that grows would be copied again and again.
	out  [][]byte
	size int
	// place is where a setWatches has got to.
	place watchPlace
}

// pause ends a piece in front of the operation at off. The piece's output is kept.
func (q *query) pause(off int) {
	p := &q.c.part
	p.begun, p.off = true, off
	if done := q.c.out[q.start:]; len(done) > 0 {
		p.out = append(p.out, bytes.Clone(done))
		p.size += len(done)
	}
	if q.need.kind == needNothing {
		q.need.kind = needTurn
	}
}

// join puts what the pieces before have answered in front of the last piece.
func (q *query) join() {
	p := &q.c.part
	if p.size == 0 {
		return
	}
	out := append(make([]byte, 0, len(q.c.out)+p.size), q.c.out[:q.start]...)
	for _, piece := range p.out {
		out = append(out, piece...)
	}
	q.c.out = append(out, q.c.out[q.start:]...)
}

// lacks notes that the operation at off needs something first. It reports whether that
// is worth reading ahead for: it is not when the request was held up here before, and
// what had been read for it was dropped again.
func (p *progress) lacks(off int) bool {
	again := p.stuck == off+1
	p.stuck = off + 1
	return !again
}

// ahead adds a path that the request will come to, if its node is not in memory. It is
// false when that is enough for now.
func (q *query) ahead(path []byte) bool {
	if path != nil && q.r.Tree().Find(path, &q.node) == znode.NotResident {
		q.need.ahead = append(q.need.ahead, path)
	}
	return len(q.need.ahead) < aheadMax
}

// clone copies the paths, which alias the request.
func (d demand) clone() demand {
	out := demand{kind: d.kind, path: bytes.Clone(d.path), ahead: make([][]byte, len(d.ahead))}
	for i, p := range d.ahead {
		out.ahead[i] = bytes.Clone(p)
	}
	return out
}

// loadAhead reads what a request will come to, as far as that takes little memory: more
// would drop from it what the request comes to first.
func (r *Replica) loadAhead(paths [][]byte) error {
	tree := r.Tree()
	memory := func() int64 {
		tree.RLock()
		defer tree.RUnlock()
		return tree.MemoryBytes()
	}
	limit := memory() + aheadBytesMax
	for _, p := range paths {
		if err := tree.Load(p); err != nil {
			return err
		}
		if memory() > limit {
			break
		}
	}
	return nil
}
