package znode

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/quorate/quorate/wire"
)

// treeTwin does what a Tree does, in maps and without any cleverness.
type treeTwin struct {
	nodes    map[string]*twinNode
	sessions map[int64]int32
	zxid     int64
}

type twinNode struct {
	stat Stat
	data []byte
	acl  string
	kids map[string]bool
}

func newTreeTwin() *treeTwin {
	w := &treeTwin{nodes: map[string]*twinNode{}, sessions: map[int64]int32{}}
	open := string(wire.OpenACL)
	w.nodes["/"] = &twinNode{data: []byte{}, acl: open, kids: map[string]bool{"zookeeper": true}}
	w.nodes["/zookeeper"] = &twinNode{data: []byte{}, acl: open, kids: map[string]bool{"quota": true, "config": true}}
	w.nodes["/zookeeper/quota"] = &twinNode{data: []byte{}, acl: open, kids: map[string]bool{}}
	readOnly := wire.AppendACLs(nil, []wire.ACL{{Perms: 1, ID: wire.ID{Scheme: "world", ID: "anyone"}}})
	w.nodes["/zookeeper/config"] = &twinNode{data: []byte{}, stat: Stat{Aversion: -1}, acl: string(readOnly), kids: map[string]bool{}}
	return w
}

func (w *treeTwin) digest() (sum uint64) {
	for p, n := range w.nodes {
		sum += NodeDigest(DataPrefix([]byte(p), n.data), &n.stat, []byte(p))
	}
	return sum
}

func (w *treeTwin) create(path string, data []byte, acl string, owner, now int64) {
	parent, name := SplitPath([]byte(path))
	p := w.nodes[string(parent)]
	p.kids[string(name)] = true
	p.stat.Cversion++
	p.stat.Pzxid = w.zxid
	z := w.zxid
	w.nodes[path] = &twinNode{
		stat: Stat{Czxid: z, Mzxid: z, Pzxid: z, Ctime: now, Mtime: now, EphemeralOwner: owner},
		data: data, acl: acl, kids: map[string]bool{},
	}
}

func (w *treeTwin) delete(path string) {
	parent, name := SplitPath([]byte(path))
	p := w.nodes[string(parent)]
	delete(p.kids, string(name))
	p.stat.Pzxid = w.zxid
	delete(w.nodes, path)
}

// twinRun drives a Tree and its twin through the same random life.
type twinRun struct {
	rt      *rapid.T
	twin    *treeTwin
	tree    *Tree
	backend *flakyBackend
	log     [][]byte // payloads by zxid-1
	ckpt    *Checkpoint
	wrote   bool
	werr    error
	opt     Options
}

// flakyBackend is a MemBackend whose checkpoints may fail.
type flakyBackend struct {
	*MemBackend
	fail bool
}

var errFlaky = errors.New("the backend fails")

func (b *flakyBackend) Checkpoint(m Meta, next func(*Change) (bool, error)) error {
	if b.fail {
		return errFlaky
	}
	return b.MemBackend.Checkpoint(m, next)
}

func (r *twinRun) apply(typ wire.Op, session int64, record []byte) {
	r.twin.zxid++
	h := TxnHeader{ClientID: session, Zxid: r.twin.zxid, Time: 1000 + r.twin.zxid, Type: typ}
	r.log = append(r.log, append(h.Append(nil), record...))
	r.applyPayload(r.log[len(r.log)-1])
}

func (r *twinRun) applyPayload(payload []byte) {
	rd := wire.NewReader(payload)
	var h TxnHeader
	h.Decode(&rd)
	var res Result
	for range 1000 {
		r.tree.Lock()
		_, err := r.tree.Apply(&h, rd.Remaining(), &res, nil)
		r.tree.Unlock()
		var absent *NotResidentError
		if !errors.As(err, &absent) {
			if err != nil {
				r.rt.Fatalf("apply: %v", err)
			}
			return
		}
		if err := r.tree.Load(absent.Path); err != nil {
			r.rt.Fatal(err)
		}
	}
	r.rt.Fatal("a transaction is never resident")
}

var twinACLs = []string{
	string(wire.OpenACL),
	string(wire.AppendACLs(nil, []wire.ACL{{Perms: 3, ID: wire.ID{Scheme: "ip", ID: "127.0.0.1"}}})),
	string(wire.AppendACLs(nil, []wire.ACL{{Perms: 31, ID: wire.ID{Scheme: "digest", ID: "bob:x"}}})),
}

