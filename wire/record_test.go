package wire

import (
	"bytes"
	"testing"
)

var (
	somePath = []byte("/a")
	someData = []byte("xyz")
)

// sampleRequests has one body for each operation. sampleBytes says how they
// look on the wire.
var sampleRequests = map[Op]record{
	OpCreate:          &createBody{CreateRequest{somePath, someData, OpenACL, FlagEphemeralSequential, -1}},
	OpCreate2:         &createBody{CreateRequest{somePath, []byte{}, OpenACL, FlagPersistent, -1}},
	OpCreateContainer: &createBody{CreateRequest{somePath, nil, OpenACL, FlagContainer, -1}},
	OpCreateTTL:       &createTTLBody{CreateRequest{somePath, someData, OpenACL, FlagPersistentTTL, 5000}},
	OpDelete:          &pathVersion{PathVersion{somePath, -1}},
	OpDeleteContainer: &buffer{somePath},
	OpCheck:           &pathVersion{PathVersion{somePath, 7}},
	OpExists:          &pathWatch{PathWatch{somePath, true}},
	OpGetData:         &pathWatch{PathWatch{somePath, false}},
	OpGetChildren:     &pathWatch{PathWatch{somePath, true}},
	OpGetChildren2:    &pathWatch{PathWatch{somePath, true}},
	OpSetData:         &setData{SetDataRequest{somePath, someData, 3}},
	OpGetACL:          &buffer{somePath},
	OpSetACL:          &setACL{SetACLRequest{somePath, OpenACL, -1}},
	OpSync:            &buffer{somePath},
	OpPing:            &nothing{},
	OpMulti: &multi{[]multiOp{
		{MultiHeader{Op: OpCheck, Err: -1}, &pathVersion{PathVersion{somePath, 7}}},
		{MultiHeader{Op: OpSetData, Err: -1}, &setData{SetDataRequest{somePath, nil, -1}}},
		{MultiHeader{Op: OpCreate2, Err: -1}, &createBody{CreateRequest{[]byte("/a/b"), nil, OpenACL, 0, -1}}},
	}},
	OpMultiRead: &multi{[]multiOp{
		{MultiHeader{Op: OpGetData, Err: -1}, &pathWatch{PathWatch{somePath, false}}},
		{MultiHeader{Op: OpGetChildren, Err: -1}, &pathWatch{PathWatch{somePath, false}}},
	}},
	OpReconfig:      &reconfig{ReconfigRequest{[]byte("server.4=h:1:2;3"), nil, nil, -1}},
	OpCheckWatches:  &pathType{PathType{somePath, int32(WatcherAny)}},
	OpRemoveWatches: &pathType{PathType{somePath, int32(WatcherData)}},
	OpAddWatch:      &pathType{PathType{somePath, AddWatchPersistentRecursive}},
	OpAuth:          &auth{AuthPacket{0, []byte("digest"), []byte("bob:pw")}},
	OpSASL:          &buffer{[]byte{}},
	OpSetWatches: &setWatches{SetWatchesRequest{RelativeZxid: 9, Lists: [5][][]byte{
		{somePath}, nil, {somePath, []byte("/b")},
	}}},
	OpSetWatches2: &setWatches2{SetWatchesRequest{RelativeZxid: 9, Lists: [5][][]byte{
		nil, {somePath}, nil, {[]byte("/p")}, {[]byte("/r")},
	}}},
	OpGetEphemerals:        &buffer{[]byte("/")},
	OpGetAllChildrenNumber: &buffer{[]byte("/")},
	OpWhoAmI:               &nothing{},
	OpCreateSession:        &number{30_000},
	OpCloseSession:         &nothing{},
}

const (
	pathBytes = "\x00\x00\x00\x02/a"
	dataBytes = "\x00\x00\x00\x03xyz"
	nullBytes = "\xff\xff\xff\xff"
	openBytes = "\x00\x00\x00\x01" + "\x00\x00\x00\x1f" + "\x00\x00\x00\x05world" + "\x00\x00\x00\x06anyone"
)

