package watch

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/quorate/quorate/wire"
)

// TestTraces runs the stories of testdata. A command takes one operation per
// line and prints a result per line, or "ok". Watchers are numbers, paths are
// written as they are.
//
//	watch   <watcher> exists|getData|getChildren|addWatch-0|addWatch-1 <path>
//	txn     create|delete|setData <path>: all that it fires
//	fire    <event> <path>: one trigger alone
//	remove  <watcher> <watcher type> <path>: 0 or -121 as in the reply
//	check   the same, asking only
//	drop    <watcher>: its connection is gone
//	show    what wchs, wchp, wchc and zk_watch_count would say
//
// go test -rewrite renews the expected results; review the difference.
func TestTraces(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		tr := trace{Table: NewTable()}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var out strings.Builder
			for line := range strings.Lines(d.Input + "\n") {
				if f := strings.Fields(line); len(f) > 0 || d.Cmd == "show" {
					tr.run(t, &out, d, f)
				}
			}
			checkInvariants(t, tr.Table)
			if out.Len() == 0 {
				return "ok"
			}
			return out.String()
		})
	})
}

type trace struct {
	*Table
}

func (tr trace) run(t *testing.T, out *strings.Builder, d *datadriven.TestData, f []string) {
	switch d.Cmd {
	case "watch":
		tr.register(t, d, f)
	case "txn":
		for _, e := range triggers(t, d, f) {
			tr.fire(out, e.typ, e.path)
		}
	case "fire":
		tr.fire(out, eventType(t, d, f[0]), f[1])
	case "remove":
		ok := tr.Remove([]byte(f[2]), watcherType(t, d, f[1]), watcher(t, d, f[0]))
		fmt.Fprintln(out, result(ok))
	case "check":
		ok := tr.Check([]byte(f[2]), watcherType(t, d, f[1]), watcher(t, d, f[0]))
		fmt.Fprintln(out, result(ok))
	case "drop":
		tr.Drop(watcher(t, d, f[0]))
	case "show":
		tr.show(out)
	default:
		d.Fatalf(t, "unknown command %q", d.Cmd)
	}
}

// register adds the watch of a request: "<watcher> <request> <path>".
func (tr trace) register(t *testing.T, d *datadriven.TestData, f []string) {
	w, path := watcher(t, d, f[0]), []byte(f[2])
	switch f[1] {
	case "exists", "getData":
		tr.AddData(path, w)
	case "getChildren":
		tr.AddChild(path, w)
	case "addWatch-0":
		tr.AddPersistent(path, w, false)
	case "addWatch-1":
		tr.AddPersistent(path, w, true)
	default:
		d.Fatalf(t, "unknown request %q", f[1])
	}
}

func (tr trace) fire(out *strings.Builder, typ wire.EventType, path string) {
	ws := tr.Fire(nil, typ, []byte(path))
	fmt.Fprintf(out, "%s %s -> %s\n", eventNames[typ], path, list(ws))
}

func (tr trace) show(out *strings.Builder) {
	c, p, n := tr.DataSummary()
	fmt.Fprintf(out, "count %d\nwchs: %d connections watching %d paths, total watches %d\n", tr.Count(), c, p, n)
	for path, ws := range tr.EachDataByPath {
		fmt.Fprintf(out, "wchp: %s: %s\n", path, list(ws))
	}
	for w, paths := range tr.EachDataByWatcher {
		fmt.Fprintf(out, "wchc: %d: %s\n", w, strings.Join(paths, " "))
	}
}

type trigger struct {
	typ  wire.EventType
	path string
}

// triggers says what an operation fires, in order: the table of semantics that
// the caller of the package implements.
func triggers(t *testing.T, d *datadriven.TestData, f []string) []trigger {
	up, _ := parent([]byte(f[1]))
	switch f[0] {
	case "create":
		return []trigger{{wire.EventNodeCreated, f[1]}, {wire.EventNodeChildrenChanged, string(up)}}
	case "delete":
		return []trigger{{wire.EventNodeDeleted, f[1]}, {wire.EventNodeChildrenChanged, string(up)}}
	case "setData":
		return []trigger{{wire.EventNodeDataChanged, f[1]}}
	default:
		d.Fatalf(t, "unknown operation %q", f[0])
		return nil
	}
}