func (r *twinRun) paths(want func(p string, n *twinNode) bool) []string {
	var out []string
	for p, n := range r.twin.nodes {
		if want(p, n) {
			out = append(out, p)
		}
	}
	slices.Sort(out)
	return out
}

func isSystem(p string) bool { return strings.HasPrefix(p, "/zookeeper") }

func (r *twinRun) Create(t *rapid.T) {
	parents := r.paths(func(p string, n *twinNode) bool {
		return !isSystem(p) && Persistent == OwnerKinds{}.Of(n.stat.EphemeralOwner) && strings.Count(p, "/") < 4
	})
	parent := rapid.SampledFrom(parents).Draw(t, "parent")
	path := strings.TrimSuffix(parent, "/") + "/" + rapid.SampledFrom([]string{"a", "b", "c", "dd", "e"}).Draw(t, "name")
	if r.twin.nodes[path] != nil {
		return
	}
	var data []byte
	if n := rapid.SampledFrom([]int{-1, 0, 1, 30, 300, 70000}).Draw(t, "size"); n >= 0 {
		data = bytes.Repeat([]byte{byte(r.twin.zxid)}, n)
	}
	acl := rapid.SampledFrom(twinACLs).Draw(t, "acl")
	c := CreateTxn{Path: []byte(path), Data: data, ACL: wire.ACLVector(acl), ParentCversion: r.twin.nodes[parent].stat.Cversion + 1}
	typ, session := wire.OpCreate, int64(0)
	switch sessions := slices.Sorted(maps.Keys(r.twin.sessions)); {
	case rapid.Bool().Draw(t, "container"):
		typ = wire.OpCreateContainer
	case len(sessions) > 0 && rapid.Bool().Draw(t, "ephemeral"):
		c.Ephemeral, session = true, rapid.SampledFrom(sessions).Draw(t, "session")
	}
	r.apply(typ, session, c.Append(nil, typ))
	r.twin.create(path, data, acl, c.Owner(typ, session), 1000+r.twin.zxid)
}

func (r *twinRun) leaves() []string {
	return r.paths(func(p string, n *twinNode) bool { return !isSystem(p) && p != "/" && len(n.kids) == 0 })
}

func (r *twinRun) Delete(t *rapid.T) {
	leaves := r.leaves()
	if len(leaves) == 0 {
		return
	}
	path := rapid.SampledFrom(leaves).Draw(t, "path")
	r.apply(wire.OpDelete, 0, DeleteTxn{Path: []byte(path)}.Append(nil))
	r.twin.delete(path)
}

func (r *twinRun) SetData(t *rapid.T) {
	path := rapid.SampledFrom(r.paths(func(p string, _ *twinNode) bool { return !isSystem(p) })).Draw(t, "path")
	n := r.twin.nodes[path]
	data := bytes.Repeat([]byte{7}, rapid.SampledFrom([]int{0, 5, 29, 31, 1000, 80000}).Draw(t, "size"))
	r.apply(wire.OpSetData, 0, SetDataTxn{Path: []byte(path), Data: data, Version: n.stat.Version + 1}.Append(nil))
	n.data, n.stat.Version, n.stat.Mzxid, n.stat.Mtime = data, n.stat.Version+1, r.twin.zxid, 1000+r.twin.zxid
}

func (r *twinRun) SetACL(t *rapid.T) {
	path := rapid.SampledFrom(r.paths(func(p string, _ *twinNode) bool { return !isSystem(p) })).Draw(t, "path")
	n := r.twin.nodes[path]
	n.acl = rapid.SampledFrom(twinACLs).Draw(t, "acl")
	r.apply(wire.OpSetACL, 0, SetACLTxn{Path: []byte(path), ACL: wire.ACLVector(n.acl), Version: n.stat.Aversion + 1}.Append(nil))
	n.stat.Aversion++
}

func (r *twinRun) OpenSession(t *rapid.T) {
	id := rapid.Int64Range(1, 4).Draw(t, "id")
	r.apply(wire.OpCreateSession, id, CreateSessionTxn{TimeOut: 4000}.Append(nil))
	r.twin.sessions[id] = 4000
}

