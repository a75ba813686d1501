package znode

import (
	"encoding/binary"
	"hash/crc32"
	"testing"

	"pgregory.net/rapid"

	"github.com/quorate/quorate/wire"
)

// TestDigestVectors are figures that real servers printed.
func TestDigestOfATree(t *testing.T) {
	digest := func(path string, data []byte, s Stat) uint64 {
		return NodeDigest(DataPrefix([]byte(path), data), &s, []byte(path))
	}
	root := digest("/", []byte{}, Stat{})
	system := digest("/zookeeper", nil, Stat{})
	k1 := digest("/k1", []byte("v"), Stat{Czxid: 0x100000001, Mzxid: 0x100000001, Pzxid: 0x100000001, Ctime: 5, Mtime: 5})
	k2 := digest("/k2", nil, Stat{Czxid: 0x100000002, Mzxid: 0x100000002, Pzxid: 0x100000002, Ctime: 5, Mtime: 5})
	grown := digest("/", nil, Stat{Cversion: 2, Pzxid: 0x100000002})
	for _, c := range []struct {
		what      string
		got, want uint64
	}{
		{"root", root, 68323592},
		{"/zookeeper", system, 1303661912},
		{"fresh tree", root + system, 1371985504},
		{"/k1", k1, 1204542630},
		{"/k2", k2, 1785825323},
		{"root with two children", grown, 1455981725},
		{"tree of these", grown + system + k1 + k2, 5750011590},
		{"below /zookeeper", digest("/zookeeper/quota", []byte("x"), Stat{Version: 3}), 0},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d, want %d", c.what, c.got, c.want)
		}
	}
	tree, err := Open(Options{Backend: NewMemBackend()})
	if err != nil {
		t.Fatal(err)
	}
	if tree.Digest() != 1371985504 {
		t.Errorf("a fresh tree's digest is %d", tree.Digest())
	}
}

func TestDigestAgainstTheLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		long, num := rapid.Int64(), rapid.Int32()
		s := Stat{
			Czxid: long.Draw(t, "czxid"), Mzxid: long.Draw(t, "mzxid"), Pzxid: long.Draw(t, "pzxid"),
			Ctime: long.Draw(t, "ctime"), Mtime: long.Draw(t, "mtime"), Version: num.Draw(t, "version"),
			Cversion: num.Draw(t, "cversion"), Aversion: num.Draw(t, "aversion"), EphemeralOwner: long.Draw(t, "owner"),
		}
		prefix := rapid.Uint32().Draw(t, "prefix")
		var b []byte
		for _, v := range []int64{s.Czxid, s.Mzxid, s.Pzxid, s.Ctime, s.Mtime} {
			b = binary.BigEndian.AppendUint64(b, uint64(v))
		}
		for _, v := range []int32{s.Version, s.Cversion, s.Aversion} {
			b = binary.BigEndian.AppendUint32(b, uint32(v))
		}
		b = binary.BigEndian.AppendUint64(b, uint64(s.EphemeralOwner))
		if got, want := NodeDigest(prefix, &s, []byte("/a")), uint64(crc32.Update(prefix, crc32.IEEETable, b)); got != want {
			t.Fatalf("%d, want %d", got, want)
		}
	})
}

// Java hashes a path in the charset of its machine, so servers of one ensemble may differ about a path that is not
// ASCII. Ours is UTF-8; a transaction that says otherwise is counted, and changes nothing else.
func TestDigestOfANonASCIIPath(t *testing.T) {
	tree, err := Open(Options{Backend: NewMemBackend(), Digest: true})
	if err != nil {
		t.Fatal(err)
	}
	before := tree.NodeCount()
	const utf8, ascii = "/z\xc3\xbcrich", "/z?rich"
	grown := NodeDigest(DataPrefix([]byte("/"), nil), &Stat{Cversion: 1, Pzxid: 1}, []byte("/"))
	digest := func(path string) uint64 {
		return grown + 1303661912 + NodeDigest(DataPrefix([]byte(path), nil), &Stat{Czxid: 1, Mzxid: 1, Pzxid: 1}, []byte(path))
	}
	c := CreateTxn{Path: []byte(utf8), ACL: wire.OpenACL, ParentCversion: 1}
	body := TxnDigest{Version: DigestVersion, Digest: digest(ascii)}.Append(c.Append(nil, wire.OpCreate))
	tree.Lock()
	defer tree.Unlock()
	var res Result
	if _, err := tree.Apply(&TxnHeader{Zxid: 1, Type: wire.OpCreate}, body, &res, nil); err != nil || res.Code != wire.OK {
		t.Fatal(err, res.Code)
	}
	if tree.Digest() != digest(utf8) || tree.DigestMismatches() != 1 || tree.NodeCount() != before+1 {
		t.Errorf("digest %d, want %d, %d mismatches", tree.Digest(), digest(utf8), tree.DigestMismatches())
	}
}

// While a tree is doubted, what others say of it counts for nothing.
func TestDigestOfADoubtedTree(t *testing.T) {
	tree, err := Open(Options{Backend: NewMemBackend(), Digest: true})
	if err != nil {
		t.Fatal(err)
	}
	tree.Lock()
	defer tree.Unlock()
	for i, doubted := range []bool{true, false} {
		tree.Doubt(doubted)
		set := SetDataTxn{Path: []byte("/zookeeper"), Version: int32(i + 1)}
		body := TxnDigest{Version: DigestVersion, Digest: 1}.Append(set.Append(nil))
		var res Result
		if _, err := tree.Apply(&TxnHeader{Zxid: int64(i + 1), Type: wire.OpSetData}, body, &res, nil); err != nil || res.Code != wire.OK {
			t.Fatal(err, res.Code)
		}
		if n := tree.DigestMismatches(); n != int64(i) || tree.Whole() == doubted {
			t.Errorf("doubted %v: %d mismatches, whole %v", doubted, n, tree.Whole())
		}
	}
}
