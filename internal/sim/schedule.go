package sim

// Simulated time is in microseconds from the start of a run.
const (
	millisecond = int64(1000)
	second      = 1000 * millisecond
)

// event is something that happens at a time. Of two at the same time the one that
// was planned first comes first.
type event struct {
	at  int64
	seq uint64
	do  func()
}

func (e *event) before(f *event) bool { return e.at < f.at || e.at == f.at && e.seq < f.seq }

// schedule is what will happen, and what time it is. It is a heap.
type schedule struct {
	now  int64
	seq  uint64
	heap []event
}

// after plans do for d from now.
func (q *schedule) after(d int64, do func()) { q.at(q.now+d, do) }

// at plans do for the time t, or for now if that is over.
func (q *schedule) at(t int64, do func()) {
	q.seq++
	q.heap = append(q.heap, event{max(t, q.now), q.seq, do})
	i := len(q.heap) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !q.heap[i].before(&q.heap[up]) {
			break
		}
		q.heap[i], q.heap[up] = q.heap[up], q.heap[i]
		i = up
	}
}

// next takes the next event, moves the clock there, and returns what to do; nil
// when nothing is planned.
func (q *schedule) next() func() {
	n := len(q.heap)
	if n == 0 {
		return nil
	}
	e := q.heap[0]
	n--
	q.heap[0] = q.heap[n]
	q.heap[n] = event{}
	q.heap = q.heap[:n]
	q.sink()
	q.now = e.at
	return e.do
}

// sink restores the heap after its top was replaced.
func (q *schedule) sink() {
	for i := 0; ; {
		least := i
		for _, c := range [2]int{2*i + 1, 2*i + 2} {
			if c < len(q.heap) && q.heap[c].before(&q.heap[least]) {
				least = c
			}
		}
		if least == i {
			return
		}
		q.heap[i], q.heap[least] = q.heap[least], q.heap[i]
		i = least
	}
}
