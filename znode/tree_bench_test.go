package znode

import (
	"fmt"
	"testing"

	"github.com/quorate/quorate/wire"
)

// benchTree is a tree of n znodes of 128 bytes in a hundred directories.
func benchTree(b *testing.B, n int) (*Tree, [][]byte) {
	b.Helper()
	tree, err := Open(Options{Backend: NewMemBackend(), Digest: true})
	if err != nil {
		b.Fatal(err)
	}
	a := benchApplier{b: b, tree: tree}
	for d := range 100 {
		a.create(fmt.Appendf(nil, "/bench%02d", d), nil, int32(d+1))
	}
	paths := make([][]byte, n)
	for i := range paths {
		paths[i] = fmt.Appendf(nil, "/bench%02d/key%07d", i%100, i)
		a.create(paths[i], make([]byte, 128), int32(i/100+1))
	}
	return tree, paths
}

type benchApplier struct {
	b      *testing.B
	tree   *Tree
	body   []byte
	res    Result
	events []Event
}

func (a *benchApplier) apply(typ wire.Op) {
	h := TxnHeader{Zxid: a.tree.LastZxid() + 1, Time: 1, Type: typ}
	a.tree.Lock()
	var err error
	a.events, err = a.tree.Apply(&h, a.body, &a.res, a.events[:0])
	a.tree.Unlock()
	if err != nil {
		a.b.Fatal(err)
	}
}

func (a *benchApplier) create(path, data []byte, cversion int32) {
	c := CreateTxn{Path: path, Data: data, ACL: wire.OpenACL, ParentCversion: cversion}
	a.body = c.Append(a.body[:0], wire.OpCreate)
	a.apply(wire.OpCreate)
}

func BenchmarkFind(b *testing.B) {
	for _, n := range []int{1000, 1_000_000} {
		b.Run(fmt.Sprintf("nodes=%d", n), func(b *testing.B) {
			tree, paths := benchTree(b, n)
			var node Node
			b.ReportAllocs()
			b.ReportMetric(float64(tree.MemoryBytes())/float64(n), "B/node")
			i := 0
			for b.Loop() {
				i = (i + 7919) % n
				tree.RLock()
				if tree.Find(paths[i], &node) != Found {
					b.Fatal("not found")
				}
				tree.RUnlock()
			}
		})
	}
}

func BenchmarkApply(b *testing.B) {
	b.Run("op=setData", func(b *testing.B) {
		tree, paths := benchTree(b, 1000)
		a := benchApplier{b: b, tree: tree}
		data := make([]byte, 128)
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			i++
			a.body = SetDataTxn{Path: paths[i%1000], Data: data, Version: int32(i)}.Append(a.body[:0])
			a.apply(wire.OpSetData)
		}
	})
	b.Run("op=create+delete", func(b *testing.B) {
		tree, _ := benchTree(b, 1000)
		a := benchApplier{b: b, tree: tree}
		data := make([]byte, 128)
		b.ReportAllocs()
		cversion := int32(1000)
		for b.Loop() {
			cversion++
			a.create([]byte("/bench00/new"), data, cversion)
			a.body = DeleteTxn{Path: []byte("/bench00/new")}.Append(a.body[:0])
			a.apply(wire.OpDelete)
		}
	})
}

// BenchmarkGrow creates znodes that were never there, so that the tree needs
// memory for each. -benchtime 500000x makes runs alike.
func BenchmarkGrow(b *testing.B) {
	tree, _ := benchTree(b, 0)
	a := benchApplier{b: b, tree: tree}
	data := make([]byte, 128)
	var path []byte
	cversion := int32(0)
	b.ReportAllocs()
	for b.Loop() {
		cversion++
		path = fmt.Appendf(path[:0], "/bench00/key%09d", cversion)
		a.create(path, data, cversion)
	}
}
