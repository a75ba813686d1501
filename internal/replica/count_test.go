package replica_test

import (
	"testing"

	"github.com/quorate/quorate/internal/replica"
	"github.com/quorate/quorate/wire"
)

// TestCountOfAVanishedZnode: a znode that goes while its descendants are being
// counted leaves no count behind that the next request would be answered with.
func TestCountOfAVanishedZnode(t *testing.T) {
	w := newWorld(t, nil)
	p, other := w.connected(4000), w.connected(4000)
	for _, path := range []string{"/a", "/a/1", "/b"} {
		p.must(wire.OpCreate, create(path, "", 0))
	}
	status, err := p.send(request(7, wire.OpGetAllChildrenNumber, wire.AppendString(nil, "/a")))
	if err != nil || status != replica.Blocked {
		t.Fatalf("a count that takes long: status %v, %v", status, err)
	}
	if err := p.c.Unblock(); err != nil {
		t.Fatal(err)
	}
	other.must(wire.OpDelete, wire.PathVersion{Path: []byte("/a/1"), Version: -1}.Append(nil))
	other.must(wire.OpDelete, wire.PathVersion{Path: []byte("/a"), Version: -1}.Append(nil))
	for _, want := range []struct {
		path string
		code wire.Code
	}{{"", wire.ErrNoNode}, {"/b", wire.OK}} {
		var b []byte // at first only what was held up
		if want.path != "" {
			b = request(8, wire.OpGetAllChildrenNumber, wire.AppendString(nil, want.path))
		}
		status, err := p.send(b)
		for err == nil && status == replica.Blocked {
			if err = p.c.Unblock(); err == nil {
				status, err = p.send(nil)
			}
		}
		list := p.answers()
		if err != nil || len(list) != 1 || list[0].Err != want.code {
			t.Fatalf("%q: answers %+v, %v", want.path, list, err)
		}
		if rd := wire.NewReader(list[0].body); want.code == wire.OK && rd.Int() != 0 {
			t.Errorf("the count of a leaf is that of another znode: %x", list[0].body)
		}
	}
}
