package replica_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quorate/quorate/internal/replica"
	"github.com/quorate/quorate/wire"
)

// readList is a multiRead of one operation on several paths.
func readList(op wire.Op, paths ...string) []byte {
	var b []byte
	for _, p := range paths {
		b = append(wire.MultiHeader{Op: op, Err: -1}.Append(b), unwatched(p)...)
	}
	return wire.MultiEnd.Append(b)
}

// readResults are the results of a multiRead of getData: data, or an error's number.
func readResults(t *testing.T, body []byte) (out []string) {
	t.Helper()
	rd := wire.NewReader(body)
	for {
		var h wire.MultiHeader
		h.Decode(&rd)
		switch {
		case rd.Err() != nil:
			t.Fatal(rd.Err())
		case h.Done:
			return out
		case h.Op == wire.OpError:
			out = append(out, fmt.Sprint(rd.Int()))
		default:
			out = append(out, rd.String())
			var s wire.Stat
			s.Decode(&rd)
		}
	}
}

// TestMultiReadAnswerIsBounded: a znode takes a few bytes to ask for and many to
// answer with, and so do the names of its children.
func TestMultiReadAnswerIsBounded(t *testing.T) {
	w := newWorld(t, func(o *replica.Options) { o.MultiReadBytesMax = 64 << 10 })
	p := w.connected(4000)
	data := strings.Repeat("x", 10<<10)
	p.must(wire.OpCreate, create("/big", data, 0))
	p.must(wire.OpCreate, create("/wide", "", 0))
	for i := range 100 {
		p.must(wire.OpCreate, create(fmt.Sprintf("/wide/%0200d", i), "", 0))
	}
	for _, c := range []struct {
		op     wire.Op
		path   string
		n      int
		served bool
	}{
		{wire.OpGetData, "/big", 6, true},
		{wire.OpGetData, "/big", 7, false},
		{wire.OpGetData, "/big", 5000, false},
		{wire.OpGetChildren, "/wide", 3, true},
		{wire.OpGetChildren, "/wide", 4, false},
		{wire.OpGetChildren, "/wide", 5000, false},
	} {
		body := readList(c.op, slices.Repeat([]string{c.path}, c.n)...)
		a := p.ask(1, wire.OpMultiRead, body)
		refused := a.Err == wire.ErrMarshalling && string(a.body) == string(wire.MultiEnd.Append(nil))
		if c.served != (a.Err == wire.OK) || c.served == refused {
			t.Errorf("%d times %v %s: %v and %d bytes", c.n, c.op, c.path, a.Err, len(a.body))
		}
		if c.op == wire.OpGetData && c.served && !slices.Equal(readResults(t, a.body), slices.Repeat([]string{data}, c.n)) {
			t.Errorf("%d times %s: not its data", c.n, c.path)
		}
	}
	// The bound is not for what a request of its own asks for.
	for i := range 400 {
		p.must(wire.OpCreate, create(fmt.Sprintf("/wide/+%0200d", i), "", 0))
	}
	if a := p.must(wire.OpGetChildren, unwatched("/wide")); len(a.body) < 100_000 {
		t.Errorf("the names of 500 children take %d bytes", len(a.body))
	}
}
