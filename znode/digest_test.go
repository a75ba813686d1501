package znode

import "testing"

// The expected values were computed by a Java server.
func TestNodeDigestVectors(t *testing.T) {
	node := func(path, data string, null bool, s Stat) uint64 {
		b := []byte(data)
		if null {
			b = nil
		}
		return NodeDigest(DataPrefix([]byte(path), b), &s, []byte(path))
	}
	times := Stat{Ctime: 5, Mtime: 5}
	at := func(zxid int64) Stat {
		s := times
		s.Czxid, s.Mzxid, s.Pzxid = zxid, zxid, zxid
		return s
	}
	for _, c := range []struct {
		what string
		got  uint64
		want uint64
	}{
		{"fresh root", node("/", "", false, Stat{}), 68323592},
		{"fresh /zookeeper", node("/zookeeper", "", false, Stat{}), 1303661912},
		{"below /zookeeper", node("/zookeeper/quota", "", false, Stat{}), 0},
		{"/k1", node("/k1", "v", false, at(0x100000001)), 1204542630},
		{"/k2, null", node("/k2", "", true, at(0x100000002)), 1785825323},
		{"root after both", node("/", "", false, Stat{Cversion: 2, Pzxid: 0x100000002}), 1455981725},
	} {
		if c.got != c.want {
			t.Errorf("%s: digest %d, want %d", c.what, c.got, c.want)
		}
	}
	if node("/zookeepers", "", false, Stat{}) == 0 {
		t.Error("/zookeepers does not count")
	}
}
