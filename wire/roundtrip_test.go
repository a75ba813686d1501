package wire

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// TestRoundTrip encodes and decodes random records of every operation.
func TestRoundTrip(t *testing.T) {
	for op, body := range requestBodies {
		t.Run(op.String(), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				v := body()
				draw(t, v, op)
				if err := stable(v, body(), 0); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// TestConnectRoundTrip does the same with the handshake, with and without the
// trailing readOnly byte.
func TestConnectRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := ConnectRequest{
			ProtocolVersion: anyInt.Draw(t, "version"),
			LastZxidSeen:    anyLong.Draw(t, "zxid"),
			TimeOut:         anyInt.Draw(t, "timeout"),
			SessionID:       anyLong.Draw(t, "id"),
			Passwd:          anyBuffer(t, "passwd"),
			HasReadOnly:     rapid.Bool().Draw(t, "hasReadOnly"),
		}
		q.ReadOnly = q.HasReadOnly && rapid.Bool().Draw(t, "readOnly")
		same(t, &q, new(ConnectRequest), q.Append(nil))
		a := ConnectResponse{
			ProtocolVersion: q.ProtocolVersion,
			TimeOut:         q.TimeOut,
			SessionID:       q.SessionID,
			Passwd:          q.Passwd,
			ReadOnly:        q.ReadOnly,
			HasReadOnly:     q.HasReadOnly,
		}
		same(t, &a, new(ConnectResponse), a.Append(nil))
	})
}

// TestReplyRoundTrip does the same with what replies are made of.
func TestReplyRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := ReplyHeader{Xid: anyInt.Draw(t, "xid"), Zxid: anyLong.Draw(t, "zxid"), Err: Code(anyInt.Draw(t, "err"))}
		b := h.Append(nil)
		if len(b) != ReplyHeaderBytes {
			t.Fatalf("a reply header has %d bytes", len(b))
		}
		same(t, &h, new(ReplyHeader), b)
		var s Stat
		for i := range reflect.TypeFor[Stat]().NumField() {
			f := reflect.ValueOf(&s).Elem().Field(i)
			if f.Kind() == reflect.Int32 {
				f.SetInt(int64(anyInt.Draw(t, "int")))
			} else {
				f.SetInt(anyLong.Draw(t, "long"))
			}
		}
		if b = s.Append(nil); len(b) != StatBytes {
			t.Fatalf("a Stat has %d bytes", len(b))
		}
		same(t, &s, new(Stat), b)
		q := RequestHeader{Xid: h.Xid, Op: Op(anyInt.Draw(t, "op"))}
		if b = q.Append(nil); len(b) != RequestHeaderBytes {
			t.Fatalf("a request header has %d bytes", len(b))
		}
		same(t, &q, new(RequestHeader), b)
		m := MultiHeader{Op: q.Op, Done: rapid.Bool().Draw(t, "done"), Err: h.Err}
		same(t, &m, new(MultiHeader), m.Append(nil))
	})
}

func TestNotificationRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		path := anyBuffer(t, "path")
		if path == nil {
			path = []byte{}
		}
		zxid := anyLong.Draw(t, "zxid")
		typ := EventType(anyInt.Draw(t, "type"))
		frame := AppendNotification(nil, zxid, typ, path)
		if string(AppendNotification(nil, zxid, typ, string(path))) != string(frame) {
			t.Fatal("a path of bytes and one of a string differ")
		}
		if n := FrameLength(frame); int(n) != len(frame)-FrameHeaderBytes {
			t.Fatalf("a frame of %d bytes says %d", len(frame), n)
		}
		r := NewReader(frame[FrameHeaderBytes:])
		var h ReplyHeader
		h.Decode(&r)
		if want := (ReplyHeader{Xid: -1, Zxid: zxid}); h != want {
			t.Fatalf("header %+v, want %+v", h, want)
		}
		e := WatcherEvent{Type: typ, State: StateSyncConnected, Path: path}
		same(t, &e, new(WatcherEvent), r.Remaining())
	})
}

func TestACLRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		acls := []ACL{}
		for range rapid.IntRange(0, 5).Draw(t, "n") {
			acls = append(acls, ACL{anyInt.Draw(t, "perms"), ID{rapid.String().Draw(t, "scheme"), rapid.String().Draw(t, "id")}})
		}
		b := AppendACLs(nil, acls)
		r := NewReader(b)
		if got := DecodeACLs(&r); r.Err() != nil || len(r.Remaining()) != 0 || len(got) != len(acls) ||
			len(acls) > 0 && !reflect.DeepEqual(got, acls) {
			t.Fatalf("%v comes back as %v, %v", acls, got, r.Err())
		}
		entries, err := ACLVector(b).Decode()
		if err != nil || len(entries) != len(acls) {
			t.Fatalf("%v comes back as %v, %v", acls, entries, err)
		}
		for i, e := range entries {
			if got := (ACL{e.Perms, ID{string(e.Scheme), string(e.ID)}}); got != acls[i] {
				t.Fatalf("entry %d is %v, want %v", i, got, acls[i])
			}
		}
	})
}

