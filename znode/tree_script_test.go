package znode

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/quorate/quorate/wire"
)

// TestTreeScripts runs testdata/tree/*.txt, stories of transactions that a
// tree applies. A block "apply" holds transactions, one per line; each gets
// the next zxid and one millisecond more, unless it says zxid=N or time=N. It
// prints their results and the events; "apply stats" the Stats they answer
// with, too.
//
//	create PATH [DATA] [op=create2|container|ttl] [cv=N] [ttl=MS] [eph=SESSION] [acl=ACL]
//	delete PATH       reap PATH       set PATH [DATA] v=N      reconfig DATA
//	setacl PATH acl=ACL v=N           check PATH v=N           error CODE
//	open SESSION TIMEOUT              close SESSION [PATH...]  close SESSION unlisted
//	multi, followed by its operations, each after "+ "
//
// The other blocks look at the tree (stat, children, tree, owned, quotas,
// lists, memory, due) or do what its owner does (checkpoint, begin, write,
// end, evict, load, reopen). After every block the counters and the digest are
// compared with those of all znodes as they are.
func TestTreeScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/tree", func(t *testing.T, file string) {
		s := &treeScript{script: &script{t: t}, backend: &flakyBackend{MemBackend: NewMemBackend()}}
		s.open()
		datadriven.RunTest(t, file, func(t *testing.T, d *datadriven.TestData) string {
			s.t, s.script.t, s.d = t, t, d
			f, ok := treeCommands[d.Cmd]
			if !ok {
				d.Fatalf(t, "no such command")
			}
			var out strings.Builder
			f(s, &out)
			s.checkSums()
			return out.String()
		})
		if err := s.tree.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

type treeScript struct {
	*script
	t       *testing.T
	d       *datadriven.TestData
	backend *flakyBackend
	kinds   OwnerKinds
	tree    *Tree
	zxid    int64
	ckpt    *Checkpoint
	werr    error
}

var treeCommands = map[string]func(*treeScript, *strings.Builder){
	"apply":      (*treeScript).applyBlock,
	"stat":       (*treeScript).stat,
	"get":        (*treeScript).get,
	"children":   (*treeScript).children,
	"tree":       (*treeScript).summary,
	"owned":      (*treeScript).ownedBlock,
	"quotas":     (*treeScript).quotasBlock,
	"lists":      (*treeScript).listsBlock,
	"memory":     (*treeScript).memory,
	"due":        (*treeScript).due,
	"begin":      (*treeScript).begin,
	"write":      (*treeScript).write,
	"end":        (*treeScript).end,
	"checkpoint": (*treeScript).checkpoint,
	"evict":      (*treeScript).evict,
	"load":       (*treeScript).load,
	"reopen":     (*treeScript).reopen,
	"rest":       (*treeScript).rest,
}

func (s *treeScript) open() {
	var err error
	if s.tree, err = Open(Options{Backend: s.backend, Digest: true, Kinds: s.kinds}); err != nil {
		s.t.Fatal(err)
	}
	s.zxid = s.tree.LastZxid()
}

// reopen opens the backend anew: "reopen extended" with extended types.
func (s *treeScript) reopen(*strings.Builder) {
	s.kinds.Extended = s.kinds.Extended || s.d.HasArg("extended")
	if err := s.tree.Close(); err != nil {
		s.t.Fatal(err)
	}
	s.ckpt = nil
	s.open()
}

func (s *treeScript) lines() [][]string {
	var out [][]string
	for _, l := range strings.Split(s.d.Input, "\n") {
		if f := fields(l); f[0] != "" && f[0] != "#" {
			out = append(out, f)
		}
	}
	return out
}