var eventNames = map[wire.EventType]string{
	wire.EventNodeCreated:         "NodeCreated",
	wire.EventNodeDeleted:         "NodeDeleted",
	wire.EventNodeDataChanged:     "NodeDataChanged",
	wire.EventNodeChildrenChanged: "NodeChildrenChanged",
	-1:                            "None",
	5:                             "DataWatchRemoved",
}

func eventType(t *testing.T, d *datadriven.TestData, name string) wire.EventType {
	for typ, n := range eventNames {
		if n == name {
			return typ
		}
	}
	d.Fatalf(t, "unknown event %q", name)
	return 0
}

func watcherType(t *testing.T, d *datadriven.TestData, name string) wire.WatcherType {
	types := map[string]wire.WatcherType{
		"Children":            wire.WatcherChildren,
		"Data":                wire.WatcherData,
		"Any":                 wire.WatcherAny,
		"Persistent":          wire.WatcherPersistent,
		"PersistentRecursive": wire.WatcherPersistentRecursive,
		"Unknown":             99,
	}
	typ, ok := types[name]
	if !ok {
		d.Fatalf(t, "unknown watcher type %q", name)
	}
	return typ
}

func watcher(t *testing.T, d *datadriven.TestData, s string) Watcher {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		d.Fatalf(t, "watcher: %v", err)
	}
	return Watcher(n)
}

func list(ws []Watcher) string {
	if len(ws) == 0 {
		return "nobody"
	}
	return strings.Trim(fmt.Sprint(ws), "[]")
}

func result(ok bool) string {
	if ok {
		return "0"
	}
	return "-121"
}

// checkInvariants walks everything a Table holds and fails on the first thing
// that does not fit together.
func checkInvariants(t fataler, tb *Table) {
	t.Helper()
	perConn, recursives := map[*conn]int{}, 0
	for k := range tb.tables {
		n := 0
		crowds := len(tb.tables[k].crowds)
		for path, head := range tb.tables[k].paths {
			s := tb.tables[k].slotOf(head)
			if s.crowd != nil {
				crowds--
			}
			ring := 0
			for e := s.head; ; e = e.next {
				ring++
				perConn[e.conn]++
				if e.path != path || e.kind != kind(k) || e.modes == 0 || e.next.prev != e || tb.conns[e.conn.watcher] != e.conn {
					t.Fatalf("entry %+v in the ring of %q", e, path)
				}
				if e.kind == dataTable && e.modes&recursive != 0 {
					recursives++
					if !tb.has(subtreeTable, []byte(path), e.conn.watcher, recursive) {
						t.Fatalf("recursive entry of %q is missing in the table of subtrees", path)
					}
				}
				if e.crowded != (s.crowd != nil) || e.crowded && s.crowd.byConn[e.conn] != e {
					t.Fatalf("crowd of %q does not know watcher %d", path, e.conn.watcher)
				}
				if e.next == s.head {
					break
				}
			}
			if s.crowd != nil && (len(s.crowd.byConn) != ring || s.crowd.peak < ring) || s.crowd == nil && ring >= crowdMin {
				t.Fatalf("ring of %d at %q has crowd %+v", ring, path, s.crowd)
			}
			n += ring
		}
		if n != tb.tables[k].entries || crowds != 0 {
			t.Fatalf("table %d counts %d entries, has %d; crowds are off by %d", k, tb.tables[k].entries, n, crowds)
		}
	}
	if n := tb.tables[subtreeTable].entries; n != recursives {
		t.Fatalf("%d entries are recursive, %d are in the table of subtrees", recursives, n)
	}
	for _, c := range tb.conns {
		n, data, bytes := 0, 0, int64(0)
		for e := c.entries; e != nil; {
			n++
			bytes += entryBytes + int64(len(e.path))
			if e.kind == dataTable {
				data++
			}
			if e = e.nextConn; e == c.entries {
				break
			}
		}
		if n != perConn[c] || data != c.dataEntries || bytes != c.bytes {
			t.Fatalf("watcher %d holds %d entries (%d data, %d counted; %d bytes, %d counted), %d are in the rings",
				c.watcher, n, data, c.dataEntries, bytes, c.bytes, perConn[c])
		}
	}
}

// fataler is what testing.T and rapid.T have in common here.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}
