package znode

import (
	"fmt"
	"testing"

	"github.com/quorate/quorate/wire"
)

// benchView is a tree of many znodes that costs a look-up in a map.
type benchView struct {
	nodes map[string]*Info
	acls  *ACLTable
}

const benchNodes = 100_000

func newBenchView() *benchView {
	v := &benchView{nodes: map[string]*Info{}, acls: NewACLTable()}
	v.nodes["/"] = &Info{ACL: OpenACLID}
	v.nodes["/bench"] = &Info{ACL: OpenACLID, NumChildren: benchNodes}
	for i := range benchNodes {
		path := benchPath(i)
		v.nodes[string(path)] = &Info{ACL: OpenACLID, DataLength: 128, Prefix: DataPrefix(path, make([]byte, 128))}
	}
	return v
}

func benchPath(i int) []byte { return fmt.Appendf(nil, "/bench/node-%08d", i) }

func (v *benchView) Lookup(path []byte) (Info, bool, error) {
	if n := v.nodes[string(path)]; n != nil {
		return *n, true, nil
	}
	return Info{}, false, nil
}

func (v *benchView) ACLs() *ACLTable { return v.acls }

func (v *benchView) Quota([]byte) (string, QuotaLimits, QuotaUsage, bool) {
	return "", NoQuotaLimits, QuotaUsage{}, false
}

func (v *benchView) Ephemerals(int64) []string { return nil }
func (v *benchView) Digest() uint64            { return 1 }

// newBenchTree returns the real tree with the same znodes.
func newBenchTree(b *testing.B) *Tree {
	tree, err := Open(Options{Backend: NewMemBackend()})
	if err != nil {
		b.Fatal(err)
	}
	var res Result
	for i := range benchNodes + 1 {
		c := CreateTxn{Path: []byte("/bench"), Data: make([]byte, 128), ACL: wire.OpenACL, ParentCversion: -1}
		if i > 0 {
			c.Path = benchPath(i - 1)
		}
		h := TxnHeader{Zxid: int64(i + 1), Type: wire.OpCreate}
		tree.Lock()
		_, err := tree.Apply(&h, c.Append(nil, h.Type), &res, nil)
		tree.Unlock()
		if err != nil {
			b.Fatal(err)
		}
	}
	return tree
}

// BenchmarkPrepare measures one request each, with up to 256 pending before
// them, on a tree of 100,000 znodes with 128 bytes of data.
func BenchmarkPrepare(b *testing.B) {
	data := make([]byte, 128)
	operations := map[string]func(i int) (wire.Op, []byte){
		"setData": func(i int) (wire.Op, []byte) {
			r := wire.SetDataRequest{Path: benchPath(i % benchNodes), Data: data, Version: -1}
			return wire.OpSetData, r.Append(nil)
		},
		"create": func(i int) (wire.Op, []byte) {
			r := wire.CreateRequest{Path: benchPath(benchNodes + i), Data: data, ACL: wire.OpenACL}
			return wire.OpCreate, r.Append(nil, wire.OpCreate)
		},
		"createACL": func(i int) (wire.Op, []byte) {
			acl := wire.AppendACLs(nil, []wire.ACL{{Perms: 31, ID: wire.ID{Scheme: "digest", ID: "bob:ikIaKsbtGweaHnb/jKn7OHqbunM="}}})
			r := wire.CreateRequest{Path: benchPath(benchNodes + i), Data: data, ACL: acl}
			return wire.OpCreate, r.Append(nil, wire.OpCreate)
		},
		"createEphemeral": func(i int) (wire.Op, []byte) {
			r := wire.CreateRequest{Path: benchPath(benchNodes + i), Data: data, ACL: wire.OpenACL, Flags: wire.FlagEphemeralSequential}
			return wire.OpCreate, r.Append(nil, wire.OpCreate)
		},
		"delete": func(i int) (wire.Op, []byte) {
			return wire.OpDelete, wire.PathVersion{Path: benchPath(i % benchNodes), Version: -1}.Append(nil)
		},
		"multi": func(i int) (wire.Op, []byte) {
			var body []byte
			body = wire.PathVersion{Path: benchPath(i % benchNodes), Version: -1}.Append(wire.MultiHeader{Op: wire.OpCheck, Err: -1}.Append(body))
			c := wire.CreateRequest{Path: benchPath(benchNodes + i), Data: data, ACL: wire.OpenACL}
			body = c.Append(wire.MultiHeader{Op: wire.OpCreate, Err: -1}.Append(body), wire.OpCreate)
			s := wire.SetDataRequest{Path: benchPath(i % benchNodes), Data: data, Version: -1}
			body = s.Append(wire.MultiHeader{Op: wire.OpSetData, Err: -1}.Append(body))
			body = wire.PathVersion{Path: benchPath(benchNodes + i), Version: -1}.Append(wire.MultiHeader{Op: wire.OpDelete, Err: -1}.Append(body))
			return wire.OpMulti, wire.MultiEnd.Append(body)
		},
		"closeSession": func(int) (wire.Op, []byte) { return wire.OpCloseSession, nil },
	}
	views := map[string]View{"map": newBenchView(), "tree": newBenchTree(b)}
	for _, name := range []string{"setData", "create", "createACL", "createEphemeral", "delete", "multi", "closeSession"} {
		for _, view := range []string{"map", "tree"} {
			b.Run("op="+name+"/view="+view, func(b *testing.B) { benchPrepare(b, views[view], operations[name]) })
		}
	}
}

func benchPrepare(b *testing.B, view View, request func(int) (wire.Op, []byte)) {
	const distinct = 4096
	reqs := make([]Request, distinct)
	for i := range reqs {
		reqs[i].Session = 1
		reqs[i].Op, reqs[i].Body = request(i)
	}
	p := NewPreparer(view, Rules{Digest: true})
	var out []byte
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		req := &reqs[i%distinct]
		req.Zxid = int64(i + 1)
		var ok bool
		var code wire.Code
		if out, ok, code, _ = p.Prepare(out[:0], req); !ok || code != wire.OK {
			b.Fatalf("%v: %v", req.Op, code)
		}
		if i%256 == 255 {
			p.Applied(int64(i + 1))
		}
	}
}
