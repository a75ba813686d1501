package replica

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

func TestNamespaceOfAPath(t *testing.T) {
	var n Namespaces
	if n.Of([]byte("/")) != nil || n.Of(nil) != nil {
		t.Error("the root is in a namespace")
	}
	for path, want := range map[string]string{"/a": "a", "/a/b": "a", "/a/b/c": "a", "/ab": "ab", "/zookeeper/config": "zookeeper"} {
		ns := n.Of([]byte(path))
		if ns.Name != want || !ns.holds([]byte(path)) {
			t.Errorf("%s is in %q", path, ns.Name)
		}
	}
	a := n.Of([]byte("/a"))
	for _, path := range []string{"/", "/ab", "/b/a", "a"} {
		if a.holds([]byte(path)) {
			t.Errorf("%s is in a", path)
		}
	}
}

// There is room for so many namespaces, whoever makes them; nothing that was counted is
// lost, and the names are told in order.
func TestNamespacesAreBounded(t *testing.T) {
	var n Namespaces
	const each, workers = namespacesMax + 100, 4
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for i := range each {
				n.Of(fmt.Appendf(nil, "/n%03d/x", i)).Add(1)
			}
		})
	}
	all.Wait()
	list, count := n.All(), int64(0)
	for i, ns := range list {
		if i > 0 && strings.Compare(list[i-1].Name, ns.Name) >= 0 {
			t.Errorf("%q is behind %q", ns.Name, list[i-1].Name)
		}
		v := ns.View()
		count += v.Count
	}
	if len(list) != namespacesMax+1 || list[0].Name != OtherNamespaces || count != each*workers {
		t.Errorf("%d namespaces, the first is %q, %d values", len(list), list[0].Name, count)
	}
	n.Reset()
	if v := list[0].View(); v.Count != 0 || len(n.All()) != len(list) {
		t.Errorf("after a reset %d values of %d namespaces", v.Count, len(n.All()))
	}
}

// Beyond the bounds nothing is made, whatever the names.
func TestNamespacesBeyondTheBounds(t *testing.T) {
	var n Namespaces
	long := []byte("/" + strings.Repeat("n", namespaceBytesMax+1) + "/x")
	if ns := n.Of(long); ns.Name != OtherNamespaces {
		t.Errorf("a name of %d bytes", len(ns.Name))
	}
	for i := range namespacesMax {
		n.Of(fmt.Appendf(nil, "/n%03d", i))
	}
	another := []byte("/another/x")
	for _, path := range [][]byte{long, another, []byte("/n000")} {
		if a := testing.AllocsPerRun(100, func() { n.Of(path) }); a != 0 {
			t.Errorf("%.20s: %v allocations", path, a)
		}
	}
	if ns := n.Of(another); ns.Name != OtherNamespaces || len(n.All()) != namespacesMax {
		t.Errorf("%q, %d namespaces", ns.Name, len(n.All()))
	}
}
