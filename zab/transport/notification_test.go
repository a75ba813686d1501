package transport

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/quorate/quorate/zab"
)

const configText = "server.1=127.0.0.1:2888:3888:participant\nserver.2=127.0.0.1:2889:3889:participant\nversion=0"

const goldenNotification = "00000063 00000000 0000000000000002 0000000100000003 0000000000000003 0000000000000001 00000002 00000037"

func goldenVote() zab.Message {
	text := "server.1=127.0.0.1:2888:3888:participant\nversion=0" + strings.Repeat("0", 5)
	return zab.Message{
		Type: zab.Notification, Vote: zab.Vote{Leader: 2, Zxid: 0x100000003, PeerEpoch: 1}, Round: 3, State: zab.Looking,
		Format: 2, Data: []byte(text),
	}
}

func TestGoldenNotification(t *testing.T) {
	m := goldenVote()
	want := append(unhex(t, goldenNotification), m.Data...)
	if got := appendNotification(nil, &m, m.Data); !bytes.Equal(got, want) {
		t.Fatalf("encoded\n%x, want\n%x", got, want)
	}
	frame, err := readFrame(bytes.NewReader(want))
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseNotification(frame)
	if err != nil || !reflect.DeepEqual(got, m) {
		t.Errorf("decoded\n%+v, want\n%+v: %v", got, m, err)
	}
}

func TestNotificationsOfAllReleases(t *testing.T) {
	m := goldenVote()
	m.State = zab.Leading
	full := appendNotification(nil, &m, []byte("version=100000007"))[4:]
	old := func(n int, version byte) []byte {
		b := bytes.Clone(full[:n])
		if n >= notification40 {
			b[39] = version
		}
		return b
	}
	base := zab.Message{Type: zab.Notification, Vote: m.Vote, Round: 3, State: zab.Leading}
	modern := base
	modern.Format, modern.Data, modern.ConfigVersion = 2, []byte("version=100000007"), 0x100000007
	version1 := base
	version1.Format = 1
	early := base
	early.Vote.PeerEpoch = zab.Epoch(base.Vote.Zxid)
	for _, c := range []struct {
		name string
		b    []byte
		want zab.Message
	}{
		{"44+n", full, modern},
		{"40: the version is not read", old(40, 1), base},
		{"40 of version 9", old(40, 9), base},
		{"42 of version 1", old(42, 1), version1},
		{"28", old(28, 0), early},
	} {
		if got, err := parseNotification(c.b); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v\n%+v, want\n%+v", c.name, err, got, c.want)
		}
	}
	long := bytes.Clone(full)
	long[43]++
	negative := bytes.Clone(full)
	negative[40] = 0xff
	state := bytes.Clone(full)
	state[3] = 4
	for _, b := range [][]byte{{}, full[:27], full[:29], full[:36], full[:39], full[:41], full[:43], long, negative, state} {
		if _, err := parseNotification(b); !errors.Is(err, errNotification) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
	}
}

func TestFrameBounds(t *testing.T) {
	for _, head := range []string{"00000000", "ffffffff", "80000000", "7fffffff", "00080001"} {
		if _, err := readFrame(bytes.NewReader(unhex(t, head+"00000000"))); !errors.Is(err, errFrame) {
			t.Errorf("length %s: %v", head, err)
		}
	}
	for _, n := range []int{1, 4096, 4097, frameBytesMax} {
		b := append(appendInt(nil, int32(n)), repeat("x", n)...)
		if frame, err := readFrame(bytes.NewReader(b)); err != nil || len(frame) != n {
			t.Errorf("frame of %d: %d, %v", n, len(frame), err)
		}
		if _, err := readFrame(bytes.NewReader(b[:len(b)-1])); err == nil {
			t.Errorf("frame of %d with a byte missing is taken", n)
		}
	}
	// A length that is announced and does not come costs what came.
	head := appendInt(nil, frameBytesMax)
	if n := testing.AllocsPerRun(10, func() { _, _ = readFrame(bytes.NewReader(head)) }); n > 8 {
		t.Errorf("%v allocations for nothing", n)
	}
}

func TestConfigVersion(t *testing.T) {
	for text, want := range map[string]int64{
		"":                                    0,
		"version=0":                           0,
		configText:                            0,
		"server.1=a:1:2\nversion=10000000a":   0x10000000a,
		"version=10000000a\nserver.1=a:1:2\n": 0x10000000a,
		"server.1=a:1:2\r\nversion = a\r\n":   10,
		"version=1\nversion=2":                2,
		"version=zebra":                       0,
		"version=fffffffffffffffff":           0,
		"version":                             0,
		"xversion=3\n#version=4":              0,
		"\xff\x00\nversion=5":                 5,
	} {
		if got := configVersion([]byte(text)); got != want {
			t.Errorf("%q: %x, want %x", text, got, want)
		}
	}
}

