package session

import (
	"cmp"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// model is the dumb twin of Tracker: a map, and loops over all of it.
type model struct {
	tick     int64
	sessions map[int64]*modelSession
}

type modelSession struct {
	timeout  int32
	deadline int64
	waiting  bool
	closing  bool
}

// deadline counts ticks up from far below; no division, no remainder.
func (m *model) deadline(end int64) int64 {
	d := -1000 * m.tick
	for d <= end {
		d += m.tick
	}
	return d
}

func (m *model) add(id int64, timeout int32, now int64) {
	m.sessions[id] = &modelSession{timeout: timeout, deadline: m.deadline(now + int64(timeout)), waiting: true}
}

func (m *model) touch(id int64, timeout int32, now int64) bool {
	s, ok := m.sessions[id]
	if !ok || s.closing {
		return false
	}
	s.deadline = max(s.deadline, m.deadline(now+int64(timeout)))
	s.waiting = true
	return true
}

func (m *model) due(now int64) []int64 {
	var ids []int64
	for id, s := range m.sessions {
		if s.waiting && s.deadline <= now {
			s.waiting = false
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func (m *model) setClosing(id int64) bool {
	s, ok := m.sessions[id]
	if !ok || s.closing {
		return false
	}
	s.closing, s.waiting = true, false
	return true
}

func (m *model) buckets() []Bucket {
	ids := map[int64][]int64{}
	for id, s := range m.sessions {
		if s.waiting {
			ids[s.deadline] = append(ids[s.deadline], id)
		}
	}
	out := []Bucket{}
	for d, b := range ids {
		slices.Sort(b)
		out = append(out, Bucket{Deadline: d, IDs: b})
	}
	slices.SortFunc(out, func(a, b Bucket) int { return cmp.Compare(a.Deadline, b.Deadline) })
	return out
}

// TestModel compares the Tracker with its twin on random operations.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tick := rapid.Int64Range(1, 7).Draw(t, "tick")
		tr := NewTracker(tick)
		m := &model{tick: tick, sessions: map[int64]*modelSession{}}
		now := rapid.Int64Range(-20, 20).Draw(t, "start")
		id := rapid.Int64Range(-4, 12)
		timeout := rapid.Int32Range(-3, 30)
		// Touches are reported late and out of order.
		late := rapid.Int64Range(0, 15)
		t.Repeat(map[string]func(*rapid.T){
			"time": func(t *rapid.T) { now += rapid.Int64Range(0, 12).Draw(t, "ms") },
			"add": func(t *rapid.T) {
				i, to := id.Draw(t, "id"), timeout.Draw(t, "timeout")
				tr.Add(i, to, now)
				m.add(i, to, now)
			},
			"touch": func(t *rapid.T) {
				i, to, at := id.Draw(t, "id"), timeout.Draw(t, "timeout"), now-late.Draw(t, "late")
				if got, want := tr.Touch(i, to, at), m.touch(i, to, at); got != want {
					t.Fatalf("touch of %d is %v, want %v", i, got, want)
				}
			},
			"due": func(t *rapid.T) {
				if got, want := tr.Due(now), m.due(now); !slices.Equal(got, want) {
					t.Fatalf("due at %d are %v, want %v", now, got, want)
				}
			},
			"close": func(t *rapid.T) {
				i := id.Draw(t, "id")
				if got, want := tr.SetClosing(i), m.setClosing(i); got != want {
					t.Fatalf("closing %d is %v, want %v", i, got, want)
				}
			},
			"remove": func(t *rapid.T) {
				i := id.Draw(t, "id")
				tr.Remove(i)
				delete(m.sessions, i)
			},
			"": func(t *rapid.T) {
				checkInvariants(t, tr)
				compare(t, tr, m)
			},
		})
	})
}

func compare(t *rapid.T, tr *Tracker, m *model) {
	buckets := m.buckets()
	if got := tr.Buckets(); !slices.EqualFunc(got, buckets, func(a, b Bucket) bool {
		return a.Deadline == b.Deadline && slices.Equal(a.IDs, b.IDs)
	}) {
		t.Fatalf("buckets are %v, want %v", got, buckets)
	}
	next, ok := tr.NextDeadline()
	if ok != (len(buckets) > 0) || ok && next != buckets[0].Deadline {
		t.Fatalf("next deadline is %d, %v; the buckets are %v", next, ok, buckets)
	}
	ids := slices.Sorted(maps.Keys(m.sessions))
	tr.Each(func(id int64, timeout int32) {
		if len(ids) == 0 || ids[0] != id || m.sessions[id].timeout != timeout {
			t.Fatalf("session %d with timeout %d, want first of %v", id, timeout, ids)
		}
		ids = ids[1:]
	})
	if len(ids) != 0 || tr.Len() != len(m.sessions) {
		t.Fatalf("sessions %v are missing, length is %d", ids, tr.Len())
	}
	for id := int64(-5); id <= 13; id++ {
		s := m.sessions[id]
		timeout, known := tr.Timeout(id)
		if known != (s != nil) || tr.Has(id) != known || tr.IsClosing(id) != (known && s.closing) || known && timeout != s.timeout {
			t.Fatalf("session %d: timeout %d, known %v, closing %v; want %+v", id, timeout, known, tr.IsClosing(id), s)
		}
	}
}
