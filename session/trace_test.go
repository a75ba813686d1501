package session

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestTraces runs the stories of testdata. Each begins with
//
//	tracker tick=<ms>
//
// and goes on with "at now=<ms>", which takes one operation per line, those of
// Tracker, and prints what each of them returns:
//
//	add <id> <timeout> | touch <id> <timeout> | close <id> | remove <id> | due
//	session <id> | sessions | buckets | next
//
// go test -rewrite renews the expected results; review the difference.
func TestTraces(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var tr *Tracker
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "tracker":
				tr = NewTracker(argument(t, d, "tick"))
				return "ok"
			case "at":
				var out strings.Builder
				now := argument(t, d, "now")
				for line := range strings.Lines(d.Input + "\n") {
					if f := strings.Fields(line); len(f) > 0 {
						fmt.Fprintf(&out, "%s: %s\n", strings.Join(f, " "), operate(t, d, tr, now, f))
					}
				}
				checkInvariants(t, tr)
				return out.String()
			default:
				d.Fatalf(t, "unknown command %q", d.Cmd)
				return ""
			}
		})
	})
}

func argument(t *testing.T, d *datadriven.TestData, key string) int64 {
	var v int64
	d.ScanArgs(t, key, &v)
	return v
}

func operate(t *testing.T, d *datadriven.TestData, tr *Tracker, now int64, f []string) string {
	arg := func(i int) int64 {
		if i >= len(f) {
			d.Fatalf(t, "%q: missing argument", f)
		}
		v, err := strconv.ParseInt(f[i], 0, 64)
		if err != nil {
			d.Fatalf(t, "%q: %v", f, err)
		}
		return v
	}
	switch f[0] {
	case "add":
		tr.Add(arg(1), int32(arg(2)), now)
		return "ok"
	case "touch":
		return fmt.Sprint(tr.Touch(arg(1), int32(arg(2)), now))
	case "close":
		return fmt.Sprint(tr.SetClosing(arg(1)))
	case "remove":
		tr.Remove(arg(1))
		return "ok"
	case "due":
		return fmt.Sprint(tr.Due(now))
	case "next":
		if deadline, ok := tr.NextDeadline(); ok {
			return fmt.Sprint(deadline)
		}
		return "never"
	case "session":
		timeout, known := tr.Timeout(arg(1))
		if known != tr.Has(arg(1)) {
			d.Fatalf(t, "Timeout and Has disagree about %s", f[1])
		}
		if !known {
			return "unknown"
		}
		return fmt.Sprintf("timeout %d, closing %v", timeout, tr.IsClosing(arg(1)))
	case "sessions":
		var out strings.Builder
		fmt.Fprintf(&out, "%d", tr.Len())
		tr.Each(func(id int64, timeout int32) { fmt.Fprintf(&out, " %d/%d", id, timeout) })
		return out.String()
	case "buckets":
		var out []string
		for _, b := range tr.Buckets() {
			out = append(out, fmt.Sprintf("%d %v", b.Deadline, b.IDs))
		}
		return "{" + strings.Join(out, ", ") + "}"
	default:
		d.Fatalf(t, "unknown operation %q", f[0])
		return ""
	}
}

// checkInvariants walks everything a Tracker holds and fails on the first thing
// that does not fit together.
func checkInvariants(t fataler, tr *Tracker) {
	t.Helper()
	q := &tr.buckets
	if len(q.heap) != len(q.byDeadline) || len(q.spare) > sparesMax {
		t.Fatalf("%d buckets in the heap, %d by deadline, %d spare", len(q.heap), len(q.byDeadline), len(q.spare))
	}
	waiting := 0
	for i, b := range q.heap {
		if b.position != i || q.byDeadline[b.deadline] != b || b.head == nil || b.deadline%tr.tick != 0 {
			t.Fatalf("bucket %+v at %d", b, i)
		}
		if i > 0 && q.heap[(i-1)/2].deadline > b.deadline {
			t.Fatalf("bucket %d is above %d in the heap", q.heap[(i-1)/2].deadline, b.deadline)
		}
		for e := b.head; ; e = e.next {
			waiting++
			if e.bucket != b || e.deadline != b.deadline || e.closing || e.next.prev != e || tr.sessions[e.id] != e {
				t.Fatalf("entry %+v in bucket %d", e, b.deadline)
			}
			if e.next == b.head {
				break
			}
		}
	}
	for _, b := range q.spare {
		if b.head != nil {
			t.Fatalf("spare bucket %+v", b)
		}
	}
	for id, e := range tr.sessions {
		if e.id != id {
			t.Fatalf("session %d is %d", id, e.id)
		}
		if e.bucket != nil {
			waiting--
		}
	}
	if waiting != 0 {
		t.Fatalf("buckets and sessions differ by %d", waiting)
	}
}

// fataler is what testing.T and rapid.T have in common here.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}
