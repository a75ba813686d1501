package znode

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/quorate/quorate/wire"
)

// Entries with the same hash share a chain; each can be taken out of any place
// in it.
func TestPendingCollisions(t *testing.T) {
	paths := [][]byte{[]byte("/a"), []byte("/b"), []byte("/c")}
	for first := range paths {
		s := newPendingSet()
		var nodes []*pendingNode
		for _, p := range paths {
			nodes = append(nodes, s.add(p, 7))
		}
		left := map[int]bool{0: true, 1: true, 2: true}
		for i := range paths {
			n := (first + i) % len(paths)
			s.remove(nodes[n])
			delete(left, n)
			for j, p := range paths {
				if found := s.findHashed(p, 7); (found != nil) != left[j] || found != nil && !bytes.Equal(found.path, p) {
					t.Fatalf("removed from %d on, %d of them: %s is found: %v", first, i+1, p, found)
				}
			}
		}
		if len(s.nodes) != 0 {
			t.Fatalf("%d buckets are left", len(s.nodes))
		}
	}
}

func TestPendingReuse(t *testing.T) {
	s := newPendingSet()
	long := append([]byte("/"), bytes.Repeat([]byte("x"), 10*pathBytesKept)...)
	n := s.set(long, &nodeState{exists: true}, 1)
	s.set([]byte("/b"), &nodeState{exists: true}, 2)
	s.applied(1)
	if s.find(long) != nil || s.find([]byte("/b")) == nil {
		t.Fatal("the wrong change was forgotten")
	}
	if cap(n.path) > pathBytesKept {
		t.Errorf("a buffer of %d bytes is kept", cap(n.path))
	}
	s.applied(2)
	if again := s.set([]byte("/c"), &nodeState{}, 3); again == nil || s.free == nil {
		t.Error("entries are not used again")
	}
}

func TestFifo(t *testing.T) {
	var q fifo[int]
	next, first := 0, 0
	for round := range 1000 {
		for range round % 7 {
			q.push(next)
			next++
		}
		for range round % 5 {
			if q.len() > 0 {
				if got := q.pop(); got != first {
					t.Fatalf("%d comes after %d", got, first-1)
				}
				first++
			}
		}
		if round%11 == 0 && q.len() > 0 {
			q.drop()
			next--
		}
		if q.len() != next-first || q.len() > 0 && (*q.front() != first || *q.back() != next-1) {
			t.Fatalf("%d entries for %d..%d", q.len(), first, next)
		}
	}
	if len(q.ring) > 2048 {
		t.Errorf("a ring of %d for %d entries", len(q.ring), q.len())
	}
}

func createRequest(path string, zxid int64) *Request {
	c := wire.CreateRequest{Path: []byte(path), ACL: wire.OpenACL}
	return &Request{Op: wire.OpCreate, Body: c.Append(nil, wire.OpCreate), Zxid: zxid}
}

func TestPreparerReset(t *testing.T) {
	tree := newModelTree()
	p := NewPreparer(tree, Rules{Digest: true})
	for zxid := int64(1); zxid <= 2; zxid++ {
		_, ok, code, err := p.Prepare(nil, createRequest("/a", zxid))
		if want := []wire.Code{0, wire.OK, wire.ErrNodeExists}[zxid]; !ok || code != want || err != nil {
			t.Fatalf("%d: %v %v %v", zxid, ok, code, err)
		}
	}
	p.Reset()
	out, ok, code, err := p.Prepare(nil, createRequest("/a", 1))
	if !ok || code != wire.OK || err != nil || p.Pending() != 2 {
		t.Fatalf("after Reset: %v %v %v, %d pending", ok, code, err, p.Pending())
	}
	tree.apply(t, out)
}

func TestPrepareZxidOrder(t *testing.T) {
	p := NewPreparer(newModelTree(), Rules{})
	if _, ok, _, _ := p.Prepare(nil, createRequest("/a", 5)); !ok {
		t.Fatal("not prepared")
	}
	defer func() {
		if recover() == nil {
			t.Error("a zxid was given out twice")
		}
	}()
	_, _, _, _ = p.Prepare(nil, createRequest("/b", 5))
}

// Rules without digests append none, and the header is what the request says.
func TestPrepareWithoutDigest(t *testing.T) {
	p := NewPreparer(newModelTree(), Rules{})
	req := createRequest("/a", 0x100000001)
	req.Session, req.Cxid, req.Time = 0x42, 9, 1234
	out, _, _, _ := p.Prepare(nil, req)
	r := wire.NewReader(out)
	var h TxnHeader
	h.Decode(&r)
	if want := (TxnHeader{ClientID: 0x42, Cxid: 9, Zxid: 0x100000001, Time: 1234, Type: wire.OpCreate}); h != want {
		t.Errorf("header %+v", h)
	}
	var txn Txn
	if rest, err := DecodeTxn(r.Remaining(), h.Type, &txn); err != nil || len(rest) != 0 {
		t.Errorf("%v, %x is left", err, rest)
	}
}

// What is remembered of lists has a bound.
func TestFixedListsBound(t *testing.T) {
	p := NewPreparer(newModelTree(), Rules{})
	for i := range int64(3 * fixedMax) {
		c := wire.CreateRequest{Path: fmt.Appendf(nil, "/%d", i), ACL: wire.AppendACLs(nil, listOfUser(int(i)))}
		req := &Request{Op: wire.OpCreate, Body: c.Append(nil, wire.OpCreate), Zxid: i + 1}
		if _, ok, code, err := p.Prepare(nil, req); !ok || code != wire.OK || err != nil {
			t.Fatal(code, err)
		}
		p.Applied(i + 1)
	}
	if len(p.fixed) > fixedMax {
		t.Errorf("%d lists are remembered", len(p.fixed))
	}
}

// FuzzPrepare: no request, however malformed, makes Prepare panic or produce
// something that does not apply.
func FuzzPrepare(f *testing.F) {
	c := wire.CreateRequest{Path: []byte("/a/b"), ACL: wire.OpenACL, Flags: 3}
	f.Add(int32(wire.OpCreate), c.Append(nil, wire.OpCreate))
	f.Add(int32(wire.OpMulti), wire.MultiEnd.Append(c.Append(wire.MultiHeader{Op: wire.OpCreate, Err: -1}.Append(nil), wire.OpCreate)))
	f.Add(int32(wire.OpCloseSession), []byte{})
	f.Fuzz(func(t *testing.T, op int32, body []byte) {
		tree := newModelTree()
		p := NewPreparer(tree, Rules{Digest: true, Kinds: OwnerKinds{Extended: true}, ReconfigEnabled: true})
		first, _, _, _ := p.Prepare(nil, createRequest("/a", 1))
		out, ok, code, err := p.Prepare(nil, &Request{Session: 1, Op: wire.Op(op), Body: body, Zxid: 2})
		if err != nil || ok != (len(out) > 0) || !ok && code == wire.OK {
			t.Fatalf("%v %v %v, %d bytes", ok, code, err, len(out))
		}
		tree.apply(t, first)
		if ok {
			tree.apply(t, out)
		}
		p.Applied(2)
		if p.Pending() != 0 {
			t.Fatalf("%d pending", p.Pending())
		}
	})
}