func (r *twinRun) CloseSession(t *rapid.T) {
	id := rapid.Int64Range(1, 4).Draw(t, "id")
	mine := r.paths(func(_ string, n *twinNode) bool { return n.stat.EphemeralOwner == id })
	listed := [][]byte{}
	for _, p := range mine {
		if rapid.Bool().Draw(t, "listed") { // what is not listed goes all the same
			listed = append(listed, []byte(p))
		}
	}
	r.apply(wire.OpCloseSession, id, AppendCloseSession(nil, listed))
	for _, p := range mine {
		r.twin.delete(p)
	}
	delete(r.twin.sessions, id)
}

func (r *twinRun) Evict(t *rapid.T) {
	r.tree.Lock()
	r.tree.Evict(rapid.SampledFrom([]int{1, 5, 1000}).Draw(t, "limit"))
	r.tree.Unlock()
}

// Checkpoint takes one step of a checkpoint: begin, write, end.
func (r *twinRun) Checkpoint(t *rapid.T) {
	switch {
	case r.ckpt == nil:
		r.tree.Lock()
		r.ckpt, r.wrote = r.tree.BeginCheckpoint(), false
		r.tree.Unlock()
	case !r.wrote:
		r.backend.fail = rapid.IntRange(0, 3).Draw(t, "fails") == 0
		r.werr, r.wrote = r.ckpt.Write(), true
		if (r.werr != nil) != r.backend.fail {
			t.Fatalf("checkpoint: %v", r.werr)
		}
	default:
		r.tree.Lock()
		r.tree.EndCheckpoint(r.ckpt, r.werr)
		r.tree.Unlock()
		r.ckpt = nil
	}
}

// Restart opens the backend anew and replays the log behind its checkpoint.
func (r *twinRun) Restart(*rapid.T) { r.reopen() }

func (r *twinRun) reopen() {
	if r.tree != nil {
		if err := r.tree.Close(); err != nil {
			r.rt.Fatal(err)
		}
	}
	r.ckpt = nil
	var err error
	if r.tree, err = Open(r.opt); err != nil {
		r.rt.Fatal(err)
	}
	for i := r.tree.LastZxid(); i < int64(len(r.log)); i++ {
		r.applyPayload(r.log[i])
	}
}

// Check compares what a reader sees with the twin.
func (r *twinRun) Check(t *rapid.T) {
	w, tree := r.twin, r.tree
	if tree.LastZxid() != w.zxid || tree.Digest() != w.digest() || tree.NodeCount() != int64(len(w.nodes)) {
		t.Fatalf("zxid %d digest %d nodes %d, want %d %d %d",
			tree.LastZxid(), tree.Digest(), tree.NodeCount(), w.zxid, w.digest(), len(w.nodes))
	}
	if !maps.Equal(tree.Sessions(), w.sessions) {
		t.Fatalf("sessions %v, want %v", tree.Sessions(), w.sessions)
	}
	var size int64
	for _, p := range slices.Sorted(maps.Keys(w.nodes)) {
		size += int64(len(p) + len(w.nodes[p].data))
		r.checkNode(t, p, w.nodes[p])
	}
	if tree.DataBytes() != size {
		t.Fatalf("data of %d bytes, want %d", tree.DataBytes(), size)
	}
	for _, p := range []string{"/none", "/a/none/deeper", "/zookeeper/none"} {
		if _, found, err := tree.Lookup([]byte(p)); found != (w.nodes[p] != nil) || err != nil {
			t.Fatalf("%s: %v %v", p, found, err)
		}
	}
	r.checkRefs(t)
	for id := int64(1); id <= 4; id++ {
		mine := r.paths(func(_ string, n *twinNode) bool { return n.stat.EphemeralOwner == id })
		if got := tree.Ephemerals(id); !slices.Equal(got, mine) {
			t.Fatalf("ephemerals of %d: %v, want %v", id, got, mine)
		}
	}
}

// checkRefs compares how often each list is used.
func (r *twinRun) checkRefs(t *rapid.T) {
	want, got := map[string]int64{}, map[string]int64{}
	for _, n := range r.twin.nodes {
		if n.acl != string(wire.OpenACL) { // which needs no counting
			want[n.acl]++
		}
	}
	for _, e := range r.tree.ACLs().Entries() {
		got[string(wire.AppendACLs(nil, e.ACL))] = e.Refs
	}
	if !maps.Equal(got, want) {
		t.Fatalf("uses of lists %v, want %v", got, want)
	}
}

