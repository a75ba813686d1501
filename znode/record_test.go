package znode

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/quorate/quorate/wire"
)

func FuzzRecord(f *testing.F) {
	for _, c := range []Change{putChange("/", "", 0), putChange("/a/b", "data", -1), {Path: []byte("/n"), Record: recordOf("/n", nil, 0)}} {
		b, err := appendRecord(nil, c.Path, &c.Record)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(c.Path, b)
	}
	f.Fuzz(func(t *testing.T, path, value []byte) {
		var rec Record
		if _, err := decodeRecord(path, value, nil, &rec); err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("not marked as corruption: %v", err)
			}
			return
		}
		again, err := appendRecord(nil, path, &rec)
		if err != nil {
			t.Fatal(err)
		}
		var rec2 Record
		if _, err := decodeRecord(path, again, nil, &rec2); err != nil || !reflect.DeepEqual(rec, rec2) {
			t.Errorf("%+v became %+v (%v)", rec, rec2, err)
		}
	})
}

func FuzzMeta(f *testing.F) {
	m := Meta{
		Zxid: 1, Digest: 2, NodeCount: 3, DataBytes: 4, WholeFrom: 5, Sessions: map[int64]int32{1: 2, -1: 4},
		ACLs: map[ACLID]ACLEntry{2: {ACL: []wire.ACL{{Perms: 1, ID: wire.ID{Scheme: "a", ID: "b"}}}, Refs: 1}},
	}
	f.Add(appendMeta(nil, &m))
	f.Fuzz(func(t *testing.T, value []byte) {
		m, err := decodeMeta(value)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("not marked as corruption: %v", err)
			}
			return
		}
		again, err := decodeMeta(appendMeta(nil, &m))
		if err != nil || !reflect.DeepEqual(m, again) {
			t.Errorf("%+v became %+v (%v)", m, again, err)
		}
	})
}

// TestRecordDetectsEveryFlip flips each bit of a record, and moves it to
// another path.
func TestRecordDetectsEveryFlip(t *testing.T) {
	c := putChange("/some/path", "some data", 0x1234)
	value, err := appendRecord(nil, c.Path, &c.Record)
	if err != nil {
		t.Fatal(err)
	}
	var rec Record
	for i := range 8 * len(value) {
		bad := bytes.Clone(value)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := decodeRecord(c.Path, bad, nil, &rec); !errors.Is(err, ErrCorrupt) {
			t.Errorf("bit %d: %v", i, err)
		}
	}
	if _, err := decodeRecord([]byte("/some/patH"), value, nil, &rec); !errors.Is(err, ErrCorrupt) {
		t.Errorf("another path: %v", err)
	}
}
