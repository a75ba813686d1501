package znode

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/quorate/quorate/wire"
)

// modelTree is the dumb twin of the tree: a map, in which whatever can be
// computed is computed again each time. It applies transactions by their
// records alone.
type modelTree struct {
	nodes   map[string]*modelNode
	acls    *ACLTable
	quotas  map[string]QuotaLimits
	kinds   OwnerKinds
	broken  error // what Lookup says when it was asked that often
	lookups int
}

type modelNode struct {
	Stat Stat
	Data []byte
	ACL  ACLID
}

func newModelTree() *modelTree {
	m := &modelTree{nodes: map[string]*modelNode{}, acls: NewACLTable(), quotas: map[string]QuotaLimits{}}
	m.nodes["/"] = &modelNode{Data: []byte{}, ACL: OpenACLID}
	m.nodes["/zookeeper"] = &modelNode{Data: []byte{}, ACL: OpenACLID}
	m.nodes["/zookeeper/quota"] = &modelNode{Data: []byte{}, ACL: OpenACLID}
	config := m.acls.Intern([]wire.ACL{{Perms: wire.PermRead, ID: wire.ID{Scheme: "world", ID: "anyone"}}})
	m.nodes["/zookeeper/config"] = &modelNode{Data: []byte{}, ACL: config, Stat: Stat{Aversion: -1}}
	return m
}

func (m *modelTree) children(path string) (n int32) {
	for p := range m.nodes {
		if p != "/" && modelParent(p) == path {
			n++
		}
	}
	return n
}

func modelParent(p string) string {
	i := strings.LastIndex(p, "/")
	return p[:max(i, 1)]
}

func (m *modelTree) Lookup(path []byte) (Info, bool, error) {
	if m.lookups--; m.broken != nil && m.lookups < 0 {
		return Info{}, false, m.broken
	}
	n := m.nodes[string(path)]
	if n == nil {
		return Info{}, false, nil
	}
	return Info{
		Stat: n.Stat, ACL: n.ACL, NumChildren: m.children(string(path)),
		DataLength: dataLength(n.Data), Prefix: DataPrefix(path, n.Data),
	}, true, nil
}

func (m *modelTree) ACLs() *ACLTable { return m.acls }

func (m *modelTree) Quota(path []byte) (root string, lim QuotaLimits, use QuotaUsage, ok bool) {
	for p := string(path); p != "/"; p = modelParent(p) {
		if lim, ok = m.quotas[p]; ok {
			for q, n := range m.nodes {
				if q == p || strings.HasPrefix(q, p+"/") {
					use.Count, use.Bytes = use.Count+1, use.Bytes+int64(len(n.Data))
				}
			}
			return p, lim, use, true
		}
	}
	return "", lim, use, false
}

