package bench

import (
	"fmt"

	"github.com/quorate/quorate/wire"
)

// quiet is the part of a script that expects no notifications.
type quiet struct{}

func (quiet) event(l *lane, _ int64) error {
	return fmt.Errorf("%s: %w: a notification that nobody asked for", l.addr, ErrUnexpected)
}

// request appends a frame's length and header; the caller appends the body and
// ends the frame at mark.
func request(dst []byte, xid int32, op wire.Op) (out []byte, mark int) {
	dst, mark = wire.BeginFrame(dst)
	return wire.RequestHeader{Xid: xid, Op: op}.Append(dst), mark
}

// readWrite reads and writes random keys of one tree.
type readWrite struct {
	quiet
	tree        tree
	keys        int
	readPercent int // 100 only reads, 0 only writes
	value       []byte
	rng         rng
	path        []byte
}

func (s *readWrite) next(dst []byte, xid int32) ([]byte, wire.Op, bool) {
	s.path = s.tree.appendKey(s.path[:0], s.rng.below(s.keys))
	if s.readPercent == 100 || s.readPercent > 0 && s.rng.below(100) < s.readPercent {
		dst, mark := request(dst, xid, wire.OpGetData)
		dst = wire.PathWatch{Path: s.path}.Append(dst)
		return wire.EndFrame(dst, mark), wire.OpGetData, true
	}
	dst, mark := request(dst, xid, wire.OpSetData)
	req := wire.SetDataRequest{Path: s.path, Data: s.value, Version: -1}
	return wire.EndFrame(req.Append(dst), mark), wire.OpSetData, true
}

func (s *readWrite) reply(op wire.Op, body []byte) error {
	want := wire.StatBytes
	if op == wire.OpGetData {
		want += wire.FrameHeaderBytes + len(s.value)
	}
	return wantLen(body, want)
}

// wantLen checks the size of an answer's body, which is fixed for what the
// workloads ask.
func wantLen(body []byte, want int) error {
	if len(body) != want {
		return fmt.Errorf("a body of %d bytes instead of %d", len(body), want)
	}
	return nil
}

// creator creates the znodes of a tree one after the other. Lane i of n takes
// the parents i, i+n, i+2n, ...; a parent is created, and counted, like any
// other znode just before its first child.
type creator struct {
	quiet
	tree   tree
	value  []byte
	parent int // the one being filled
	stride int // lanes that share the tree
	child  int // next child of parent; -1: the parent itself
	total  int // children in the whole tree; 0: no end
	path   []byte
}

func newCreator(t tree, value []byte, lane, lanes, total int) *creator {
	return &creator{tree: t, value: value, parent: lane, stride: lanes, child: -1, total: total}
}

func (s *creator) next(dst []byte, xid int32) ([]byte, wire.Op, bool) {
	first := s.parent * treeFanout
	if s.total > 0 && first+max(s.child, 0) >= s.total || first >= keysMax-treeFanout {
		return dst, 0, false
	}
	data := s.value
	if s.child < 0 {
		s.path, data = s.tree.appendParent(s.path[:0], s.parent), data[:0]
	} else {
		s.path = s.tree.appendKey(s.path[:0], first+s.child)
	}
	dst, mark := request(dst, xid, wire.OpCreate)
	dst = createBody(dst, s.path, data, wire.FlagPersistent)
	if s.child++; s.child == treeFanout {
		s.parent, s.child = s.parent+s.stride, -1
	}
	return wire.EndFrame(dst, mark), wire.OpCreate, true
}

func (s *creator) reply(_ wire.Op, body []byte) error {
	r := wire.NewReader(body)
	path := r.Ustring()
	if r.Err() != nil || len(path) < len(s.tree.prefix) || string(path[:len(s.tree.prefix)]) != s.tree.prefix {
		return fmt.Errorf("%q is not the path of a znode below %s", body, s.tree.prefix)
	}
	return nil
}

// creations returns how many requests lane i of n needs for a tree of the
// given size, parents included.
func creations(total, i, n int) int64 {
	var sum int64
	for p := i; p < parents(total); p += n {
		sum += int64(min(treeFanout, total-p*treeFanout) + 1)
	}
	return sum
}

// churn creates and deletes ephemeral znodes in turn.
type churn struct {
	quiet
	tree  tree
	value []byte
	lane  int
	n     int // requests made
	path  []byte
}

// churnNames is how many names a lane uses: more than a window holds, so that
// an unfinished pair never meets itself.
const churnNames = treeFanout

func (s *churn) next(dst []byte, xid int32) ([]byte, wire.Op, bool) {
	s.path = s.tree.appendKey(s.path[:0], s.lane*churnNames+s.n/2%churnNames)
	create := s.n%2 == 0
	s.n++
	if create {
		dst, mark := request(dst, xid, wire.OpCreate)
		return wire.EndFrame(createBody(dst, s.path, s.value, wire.FlagEphemeral), mark), wire.OpCreate, true
	}
	dst, mark := request(dst, xid, wire.OpDelete)
	dst = wire.PathVersion{Path: s.path, Version: -1}.Append(dst)
	return wire.EndFrame(dst, mark), wire.OpDelete, true
}

func (s *churn) reply(op wire.Op, body []byte) error {
	want := 0
	if op == wire.OpCreate {
		want = wire.FrameHeaderBytes + len(s.path)
	}
	return wantLen(body, want)
}