func (s *treeScript) applyBlock(out *strings.Builder) {
	lines := s.lines()
	for i := 0; i < len(lines); i++ {
		s.zxid++
		f, o := options(lines[i])
		h := TxnHeader{Zxid: s.zxid, Time: 1000 + s.zxid, Type: wire.OpMulti}
		if o["zxid"] != "" {
			h.Zxid = s.number(o["zxid"])
			h.Time = 1000 + h.Zxid
		}
		if o["time"] != "" {
			h.Time = s.number(o["time"])
		}
		s.zxid = max(s.zxid, h.Zxid)
		var record []byte
		if f[0] == "multi" {
			var count int32
			var ops []byte
			for ; i+1 < len(lines) && lines[i+1][0] == "+"; i++ {
				sub, o := options(lines[i+1][1:])
				typ, session, rec := s.record(sub, o)
				if session != 0 {
					h.ClientID = session
				}
				buf, mark := appendMultiOp(ops, typ)
				ops = append(buf, rec...)
				endMultiOp(ops, mark)
				count++
			}
			record = append(wire.AppendInt(nil, count), ops...)
		} else {
			h.Type, h.ClientID, record = s.record(f, o)
		}
		s.apply(h, record, out)
	}
}

// options divides a line into words and key=value pairs.
func options(f []string) (words []string, o map[string]string) {
	o = map[string]string{}
	for _, w := range f {
		k, v, ok := strings.Cut(w, "=")
		switch k {
		case "op", "cv", "ttl", "eph", "acl", "v", "zxid", "time":
			if ok {
				o[k] = v
				continue
			}
		}
		words = append(words, w)
	}
	return words, o
}

// record encodes one transaction's record.
func (s *treeScript) record(f []string, o map[string]string) (typ wire.Op, session int64, rec []byte) {
	num := func(key string, missing int64) int64 {
		if o[key] == "" {
			return missing
		}
		return s.number(o[key])
	}
	arg := func(i int) []byte {
		if i < len(f) {
			return s.text(f[i])
		}
		return []byte{}
	}
	acl := o["acl"]
	if acl == "" {
		acl = "open"
	}
	switch f[0] {
	case "create":
		typ = map[string]wire.Op{
			"": wire.OpCreate, "create2": wire.OpCreate2, "container": wire.OpCreateContainer, "ttl": wire.OpCreateTTL,
		}[o["op"]]
		c := CreateTxn{
			Path: arg(1), Data: arg(2), ACL: s.acl(acl), ParentCversion: int32(num("cv", -1)), TTL: num("ttl", -1),
			Ephemeral: o["eph"] != "",
		}
		return typ, num("eph", 0), c.Append(nil, typ)
	case "delete":
		return wire.OpDelete, 0, DeleteTxn{Path: arg(1)}.Append(nil)
	case "reap":
		return wire.OpDeleteContainer, 0, DeleteTxn{Path: arg(1)}.Append(nil)
	case "set":
		return wire.OpSetData, 0, SetDataTxn{Path: arg(1), Data: arg(2), Version: int32(num("v", 0))}.Append(nil)
	case "reconfig":
		return wire.OpReconfig, 0, SetDataTxn{Path: []byte(configPath), Data: arg(1), Version: -1}.Append(nil)
	case "setacl":
		return wire.OpSetACL, 0, SetACLTxn{Path: arg(1), ACL: s.acl(acl), Version: int32(num("v", 0))}.Append(nil)
	case "check":
		return wire.OpCheck, 0, CheckVersionTxn{Path: arg(1), Version: int32(num("v", 0))}.Append(nil)
	case "error":
		return wire.OpError, 0, ErrorTxn{wire.Code(s.number(f[1]))}.Append(nil)
	case "open":
		return wire.OpCreateSession, s.number(f[1]), CreateSessionTxn{int32(s.number(f[2]))}.Append(nil)
	case "close":
		if len(f) == 3 && f[2] == "unlisted" {
			return wire.OpCloseSession, s.number(f[1]), nil
		}
		paths := [][]byte{}
		for i := 2; i < len(f); i++ {
			paths = append(paths, arg(i))
		}
		return wire.OpCloseSession, s.number(f[1]), AppendCloseSession(nil, paths)
	}
	s.d.Fatalf(s.t, "no such transaction: %q", f)
	return 0, 0, nil
}