func TestCheckConfigText(t *testing.T) {
	for _, good := range []string{
		configText,
		"server.1=a:1:2:participant;0.0.0.0:2181\nversion=100000000",
		"server.1=a:1:2:participant;2181\nversion=0",
		"server.1=a:1:2\nserver.2=[::1]:1:2:observer;[::]:2181\nversion=0",
		"server.1=a:1:2|[fe80::1]:3:4:participant\nserver.-5=b:1:2:observer\nversion=0",
		"server.1=a:1:2:participant\nserver.2=b:1:2:participant\ngroup.1=1:2\nweight.1=1\nweight.2=0\nversion=0",
	} {
		if err := CheckConfigText([]byte(good)); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{
		"", "\n", "version=0", configText + "\n", "server.1=a:1:2:participant",
		"server.one=a:1:2:participant\nversion=0",
		"server.=a:1:2:participant\nversion=0",
		"server=a:1:2:participant\nversion=0",
		"server.1=a:1:65536:participant\nversion=0",
		"server.1=a:-1:2:participant\nversion=0",
		"server.1=a:1:participant\nversion=0",
		"server.1=:1:2:participant\nversion=0",
		"server.1=::1:1:2:participant\nversion=0",
		"server.1=a:1:2:leader\nversion=0",
		"server.1=a:1:2:participant;99999\nversion=0",
		"server.1=a:1:2:participant|\nversion=0",
		"server.1=a:1:2:observer\nversion=0",
		"server.1=a:1:2:participant\nversion=zebra",
		"server.1=a:1:2:participant\nversion=",
		"server.1=a:1:2:participant\nweight.1=heavy\nversion=0",
		"server.1=a:1:2:participant\ngroup.1=1:\nversion=0",
		"server.1=a:1:2:participant\ntickTime=2000\nversion=0",
		"server.1=a:1:2:participant\\\nversion=0",
		"server.1=a:1:2:participant\nversion=0" + strings.Repeat("0", frameBytesMax),
	} {
		if err := CheckConfigText([]byte(bad)); !errors.Is(err, ErrConfigText) {
			t.Errorf("%.60q: %v", bad, err)
		}
	}
}

func TestGoldenInitialMessage(t *testing.T) {
	want := unhex(t, "ffffffffffff0000 0000000000000009 0000000f 3132372e302e302e313a3333383838")
	if got := encodeInitial(9, "127.0.0.1:33888"); !bytes.Equal(got, want) {
		t.Fatalf("%x, want %x", got, want)
	}
	got, err := readInitial(iotestOneByte{bytes.NewReader(want)})
	if err != nil || !reflect.DeepEqual(got, initial{9, []string{"127.0.0.1:33888"}}) {
		t.Errorf("%+v, %v", got, err)
	}
}

// iotestOneByte gives one byte at a time, as a network may.
type iotestOneByte struct{ r io.Reader }

func (r iotestOneByte) Read(b []byte) (int, error) { return r.r.Read(b[:min(1, len(b))]) }

func TestInitialMessagesOfAllReleases(t *testing.T) {
	// Of server 9 with several addresses, as Java writes it: version -65535.
	several := func(addr string) []byte {
		b := appendInt(unhex(t, "ffffffffffff0001 0000000000000009"), int32(len(addr)))
		return append(b, addr...)
	}
	if got, want := encodeInitial(9, "a:1|[::1]:2"), several("a:1|[::1]:2"); !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
	for _, c := range []struct {
		name string
		b    []byte
		want initial
	}{
		{"3.4", appendLong(nil, 7), initial{sid: 7}},
		{"several addresses", several("a:1|[::1]:2"), initial{9, []string{"a:1", "[::1]:2"}}},
		{"wildcards", several("0.0.0.0:1|[::]:2|a:3"), initial{9, []string{"a:3"}}},
		{"a wildcard alone", encodeInitial(9, "0.0.0.0:1"), initial{sid: 9}},
		{"no port", encodeInitial(9, "host"), initial{sid: 9}},
		{"a port out of range", encodeInitial(9, "host:65536"), initial{sid: 9}},
		{"too many", several(strings.TrimSuffix(strings.Repeat("a:1|", 400), "|")), initial{9, strings.Split(strings.TrimSuffix(strings.Repeat("a:1|", addressesMax), "|"), "|")}},
	} {
		if got, err := readInitial(bytes.NewReader(c.b)); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
	for _, b := range [][]byte{
		appendLong(nil, -1), appendLong(nil, -65537),
		encodeInitial(9, ""), encodeInitial(9, strings.Repeat("x", initialAddressMax+1)),
		append(encodeInitial(9, "")[:16], 0x7f, 0xff, 0xff, 0xff),
	} {
		if m, err := readInitial(bytes.NewReader(b)); !errors.Is(err, errInitial) {
			t.Errorf("%x: %+v, %v", b, m, err)
		}
	}
}

// ZOOKEEPER-4787: the address is UTF-8, and its length counts bytes.
func TestInitialMessageIsUTF8(t *testing.T) {
	const addr = "zürich.example:3888"
	want := append(unhex(t, "ffffffffffff0000 0000000000000009 00000014"), "z\xc3\xbcrich.example:3888"...)
	got := encodeInitial(9, addr)
	if !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
	if m, err := readInitial(bytes.NewReader(got)); err != nil || !reflect.DeepEqual(m, initial{9, []string{addr}}) {
		t.Errorf("%+v, %v", m, err)
	}
	// A Java server in another charset: what it says is no address that can be found, and nothing worse.
	if m, err := readInitial(bytes.NewReader(encodeInitial(9, "z\xfcrich.example:3888"))); err != nil || m.sid != 9 {
		t.Errorf("%+v, %v", m, err)
	}
}