func (m *modelTree) Ephemerals(session int64) (paths []string) {
	for p, n := range m.nodes {
		if n.Stat.EphemeralOwner == session && m.kinds.Of(session) == Ephemeral {
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	slices.Reverse(paths) // any order will do
	return paths
}

func (m *modelTree) Digest() (sum uint64) {
	for p, n := range m.nodes {
		sum += NodeDigest(DataPrefix([]byte(p), n.Data), &n.Stat, []byte(p))
	}
	return sum
}

// fataler is a test, or a rapid one.
type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// apply applies a whole transaction and returns what its digest should have
// been, if it has one.
func (m *modelTree) apply(t fataler, b []byte) {
	t.Helper()
	r := wire.NewReader(b)
	var h TxnHeader
	h.Decode(&r)
	var txn Txn
	rest, err := DecodeTxn(r.Remaining(), h.Type, &txn)
	if err != nil {
		t.Fatalf("what was prepared does not decode: %v\n%x", err, b)
	}
	m.applyRecord(t, &h, &txn)
	d, ok := DecodeTxnDigest(rest)
	if len(rest) != 0 && (!ok || len(rest) != TxnDigestBytes) {
		t.Fatalf("%v: %x is left after the record", h.Type, rest)
	}
	if ok && d.Digest != m.Digest() {
		t.Fatalf("%v at zxid %d carries the digest %d; the tree has %d", h.Type, h.Zxid, d.Digest, m.Digest())
	}
}

func (m *modelTree) applyRecord(t fataler, h *TxnHeader, txn *Txn) {
	switch txn.Type {
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		m.applyCreate(t, h, txn)
	case wire.OpDelete, wire.OpDeleteContainer:
		m.delete(string(txn.Delete.Path), h.Zxid)
	case wire.OpSetData, wire.OpReconfig:
		n := m.nodes[string(txn.SetData.Path)]
		m.setQuota(txn.SetData.Path, txn.SetData.Data)
		n.Data = bytes.Clone(txn.SetData.Data)
		n.Stat.Version, n.Stat.Mzxid, n.Stat.Mtime = txn.SetData.Version, h.Zxid, h.Time
	case wire.OpSetACL:
		n := m.nodes[string(txn.SetACL.Path)]
		id, err := m.acls.InternVector(txn.SetACL.ACL)
		if err != nil {
			t.Fatal(err)
		}
		n.ACL, n.Stat.Aversion = id, txn.SetACL.Version
	case wire.OpCloseSession:
		txn.CloseSession.Paths(func(p []byte) { m.delete(string(p), h.Zxid) })
		if left := m.Ephemerals(h.ClientID); len(left) > 0 {
			t.Fatalf("closeSession leaves %q", left)
		}
	case wire.OpMulti:
		var sub Txn
		if !txn.Multi.Failed {
			txn.Multi.Each(&sub, func(int) bool { m.applyRecord(t, h, &sub); return true })
		}
	case wire.OpError, wire.OpCreateSession, wire.OpCheck:
	default:
		t.Fatalf("cannot apply %v", txn.Type)
	}
}

func (m *modelTree) applyCreate(t fataler, h *TxnHeader, txn *Txn) {
	c := &txn.Create
	id, err := m.acls.InternVector(c.ACL)
	if err != nil {
		t.Fatal(err)
	}
	path := string(c.Path)
	if m.nodes[path] != nil {
		t.Fatalf("create of %q, which is there", path)
	}
	m.setQuota(c.Path, c.Data)
	parent := m.nodes[modelParent(path)]
	if c.ParentCversion > parent.Stat.Cversion {
		parent.Stat.Cversion, parent.Stat.Pzxid = c.ParentCversion, h.Zxid
	}
	m.nodes[path] = &modelNode{
		Data: bytes.Clone(c.Data), ACL: id,
		Stat: Stat{
			Czxid: h.Zxid, Mzxid: h.Zxid, Pzxid: h.Zxid, Ctime: h.Time, Mtime: h.Time,
			EphemeralOwner: c.Owner(txn.Type, h.ClientID),
		},
	}
}

// setQuota takes limits from the znode that holds them.
func (m *modelTree) setQuota(path, data []byte) {
	if target, limits, ok := QuotaTarget(path); ok && limits {
		if lim, err := ParseQuota(data); err == nil {
			m.quotas[string(target)] = lim
		}
	}
}

func (m *modelTree) delete(path string, zxid int64) {
	if target, limits, ok := QuotaTarget([]byte(path)); ok && limits {
		delete(m.quotas, string(target))
	}
	delete(m.nodes, path)
	if parent := m.nodes[modelParent(path)]; parent != nil {
		parent.Stat.Pzxid = max(parent.Stat.Pzxid, zxid)
	}
}

func (m *modelTree) clone() *modelTree {
	out := &modelTree{nodes: map[string]*modelNode{}, acls: NewACLTable(), quotas: maps.Clone(m.quotas), kinds: m.kinds}
	out.acls.Load(m.acls.Entries())
	for p, n := range m.nodes {
		c := *n
		out.nodes[p] = &c
	}
	return out
}

var errBroken = errors.New("the disk is broken")

// describeTxn writes a transaction in one line, or one per operation.
func describeTxn(b []byte) string {
	r := wire.NewReader(b)
	var h TxnHeader
	h.Decode(&r)
	var txn Txn
	if _, err := DecodeTxn(r.Remaining(), h.Type, &txn); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d: %s", h.Zxid, describeRecord(&txn))
}

func describeRecord(t *Txn) string {
	data := func(b []byte) string {
		if b == nil {
			return "null"
		}
		return fmt.Sprintf("%q", b)
	}
	switch t.Type {
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		c := &t.Create
		s := fmt.Sprintf("%v %q %s acl=%s cversion=%d", t.Type, c.Path, data(c.Data), describeACL(c.ACL), c.ParentCversion)
		if c.Ephemeral {
			s += " ephemeral"
		}
		if t.Type == wire.OpCreateTTL {
			s += fmt.Sprintf(" ttl=%d", c.TTL)
		}
		return s
	case wire.OpDelete, wire.OpDeleteContainer:
		return fmt.Sprintf("%v %q", t.Type, t.Delete.Path)
	case wire.OpSetData, wire.OpReconfig:
		return fmt.Sprintf("%v %q %s version=%d", t.Type, t.SetData.Path, data(t.SetData.Data), t.SetData.Version)
	case wire.OpSetACL:
		return fmt.Sprintf("%v %q acl=%s version=%d", t.Type, t.SetACL.Path, describeACL(t.SetACL.ACL), t.SetACL.Version)
	case wire.OpCheck:
		return fmt.Sprintf("%v %q version=%d", t.Type, t.Check.Path, t.Check.Version)
	case wire.OpCreateSession:
		return fmt.Sprintf("%v %d", t.Type, t.CreateSession.TimeOut)
	case wire.OpCloseSession:
		s := t.Type.String()
		t.CloseSession.Paths(func(p []byte) { s += fmt.Sprintf(" %q", p) })
		return s
	case wire.OpError:
		return fmt.Sprintf("error %d", t.Error.Code)
	case wire.OpMulti:
		s := fmt.Sprintf("multi of %d", t.Multi.Count)
		var sub Txn
		t.Multi.Each(&sub, func(int) bool { s += "\n  " + describeRecord(&sub); return true })
		return s
	default:
		return "?"
	}
}

func describeACL(v wire.ACLVector) string {
	if bytes.Equal(v, wire.OpenACL) {
		return "open"
	}
	r := wire.NewReader(v)
	var parts []string
	for _, a := range wire.DecodeACLs(&r) {
		parts = append(parts, fmt.Sprintf("%d:%s:%s", a.Perms, a.ID.Scheme, a.ID.ID))
	}
	return strings.Join(parts, ",")
}