func (s *treeScript) apply(h TxnHeader, record []byte, out *strings.Builder) {
	var res Result
	var events []Event
	for loads := 0; ; loads++ {
		s.tree.Lock()
		var err error
		events, err = s.tree.Apply(&h, record, &res, nil)
		s.tree.Unlock()
		var absent *NotResidentError
		if err == nil {
			break
		}
		if !errors.As(err, &absent) || loads > 100 {
			fmt.Fprintf(out, "%d: fails: %v\n", h.Zxid, err)
			return
		}
		fmt.Fprintf(out, "%d: needs %s\n", h.Zxid, bytes.Join(append([][]byte{absent.Path}, absent.More...), []byte(" ")))
		if err := s.tree.LoadMissing(absent); err != nil {
			s.t.Fatal(err)
		}
	}
	s.result(fmt.Sprintf("%d: ", h.Zxid), &res, out)
	for i := range res.Sub {
		s.result("  + ", &res.Sub[i], out)
	}
	for _, e := range events {
		fmt.Fprintf(out, "  %s %s%s\n", eventNames[e.Type], e.Path, s.listText(e.ACL))
	}
}

var eventNames = map[wire.EventType]string{
	wire.EventNodeCreated: "created", wire.EventNodeDeleted: "deleted",
	wire.EventNodeDataChanged: "changed", wire.EventNodeChildrenChanged: "children of",
}

func (s *treeScript) result(prefix string, res *Result, out *strings.Builder) {
	fmt.Fprintf(out, "%s%v", prefix, res.Type)
	if res.Path != nil {
		fmt.Fprintf(out, " %s", res.Path)
	}
	if res.Code != wire.OK {
		fmt.Fprintf(out, " %d", res.Code)
	}
	if s.d.HasArg("stats") && res.Stat != (wire.Stat{}) {
		fmt.Fprintf(out, " %s", statText(&res.Stat))
	}
	out.WriteByte('\n')
}

func statText(w *wire.Stat) string {
	return fmt.Sprintf("czxid=%d mzxid=%d pzxid=%d ctime=%d mtime=%d version=%d cversion=%d aversion=%d owner=%#x data=%d children=%d",
		w.Czxid, w.Mzxid, w.Pzxid, w.Ctime, w.Mtime, w.Version, w.Cversion, w.Aversion, w.EphemeralOwner, w.DataLength, w.NumChildren)
}

// listText tells a list that is not the open one.
func (s *treeScript) listText(id ACLID) string {
	if id == OpenACLID {
		return ""
	}
	var parts []string
	for _, a := range s.tree.ACLs().Get(id) {
		parts = append(parts, fmt.Sprintf("%d:%s:%s", a.Perms, a.ID.Scheme, a.ID.ID))
	}
	return " acl=" + strings.Join(parts, ",")
}

