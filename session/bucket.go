package session

import (
	"cmp"
	"container/heap"
	"slices"
)

// bucket is the ring of open sessions that share a deadline. It is never
// empty: the queue drops it with its last session.
type bucket struct {
	deadline int64
	head     *entry
	position int // in the heap
}

// bucketQueue finds a bucket by its deadline, and the earliest of all. Moving a
// session between buckets that exist costs two pointer swings and a map lookup;
// only the first session of a deadline and the last one pay for the heap, and
// there are no more deadlines than ticks in the longest timeout.
type bucketQueue struct {
	byDeadline map[int64]*bucket
	heap       bucketHeap
	spare      []*bucket
}

// sparesMax bounds the emptied buckets kept for reuse. Ticks pass one by one,
// so a few suffice to touch sessions for ever without allocating.
const sparesMax = 16

// insert puts a session, which must be in no bucket, into that of its deadline.
func (q *bucketQueue) insert(e *entry) {
	b := q.byDeadline[e.deadline]
	if b == nil {
		b = q.open(e.deadline)
	}
	b.link(e)
}

// remove takes the session out of its bucket, if it is in one.
func (q *bucketQueue) remove(e *entry) {
	b := e.bucket
	if b == nil {
		return
	}
	b.unlink(e)
	if b.head == nil {
		q.close(b)
	}
}

func (q *bucketQueue) first() (deadline int64, ok bool) {
	if len(q.heap) == 0 {
		return 0, false
	}
	return q.heap[0].deadline, true
}

// takeFirst empties the earliest bucket and appends its ids, in no order.
func (q *bucketQueue) takeFirst(ids []int64) []int64 {
	b := q.heap[0]
	for b.head != nil {
		ids = append(ids, b.head.id)
		b.unlink(b.head)
	}
	q.close(b)
	return ids
}

func (q *bucketQueue) open(deadline int64) *bucket {
	var b *bucket
	if n := len(q.spare); n > 0 {
		b, q.spare = q.spare[n-1], q.spare[:n-1]
	} else {
		b = new(bucket)
	}
	b.deadline = deadline
	q.byDeadline[deadline] = b
	heap.Push(&q.heap, b)
	return b
}

func (q *bucketQueue) close(b *bucket) {
	delete(q.byDeadline, b.deadline)
	heap.Remove(&q.heap, b.position)
	if len(q.spare) < sparesMax {
		q.spare = append(q.spare, b)
	}
}

func (q *bucketQueue) all() []Bucket {
	out := make([]Bucket, 0, len(q.heap))
	for _, b := range q.heap {
		out = append(out, Bucket{Deadline: b.deadline, IDs: b.ids()})
	}
	slices.SortFunc(out, func(a, b Bucket) int { return cmp.Compare(a.Deadline, b.Deadline) })
	return out
}

func (b *bucket) link(e *entry) {
	e.bucket = b
	if b.head == nil {
		b.head, e.prev, e.next = e, e, e
		return
	}
	e.next, e.prev = b.head, b.head.prev
	e.prev.next, e.next.prev = e, e
}

func (b *bucket) unlink(e *entry) {
	if e.next == e {
		b.head = nil
	} else {
		e.prev.next, e.next.prev = e.next, e.prev
		if b.head == e {
			b.head = e.next
		}
	}
	e.bucket, e.prev, e.next = nil, nil, nil
}

func (b *bucket) ids() []int64 {
	ids := []int64{b.head.id}
	for e := b.head.next; e != b.head; e = e.next {
		ids = append(ids, e.id)
	}
	slices.Sort(ids)
	return ids
}

// bucketHeap orders buckets by deadline and tells each where it stands, so that
// one in the middle can be removed.
type bucketHeap []*bucket

// Len implements heap.Interface.
func (h bucketHeap) Len() int { return len(h) }

// Less implements heap.Interface.
func (h bucketHeap) Less(i, j int) bool { return h[i].deadline < h[j].deadline }

// Swap implements heap.Interface.
func (h bucketHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].position, h[j].position = i, j
}

// Push implements heap.Interface.
func (h *bucketHeap) Push(x any) {
	b := x.(*bucket)
	b.position = len(*h)
	*h = append(*h, b)
}

// Pop implements heap.Interface.
func (h *bucketHeap) Pop() any {
	old := *h
	last := len(old) - 1
	b := old[last]
	old[last] = nil
	*h = old[:last]
	return b
}