func (r *twinRun) checkNode(t *rapid.T, p string, want *twinNode) {
	var n Node
	for r.tree.Find([]byte(p), &n) == NotResident {
		if err := r.tree.Load([]byte(p)); err != nil {
			t.Fatal(err)
		}
	}
	if r.tree.Find([]byte(p), &n) != Found {
		t.Fatalf("%s is not there", p)
	}
	if n.Stat != want.stat || !bytes.Equal(n.Data, want.data) || (n.Data == nil) != (want.data == nil) ||
		int(n.NumChildren) != len(want.kids) || n.Prefix != DataPrefix([]byte(p), want.data) {
		t.Fatalf("%s: %+v data %d bytes, want %+v %d bytes %d children", p, n.Info, len(n.Data), want.stat, len(want.data), len(want.kids))
	}
	if got := wire.AppendACLs(nil, r.tree.ACLs().Get(n.ACL)); string(got) != want.acl {
		t.Fatalf("%s: list %x, want %x", p, got, want.acl)
	}
	kids, err := r.tree.list([]byte(p))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, k := range kids {
		_, name := SplitPath(k)
		names = append(names, string(name))
	}
	slices.Sort(names)
	if !slices.Equal(names, slices.Sorted(maps.Keys(want.kids))) {
		t.Fatalf("children of %s: %v, want %v", p, names, want.kids)
	}
}

func TestTreeAgainstTwin(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := &flakyBackend{MemBackend: NewMemBackend()}
		r := &twinRun{rt: rt, twin: newTreeTwin(), backend: b, opt: Options{Backend: b, Digest: true, BudgetBytes: 1}}
		r.reopen()
		actions := map[string]func(*rapid.T){
			"create": r.Create, "create2": r.Create, "delete": r.Delete, "setData": r.SetData, "setACL": r.SetACL,
			"openSession": r.OpenSession, "closeSession": r.CloseSession, "evict": r.Evict,
			"checkpoint": r.Checkpoint, "checkpoint2": r.Checkpoint, "restart": r.Restart,
			"": r.Check,
		}
		rt.Repeat(actions)
		if err := r.tree.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

// TestTreeTenTimesItsBudget keeps a tree in a tenth of the memory that it
// would take, and reads and changes all of it.
func TestTreeTenTimesItsBudget(t *testing.T) {
	b := NewMemBackend()
	tree, err := Open(Options{Backend: b, Digest: true, BudgetBytes: 400 << 10})
	if err != nil {
		t.Fatal(err)
	}
	run := &twinRun{tree: tree}
	const nodes = 16000
	zxid := int64(0)
	apply := func(typ wire.Op, record []byte) {
		zxid++
		payload := append(TxnHeader{Zxid: zxid, Time: 1, Type: typ}.Append(nil), record...)
		run.applyPayload(payload)
		for tree.OverBudget() {
			tree.Lock()
			n := tree.Evict(100)
			tree.Unlock()
			if n > 0 {
				continue
			}
			tree.Lock()
			c := tree.BeginCheckpoint()
			tree.Unlock()
			err := c.Write()
			tree.Lock()
			tree.EndCheckpoint(c, err)
			tree.Unlock()
			if err != nil {
				t.Fatal(err)
			}
			if c.Len() == 0 {
				break // what remains is fixed: the index and the root
			}
		}
	}
	path := func(i int) []byte { return fmt.Appendf(nil, "/n%05d", i) }
	for i := range nodes {
		c := CreateTxn{Path: path(i), Data: make([]byte, 128), ACL: wire.OpenACL, ParentCversion: int32(i + 1)}
		apply(wire.OpCreate, c.Append(nil, wire.OpCreate))
	}
	for i := range nodes {
		apply(wire.OpSetData, SetDataTxn{Path: path(i), Data: path(i), Version: 1}.Append(nil))
	}
	if got := tree.MemoryBytes(); got > 800<<10 {
		t.Errorf("%d bytes in memory", got)
	}
	var n Node
	for i := range nodes {
		if err := tree.Load(path(i)); err != nil {
			t.Fatal(err)
		}
		if tree.Find(path(i), &n) != Found || !bytes.Equal(n.Data, path(i)) || n.Stat.Version != 1 {
			t.Fatalf("%s: %+v", path(i), n)
		}
		if tree.OverBudget() {
			tree.Lock()
			tree.Evict(100)
			tree.Unlock()
		}
	}
	kids, err := tree.list(rootPath)
	if err != nil || len(kids) != nodes+1 {
		t.Fatalf("%d children, %v", len(kids), err)
	}
}