// find looks a node up, reading it if need be.
func (s *treeScript) find(path string) (Node, bool) {
	var n Node
	for {
		switch s.tree.Find([]byte(path), &n) {
		case Found:
			return n, true
		case Absent:
			return n, false
		case NotResident:
			if err := s.tree.Load([]byte(path)); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

// stat prints what clients are told, and what of it is stored differently.
func (s *treeScript) stat(out *strings.Builder) {
	for _, f := range s.lines() {
		n, ok := s.find(f[0])
		if !ok {
			fmt.Fprintf(out, "%s: none\n", f[0])
			continue
		}
		var w wire.Stat
		n.WireStat(&w, s.kinds)
		fmt.Fprintf(out, "%s: %s", f[0], statText(&w))
		fmt.Fprintf(out, " (stored cversion=%d", n.Stat.Cversion)
		if n.Stat.EphemeralOwner != w.EphemeralOwner {
			fmt.Fprintf(out, " owner=%#x", uint64(n.Stat.EphemeralOwner))
		}
		fmt.Fprintf(out, ")%s\n", s.listText(n.ACL))
	}
}

func (s *treeScript) get(out *strings.Builder) {
	for _, f := range s.lines() {
		switch n, ok := s.find(f[0]); {
		case !ok:
			fmt.Fprintf(out, "%s: none\n", f[0])
		case n.Data == nil:
			fmt.Fprintf(out, "%s: null\n", f[0])
		default:
			fmt.Fprintf(out, "%s: %q\n", f[0], n.Data)
		}
	}
}

func (s *treeScript) children(out *strings.Builder) {
	for _, f := range s.lines() {
		paths, err := s.tree.list([]byte(f[0]))
		if err != nil {
			s.t.Fatal(err)
		}
		var names []string
		for _, p := range paths {
			_, name := SplitPath(p)
			names = append(names, string(name))
		}
		slices.Sort(names)
		fmt.Fprintf(out, "%s: %s\n", f[0], strings.Join(names, " "))
	}
}

func (s *treeScript) summary(out *strings.Builder) {
	t := s.tree
	fmt.Fprintf(out, "zxid %d, %d znodes, %d bytes, digest %d, mismatches %d\n", t.LastZxid(), t.NodeCount(), t.DataBytes(), t.Digest(), t.DigestMismatches())
	sessions := t.Sessions()
	for _, id := range slices.Sorted(maps.Keys(sessions)) {
		fmt.Fprintf(out, "session %#x: %d ms\n", id, sessions[id])
	}
}

func (s *treeScript) ownedBlock(out *strings.Builder) {
	fmt.Fprintf(out, "%d ephemerals\n", s.tree.EphemeralCount())
	for _, id := range s.tree.EphemeralSessions() {
		fmt.Fprintf(out, "session %#x: %s\n", uint64(id), strings.Join(s.tree.Ephemerals(id), " "))
	}
	fmt.Fprintf(out, "containers: %s\n", strings.Join(slices.Sorted(maps.Keys(s.tree.owned.containers)), " "))
	fmt.Fprintf(out, "ttl: %s\n", strings.Join(slices.Sorted(maps.Keys(s.tree.owned.ttls)), " "))
}

func (s *treeScript) quotasBlock(out *strings.Builder) {
	for _, q := range s.tree.Quotas() {
		fmt.Fprintf(out, "%s: limits %s, usage %s\n", q.Root, q.Limits.Append(nil), q.Usage.Append(nil))
	}
}

// listsBlock prints how many znodes use each list, the open one left out.
func (s *treeScript) listsBlock(out *strings.Builder) {
	var lines []string
	for id, e := range s.tree.ACLs().Entries() {
		lines = append(lines, fmt.Sprintf("%d:%s\n", e.Refs, s.listText(id)))
	}
	slices.Sort(lines)
	out.WriteString(strings.Join(lines, ""))
}

// memory prints what is in memory: live nodes with * when all their children
// are there too, and what is known to be gone.
func (s *treeScript) memory(out *strings.Builder) {
	var live, gone []string
	for id := uint32(1); id < s.tree.nodes.top; id++ {
		n := s.tree.nodes.node(id)
		f := n.flags.Load()
		if f&nodeTaken == 0 {
			continue
		}
		path := string(s.tree.nodes.path(id))
		switch {
		case f&nodeLive == 0:
			gone = append(gone, path)
		case f&nodeComplete != 0:
			live = append(live, path+"*")
		default:
			live = append(live, path)
		}
	}
	slices.Sort(live)
	slices.Sort(gone)
	fmt.Fprintf(out, "live: %s\ngone: %s\n", strings.Join(live, " "), strings.Join(gone, " "))
}

func (s *treeScript) due(out *strings.Builder) {
	var now, neverUsed int64
	limit := 100
	s.d.ScanArgs(s.t, "now", &now)
	s.d.MaybeScanArgs(s.t, "neverused", &neverUsed)
	s.d.MaybeScanArgs(s.t, "limit", &limit)
	paths, err := s.tree.ReapCandidates(now, neverUsed, limit)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, p := range paths {
		fmt.Fprintf(out, "%s\n", p)
	}
}

func (s *treeScript) begin(out *strings.Builder) {
	s.tree.Lock()
	s.ckpt = s.tree.BeginCheckpoint()
	s.tree.Unlock()
	fmt.Fprintf(out, "checkpoint of %d\n", s.ckpt.Zxid())
}

// write writes the checkpoint that has begun; "write fails" lets the backend
// fail.
func (s *treeScript) write(out *strings.Builder) {
	s.backend.fail = s.d.HasArg("fails")
	s.werr = s.ckpt.Write()
	fmt.Fprintf(out, "%d changes, error: %v\n", s.ckpt.Len(), s.werr)
}

func (s *treeScript) end(*strings.Builder) {
	s.tree.Lock()
	s.tree.EndCheckpoint(s.ckpt, s.werr)
	s.tree.Unlock()
	s.ckpt = nil
}

func (s *treeScript) checkpoint(out *strings.Builder) {
	s.begin(out)
	s.write(out)
	s.end(out)
}

// evict drops all that may be dropped.
func (s *treeScript) evict(*strings.Builder) {
	s.tree.Lock()
	for s.tree.Evict(10) > 0 || !s.tree.Pinned() {
	}
	s.tree.Unlock()
}

func (s *treeScript) load(*strings.Builder) {
	for _, f := range s.lines() {
		err := s.tree.Load([]byte(f[0]))
		if s.d.HasArg("children") {
			err = s.tree.LoadChildren([]byte(f[0]))
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

// rest prints the tree at rest.
func (s *treeScript) rest(out *strings.Builder) {
	snap, err := s.backend.Snapshot()
	if err != nil {
		s.t.Fatal(err)
	}
	err = snap.Walk(func(path []byte, rec *Record) error {
		fmt.Fprintf(out, "%s %q\n", path, rec.Data)
		return nil
	})
	if err := errors.Join(err, snap.Close()); err != nil {
		s.t.Fatal(err)
	}
}

// checkSums compares the tree's counters with its znodes. What that has to
// read is dropped again, so that looking changes nothing.
func (s *treeScript) checkSums() {
	if strings.HasPrefix(s.d.Cmd, "mem") || s.ckpt != nil {
		return
	}
	var count, size int64
	var digest uint64
	visit := func(path []byte, info *Info, dataLen int32) {
		count++
		size += int64(len(path)) + int64(max(dataLen, 0))
		digest += NodeDigest(info.Prefix, &info.Stat, path)
	}
	for todo := [][]byte{rootPath}; len(todo) > 0; {
		p := todo[0]
		todo = todo[1:]
		var rec Record
		if id, res := s.tree.live(p); res == Found {
			s.tree.nodes.node(id).info(&rec.Info)
		} else if found, _, err := s.backend.Get(p, nil, &rec); !found || err != nil {
			s.t.Fatalf("%s: %s is listed and not there: %v", s.d.Pos, p, err)
		}
		visit(p, &rec.Info, rec.DataLength)
		children, err := s.tree.listLocked(p)
		if err != nil {
			s.t.Fatal(err)
		}
		if len(children) != int(rec.NumChildren) {
			s.t.Fatalf("%s: %s has %d children, and counts %d", s.d.Pos, p, len(children), rec.NumChildren)
		}
		todo = append(todo, children...)
	}
	if count != s.tree.NodeCount() || size != s.tree.DataBytes() || digest != s.tree.Digest() {
		s.t.Fatalf("%s: the tree counts %d znodes, %d bytes, digest %d; there are %d, %d, %d", s.d.Pos,
			s.tree.NodeCount(), s.tree.DataBytes(), s.tree.Digest(), count, size, digest)
	}
}