// sampleBytes is written down from the field lists of zookeeper.jute, field by
// field.
var sampleBytes = map[Op]string{
	OpCreate:          pathBytes + dataBytes + openBytes + "\x00\x00\x00\x03",
	OpCreate2:         pathBytes + "\x00\x00\x00\x00" + openBytes + "\x00\x00\x00\x00",
	OpCreateContainer: pathBytes + nullBytes + openBytes + "\x00\x00\x00\x04",
	OpCreateTTL:       pathBytes + dataBytes + openBytes + "\x00\x00\x00\x05" + "\x00\x00\x00\x00\x00\x00\x13\x88",
	OpDelete:          pathBytes + "\xff\xff\xff\xff",
	OpDeleteContainer: pathBytes,
	OpCheck:           pathBytes + "\x00\x00\x00\x07",
	OpExists:          pathBytes + "\x01",
	OpGetData:         pathBytes + "\x00",
	OpGetChildren:     pathBytes + "\x01",
	OpGetChildren2:    pathBytes + "\x01",
	OpSetData:         pathBytes + dataBytes + "\x00\x00\x00\x03",
	OpGetACL:          pathBytes,
	OpSetACL:          pathBytes + openBytes + "\xff\xff\xff\xff",
	OpSync:            pathBytes,
	OpPing:            "",
	OpMulti: "\x00\x00\x00\x0d\x00\xff\xff\xff\xff" + pathBytes + "\x00\x00\x00\x07" +
		"\x00\x00\x00\x05\x00\xff\xff\xff\xff" + pathBytes + nullBytes + "\xff\xff\xff\xff" +
		"\x00\x00\x00\x0f\x00\xff\xff\xff\xff" + "\x00\x00\x00\x04/a/b" + nullBytes + openBytes + "\x00\x00\x00\x00" +
		"\xff\xff\xff\xff\x01\xff\xff\xff\xff",
	OpMultiRead: "\x00\x00\x00\x04\x00\xff\xff\xff\xff" + pathBytes + "\x00" +
		"\x00\x00\x00\x08\x00\xff\xff\xff\xff" + pathBytes + "\x00" +
		"\xff\xff\xff\xff\x01\xff\xff\xff\xff",
	OpReconfig:             "\x00\x00\x00\x10server.4=h:1:2;3" + nullBytes + nullBytes + "\xff\xff\xff\xff\xff\xff\xff\xff",
	OpCheckWatches:         pathBytes + "\x00\x00\x00\x03",
	OpRemoveWatches:        pathBytes + "\x00\x00\x00\x02",
	OpAddWatch:             pathBytes + "\x00\x00\x00\x01",
	OpAuth:                 "\x00\x00\x00\x00" + "\x00\x00\x00\x06digest" + "\x00\x00\x00\x06bob:pw",
	OpSASL:                 "\x00\x00\x00\x00",
	OpSetWatches:           "\x00\x00\x00\x00\x00\x00\x00\x09" + "\x00\x00\x00\x01" + pathBytes + "\x00\x00\x00\x00" + "\x00\x00\x00\x02" + pathBytes + "\x00\x00\x00\x02/b",
	OpSetWatches2:          "\x00\x00\x00\x00\x00\x00\x00\x09" + "\x00\x00\x00\x00" + "\x00\x00\x00\x01" + pathBytes + "\x00\x00\x00\x00" + "\x00\x00\x00\x01\x00\x00\x00\x02/p" + "\x00\x00\x00\x01\x00\x00\x00\x02/r",
	OpGetEphemerals:        "\x00\x00\x00\x01/",
	OpGetAllChildrenNumber: "\x00\x00\x00\x01/",
	OpWhoAmI:               "",
	OpCreateSession:        "\x00\x00\x75\x30",
	OpCloseSession:         "",
}

func TestRequestBytes(t *testing.T) {
	for op := range requestBodies {
		want, ok := sampleBytes[op]
		if !ok || sampleRequests[op] == nil {
			t.Errorf("%v has no sample", op)
			continue
		}
		if got := sampleRequests[op].append([]byte("before")); string(got) != "before"+want {
			t.Errorf("%v: % x, want % x", op, got[6:], want)
		}
		v, r := requestBodies[op](), NewReader([]byte(want))
		if v.decode(&r); r.Err() != nil || len(r.Remaining()) != 0 {
			t.Errorf("%v: %d bytes left, %v", op, len(r.Remaining()), r.Err())
		}
		if err := stable(v, requestBodies[op](), 0); err != nil {
			t.Errorf("%v: %v", op, err)
		}
	}
}