type decoder interface{ Decode(r *Reader) }

// same fails unless b decodes, to its end, to v.
func same[T decoder](t *rapid.T, v, into T, b []byte) {
	r := NewReader(b)
	if into.Decode(&r); r.Err() != nil || len(r.Remaining()) != 0 || !reflect.DeepEqual(v, into) {
		t.Fatalf("%+v comes back as %+v with %d bytes left, %v", v, into, len(r.Remaining()), r.Err())
	}
}

var (
	anyInt  = rapid.Int32()
	anyLong = rapid.Int64()
)

func anyBuffer(t *rapid.T, label string) []byte {
	if rapid.Bool().Draw(t, label+" is null") {
		return nil
	}
	return append([]byte{}, rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, label)...)
}

// anyPaths is never empty but nil: an empty list comes back as nil.
func anyPaths(t *rapid.T, label string) [][]byte {
	var out [][]byte
	for range rapid.IntRange(0, 3).Draw(t, label+" count") {
		out = append(out, anyBuffer(t, label))
	}
	return out
}

func anyACL(t *rapid.T) ACLVector {
	n := rapid.Int32Range(-1, 3).Draw(t, "acl count")
	v := AppendInt(nil, n)
	for range n {
		v = AppendBuffer(AppendBuffer(AppendInt(v, anyInt.Draw(t, "perms")), anyBuffer(t, "scheme")), anyBuffer(t, "id"))
	}
	return v
}

// draw fills a body with random fields.
func draw(t *rapid.T, v record, op Op) {
	switch v := v.(type) {
	case *createBody:
		v.v = anyCreate(t)
		v.v.TTL = -1
	case *createTTLBody:
		v.v = anyCreate(t)
	case *pathVersion:
		v.v = PathVersion{anyBuffer(t, "path"), anyInt.Draw(t, "version")}
	case *pathWatch:
		v.v = PathWatch{anyBuffer(t, "path"), rapid.Bool().Draw(t, "watch")}
	case *pathType:
		v.v = PathType{anyBuffer(t, "path"), anyInt.Draw(t, "type")}
	case *setData:
		v.v = SetDataRequest{anyBuffer(t, "path"), anyBuffer(t, "data"), anyInt.Draw(t, "version")}
	case *setACL:
		v.v = SetACLRequest{anyBuffer(t, "path"), anyACL(t), anyInt.Draw(t, "version")}
	case *reconfig:
		v.v = ReconfigRequest{anyBuffer(t, "joining"), anyBuffer(t, "leaving"), anyBuffer(t, "members"), anyLong.Draw(t, "config")}
	case *auth:
		v.v = AuthPacket{anyInt.Draw(t, "type"), anyBuffer(t, "scheme"), anyBuffer(t, "auth")}
	case *setWatches:
		v.v = anySetWatches(t, 3)
	case *setWatches2:
		v.v = anySetWatches(t, 5)
	case *buffer:
		v.v = anyBuffer(t, "buffer")
	case *number:
		v.v = anyInt.Draw(t, "number")
	case *nothing:
	case *multi:
		ops := multiWrites
		if op == OpMultiRead {
			ops = multiReads
		}
		for range rapid.IntRange(0, 4).Draw(t, "operations") {
			h := MultiHeader{Op: rapid.SampledFrom(ops).Draw(t, "op"), Err: -1}
			b := multiBodies[h.Op]()
			draw(t, b, h.Op)
			v.ops = append(v.ops, multiOp{h, b})
		}
	default:
		t.Fatalf("no generator for %T", v)
	}
}

var (
	multiWrites = []Op{OpCreate, OpCreate2, OpCreateContainer, OpCreateTTL, OpDelete, OpSetData, OpCheck}
	multiReads  = []Op{OpGetData, OpGetChildren}
)

func anyCreate(t *rapid.T) CreateRequest {
	return CreateRequest{anyBuffer(t, "path"), anyBuffer(t, "data"), anyACL(t), anyInt.Draw(t, "flags"), anyLong.Draw(t, "ttl")}
}

func anySetWatches(t *rapid.T, lists int) SetWatchesRequest {
	s := SetWatchesRequest{RelativeZxid: anyLong.Draw(t, "zxid")}
	for i := range lists {
		s.Lists[i] = anyPaths(t, "paths")
	}
	return s
}
