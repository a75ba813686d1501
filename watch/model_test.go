package watch

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/quorate/quorate/wire"
)

// model is the dumb twin of Table: a list of entries per table and loops.
type model struct {
	data, child []modelEntry
	recursive   []modelEntry // data entries in the order they became recursive
}

type modelEntry struct {
	path                           string
	w                              Watcher
	oneShot, persistent, recursive bool
}

func (e *modelEntry) empty() bool { return !e.oneShot && !e.persistent && !e.recursive }

// at returns the entry of (path, w), appending one if there is none.
func at(list *[]modelEntry, path string, w Watcher) *modelEntry {
	for i, e := range *list {
		if e.path == path && e.w == w {
			return &(*list)[i]
		}
	}
	*list = append(*list, modelEntry{path: path, w: w})
	return &(*list)[len(*list)-1]
}

func prune(list *[]modelEntry) {
	*list = slices.DeleteFunc(*list, func(e modelEntry) bool { return e.empty() })
}

func (m *model) fire(typ wire.EventType, path string) []Watcher {
	var out []Watcher
	tell := func(w Watcher) {
		if !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	shoot := func(list *[]modelEntry) {
		for i := range *list {
			if e := &(*list)[i]; e.path == path {
				tell(e.w)
				e.oneShot = false
			}
		}
		prune(list)
	}
	if typ != wire.EventNodeChildrenChanged {
		shoot(&m.data)
		for p := path; strings.HasPrefix(p, "/") && p != "/"; {
			p = p[:max(strings.LastIndex(p, "/"), 1)]
			for _, e := range m.recursive {
				if e.path == p {
					tell(e.w)
				}
			}
		}
	}
	if typ == wire.EventNodeChildrenChanged || typ == wire.EventNodeDeleted {
		shoot(&m.child)
	}
	return out
}

func (m *model) addRecursive(path string, w Watcher) {
	if e := at(&m.data, path, w); !e.recursive {
		e.recursive = true
		m.recursive = append(m.recursive, modelEntry{path: path, w: w})
	}
}

func (m *model) remove(path string, typ wire.WatcherType, w Watcher) bool {
	found := false
	take := func(b *bool, when bool) {
		if when && *b {
			*b, found = false, true
		}
	}
	anyType := typ == wire.WatcherAny
	d, c := at(&m.data, path, w), at(&m.child, path, w)
	take(&d.oneShot, anyType || typ == wire.WatcherData)
	take(&c.oneShot, anyType || typ == wire.WatcherChildren)
	take(&d.persistent, anyType || typ == wire.WatcherPersistent)
	take(&c.persistent, anyType || typ == wire.WatcherPersistent)
	take(&d.recursive, anyType || typ == wire.WatcherPersistentRecursive)
	if !d.recursive {
		m.recursive = slices.DeleteFunc(m.recursive, func(e modelEntry) bool { return e.path == path && e.w == w })
	}
	prune(&m.data)
	prune(&m.child)
	return found
}

func (m *model) check(path string, typ wire.WatcherType, w Watcher) bool {
	twin := model{data: slices.Clone(m.data), child: slices.Clone(m.child)}
	return twin.remove(path, typ, w)
}

func (m *model) drop(w Watcher) {
	gone := func(e modelEntry) bool { return e.w == w }
	m.data, m.child = slices.DeleteFunc(m.data, gone), slices.DeleteFunc(m.child, gone)
	m.recursive = slices.DeleteFunc(m.recursive, gone)
}

// byWatcher and byPath are what wchc and wchp show.
func (m *model) summary() (byWatcher map[Watcher][]string, byPath map[string][]Watcher) {
	byWatcher, byPath = map[Watcher][]string{}, map[string][]Watcher{}
	for _, e := range m.data {
		byWatcher[e.w] = append(byWatcher[e.w], e.path)
		byPath[e.path] = append(byPath[e.path], e.w)
	}
	for _, paths := range byWatcher {
		slices.Sort(paths)
	}
	for _, ws := range byPath {
		slices.Sort(ws)
	}
	return byWatcher, byPath
}

// TestModel compares the Table with its twin on random operations, answers and
// their order included.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m model
		tb := NewTable()
		path := rapid.SampledFrom([]string{"/", "/a", "/a/b", "/a/b/c", "/ab", "/ab/c", "/z", "", "odd"})
		who := rapid.Uint64Range(1, crowdMin+8)
		watcherType := rapid.Int32Range(0, 6)
		// Whole crowds come at once, else random walks hardly make one.
		each := func(t *rapid.T, add func(w Watcher)) {
			from, to := who.Draw(t, "from"), who.Draw(t, "to")
			for w := from; w <= to; w++ {
				add(Watcher(w))
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"data": func(t *rapid.T) {
				p := path.Draw(t, "path")
				each(t, func(w Watcher) {
					tb.AddData([]byte(p), w)
					at(&m.data, p, w).oneShot = true
				})
			},
			"child": func(t *rapid.T) {
				p := path.Draw(t, "path")
				each(t, func(w Watcher) {
					tb.AddChild([]byte(p), w)
					at(&m.child, p, w).oneShot = true
				})
			},
			"persistent": func(t *rapid.T) {
				p, w := path.Draw(t, "path"), Watcher(who.Draw(t, "w"))
				tb.AddPersistent([]byte(p), w, false)
				at(&m.data, p, w).persistent, at(&m.child, p, w).persistent = true, true
			},
			"recursive": func(t *rapid.T) {
				p, w := path.Draw(t, "path"), Watcher(who.Draw(t, "w"))
				tb.AddPersistent([]byte(p), w, true)
				m.addRecursive(p, w)
			},
			"fire": func(t *rapid.T) {
				p, typ := path.Draw(t, "path"), wire.EventType(rapid.Int32Range(1, 4).Draw(t, "type"))
				kept := []Watcher{99}
				got, want := tb.Fire(kept, typ, []byte(p)), append(kept, m.fire(typ, p)...)
				if !slices.Equal(got, want) {
					t.Fatalf("event %d on %q tells %v, want %v", typ, p, got, want)
				}
			},
			"remove": func(t *rapid.T) {
				p, w := path.Draw(t, "path"), Watcher(who.Draw(t, "w"))
				typ := wire.WatcherType(watcherType.Draw(t, "type"))
				if got, want := tb.Remove([]byte(p), typ, w), m.remove(p, typ, w); got != want {
					t.Fatalf("remove type %d of %d at %q is %v, want %v", typ, w, p, got, want)
				}
			},
			"check": func(t *rapid.T) {
				p, w := path.Draw(t, "path"), Watcher(who.Draw(t, "w"))
				typ := wire.WatcherType(watcherType.Draw(t, "type"))
				if got, want := tb.Check([]byte(p), typ, w), m.check(p, typ, w); got != want {
					t.Fatalf("check type %d of %d at %q is %v, want %v", typ, w, p, got, want)
				}
			},
			"drop": func(t *rapid.T) {
				each(t, func(w Watcher) {
					tb.Drop(w)
					m.drop(w)
				})
			},
			"": func(t *rapid.T) {
				checkInvariants(t, tb)
				compareSummary(t, tb, &m)
			},
		})
	})
}

func compareSummary(t *rapid.T, tb *Table, m *model) {
	byWatcher, byPath := m.summary()
	c, p, n := tb.DataSummary()
	if c != len(byWatcher) || p != len(byPath) || n != len(m.data) || tb.Count() != n+len(m.child) {
		t.Fatalf("summary %d %d %d, count %d; the model has %+v", c, p, n, tb.Count(), m)
	}
	gotPaths, gotWatchers := map[string][]Watcher{}, map[Watcher][]string{}
	var order []string
	for p, ws := range tb.EachDataByPath {
		gotPaths[p] = ws
		order = append(order, p)
	}
	for w, ps := range tb.EachDataByWatcher {
		gotWatchers[w] = ps
	}
	if !slices.IsSorted(order) || !maps.EqualFunc(gotPaths, byPath, slices.Equal) ||
		!maps.EqualFunc(gotWatchers, byWatcher, slices.Equal) {
		t.Fatalf("listings %v %v, want %v %v", gotPaths, gotWatchers, byPath, byWatcher)
	}
}
