package znode

import (
	"testing"
)

func TestSetConfig(t *testing.T) {
	tree, err := Open(Options{Backend: NewMemBackend(), Digest: true})
	if err != nil {
		t.Fatal(err)
	}
	digest, zxid := tree.Digest(), tree.LastZxid()
	for _, text := range []string{"server.1=a:1:2:participant\nversion=0", "server.1=b:1:2:participant\nversion=0"} {
		if err := tree.SetConfig([]byte(text), 0, 1234); err != nil {
			t.Fatal(err)
		}
		var n Node
		if tree.Find([]byte(configPath), &n) != Found || string(n.Data) != text {
			t.Fatalf("the configuration is %q, want %q", n.Data, text)
		}
		if n.Stat.Version != -1 || n.Stat.Mtime != 1234 || n.Stat.Mzxid != 0 {
			t.Errorf("its Stat is %+v", n.Stat)
		}
	}
	if tree.Digest() != digest || tree.LastZxid() != zxid {
		t.Errorf("the tree is at 0x%x with digest %d, was at 0x%x with %d", tree.LastZxid(), tree.Digest(), zxid, digest)
	}
}
