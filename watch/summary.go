package watch

import (
	"maps"
	"slices"
)

// Count returns the number of entries in both tables, as zk_watch_count does: a
// watcher with one-shot, persistent and recursive watches on the data of one
// path counts once there, and a persistent watch counts 2 because it is in
// both tables.
func (t *Table) Count() int { return t.tables[dataTable].entries + t.tables[childTable].entries }

// DataSummary returns how many watchers hold watches of the data table, how
// many paths they watch, and how many entries that is: what the four-letter
// word wchs prints. As in ZooKeeper the child table is left out.
func (t *Table) DataSummary() (connections, paths, watches int) {
	for _, c := range t.conns {
		if c.dataEntries > 0 {
			connections++
		}
	}
	return connections, len(t.tables[dataTable].paths), t.tables[dataTable].entries
}

// EachDataByPath yields every path of the data table with its watchers, both
// in ascending order (wchp). The slice is the callee's to keep. It can be
// ranged over; the table must not change meanwhile.
func (t *Table) EachDataByPath(yield func(path string, watchers []Watcher) bool) {
	for _, p := range slices.Sorted(maps.Keys(t.tables[dataTable].paths)) {
		if !yield(p, t.tables[dataTable].paths[p].watchers()) {
			return
		}
	}
}

// EachDataByWatcher yields every watcher of the data table with its paths, both
// in ascending order (wchc). The slice is the callee's to keep. It can be
// ranged over; the table must not change meanwhile.
func (t *Table) EachDataByWatcher(yield func(w Watcher, paths []string) bool) {
	for _, w := range slices.Sorted(maps.Keys(t.conns)) {
		c := t.conns[w]
		if c.dataEntries > 0 && !yield(w, c.dataPaths()) {
			return
		}
	}
}

// watchers returns those of the ring that starts at head.
func (head *entry) watchers() []Watcher {
	ws := []Watcher{head.conn.watcher}
	for e := head.next; e != head; e = e.next {
		ws = append(ws, e.conn.watcher)
	}
	slices.Sort(ws)
	return ws
}

func (c *conn) dataPaths() []string {
	paths := make([]string, 0, c.dataEntries)
	for e := c.entries; ; {
		if e.kind == dataTable {
			paths = append(paths, e.path)
		}
		if e = e.nextConn; e == c.entries {
			slices.Sort(paths)
			return paths
		}
	}
}