func TestConnectBytes(t *testing.T) {
	passwd := bytes.Repeat([]byte{0xaa}, PasswdBytes)
	request := ConnectRequest{LastZxidSeen: 0x100000002, TimeOut: 30_000, SessionID: 0x0101, Passwd: passwd}
	short := "\x00\x00\x00\x00" + "\x00\x00\x00\x01\x00\x00\x00\x02" + "\x00\x00\x75\x30" +
		"\x00\x00\x00\x00\x00\x00\x01\x01" + "\x00\x00\x00\x10" + string(passwd)
	response := ConnectResponse{TimeOut: 30_000, SessionID: 0x0101, Passwd: passwd}
	answer := "\x00\x00\x00\x00" + "\x00\x00\x75\x30" + "\x00\x00\x00\x00\x00\x00\x01\x01" + "\x00\x00\x00\x10" + string(passwd)
	for _, c := range []struct {
		has, ro         bool
		suffix          string
		request, answer int
	}{
		{false, false, "", 44, 36},
		{true, false, "\x00", 45, 37},
		{true, true, "\x01", 45, 37},
	} {
		request.HasReadOnly, request.ReadOnly = c.has, c.ro
		response.HasReadOnly, response.ReadOnly = c.has, c.ro
		if got := request.Append(nil); string(got) != short+c.suffix || len(got) != c.request {
			t.Errorf("request of %d bytes: % x", len(got), got)
		}
		if got := response.Append(nil); string(got) != answer+c.suffix || len(got) != c.answer {
			t.Errorf("response of %d bytes: % x", len(got), got)
		}
		var q ConnectRequest
		r := NewReader([]byte(short + c.suffix))
		if q.Decode(&r); r.Err() != nil || q.HasReadOnly != c.has || q.ReadOnly != c.ro {
			t.Errorf("% x reads as %+v, %v", c.suffix, q, r.Err())
		}
	}
}

func TestReplyBytes(t *testing.T) {
	header := ReplyHeader{Xid: -8, Zxid: 0x100000002, Err: ErrNoNode}.Append(nil)
	if want := "\xff\xff\xff\xf8" + "\x00\x00\x00\x01\x00\x00\x00\x02" + "\xff\xff\xff\x9b"; string(header) != want {
		t.Errorf("reply header % x, want % x", header, want)
	}
	stat := (&Stat{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}).Append(nil)
	want := ""
	for i, size := range []int{8, 8, 8, 8, 4, 4, 4, 8, 4, 4, 8} {
		want += string(make([]byte, size-1)) + string(rune(i+1))
	}
	if string(stat) != want {
		t.Errorf("Stat % x, want % x", stat, want)
	}
	event := AppendNotification([]byte("before"), -1, EventNodeChildrenChanged, "/a")
	if want := "before" + "\x00\x00\x00\x1e" + "\xff\xff\xff\xff" + "\xff\xff\xff\xff\xff\xff\xff\xff" + "\x00\x00\x00\x00" +
		"\x00\x00\x00\x04" + "\x00\x00\x00\x03" + pathBytes; string(event) != want {
		t.Errorf("notification % x, want % x", event, want)
	}
}

// TestACLVector: null, empty and odd negative counts are told apart as far as
// the rules for ACLs need it, and entries may hold null strings.
func TestACLVector(t *testing.T) {
	for _, c := range []struct {
		name, bytes string
		null        bool
		entries     int
	}{
		{"null", nullBytes, true, 0},
		{"empty", "\x00\x00\x00\x00", false, 0},
		{"negative", "\xff\xff\xff\xfb", false, 0},
		{"open", openBytes, false, 1},
		{"null strings", "\x00\x00\x00\x01" + "\x00\x00\x00\x01" + nullBytes + nullBytes, false, 1},
	} {
		r := NewReader([]byte(c.bytes + "rest"))
		v := r.ACLVector()
		if r.Err() != nil || string(v) != c.bytes || string(r.Remaining()) != "rest" {
			t.Errorf("%s: % x with %q remaining, %v", c.name, v, r.Remaining(), r.Err())
		}
		entries, err := v.Decode()
		if err != nil || len(entries) != c.entries || v.IsNull() != c.null {
			t.Errorf("%s: %v, null %v, %v", c.name, entries, v.IsNull(), err)
		}
		if c.name == "null strings" && (entries[0].Scheme != nil || entries[0].ID != nil) {
			t.Errorf("null strings read as %q and %q", entries[0].Scheme, entries[0].ID)
		}
	}
	if !bytes.Equal(OpenACL, []byte(openBytes)) {
		t.Errorf("OpenACL is % x", OpenACL)
	}
}

// TestNilACLVector: nil is null here as everywhere in the package. It used to be
// left out of the record, which made the flags the count.
func TestNilACLVector(t *testing.T) {
	create := (&CreateRequest{Path: somePath, Flags: 1}).Append(nil, OpCreate)
	if want := pathBytes + nullBytes + nullBytes + "\x00\x00\x00\x01"; string(create) != want {
		t.Errorf("create % x, want % x", create, want)
	}
	set := (&SetACLRequest{Path: somePath, Version: 2}).Append(nil)
	if want := pathBytes + nullBytes + "\x00\x00\x00\x02"; string(set) != want {
		t.Errorf("setACL % x, want % x", set, want)
	}
	entries, err := ACLVector(nil).Decode()
	if err != nil || entries != nil || !ACLVector(nil).IsNull() {
		t.Errorf("nil decodes to %v, %v, null is %v", entries, err, ACLVector(nil).IsNull())
	}
}
