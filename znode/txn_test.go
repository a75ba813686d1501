package znode

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"runtime"
	"testing"

	"github.com/quorate/quorate/wire"
)

// Records as Java servers write them (file-formats.md section 3), field by
// field. The text is what describeRecord says of them.
var txnRecords = []struct {
	typ  wire.Op
	hex  string
	text string
}{
	{wire.OpCreateSession, "00001388", "createSession 5000"},
	{wire.OpCloseSession, "00000002 00000002 2f61 00000004 2f622f63", `closeSession "/a" "/b/c"`},
	{wire.OpCloseSession, "00000000", "closeSession"},
	{wire.OpError, "ffffff9a", "error -102"},
	{
		wire.OpCreate,
		"00000002 2f61 00000001 78 00000001 0000001f 00000005 776f726c64 00000006 616e796f6e65 00 00000003",
		`create "/a" "x" acl=open cversion=3`,
	},
	{
		wire.OpCreate2,
		"00000002 2f61 ffffffff 00000001 0000001f 00000005 776f726c64 00000006 616e796f6e65 01 00000003",
		`create2 "/a" null acl=open cversion=3 ephemeral`,
	},
	{
		wire.OpCreateContainer, "00000002 2f61 00000000 00000001 00000001 00000002 6970 00000007 312e322e332e34 80000000",
		`createContainer "/a" "" acl=1:ip:1.2.3.4 cversion=-2147483648`,
	},
	{wire.OpCreateTTL, "00000002 2f61 00000000 00000000 00000001 0000000000000064", `createTTL "/a" "" acl= cversion=1 ttl=100`},
	{wire.OpDelete, "00000002 2f61", `delete "/a"`},
	{wire.OpDeleteContainer, "00000002 2f61", `deleteContainer "/a"`},
	{wire.OpSetData, "00000002 2f61 00000001 78 00000007", `setData "/a" "x" version=7`},
	{wire.OpReconfig, "00000002 2f61 ffffffff ffffffff", `reconfig "/a" null version=-1`},
	{wire.OpSetACL, "00000002 2f61 00000000 00000002", `setACL "/a" acl= version=2`},
	{wire.OpMulti, "00000000", "multi of 0"},
	{
		wire.OpMulti,
		"00000003 0000000d 0000000a 00000002 2f61 00000001 00000002 00000006 00000002 2f61 ffffffff 00000004 fffffffe",
		"multi of 3\n  check \"/a\" version=1\n  delete \"/a\"\n  error -2",
	},
}

func unhex(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(string(bytes.ReplaceAll([]byte(s), []byte(" "), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTxnRecords(t *testing.T) {
	for _, c := range txnRecords {
		body := unhex(t, c.hex)
		digest := TxnDigest{digestVersion, 0x1a0b404ff}.Append(nil)
		for _, rest := range [][]byte{nil, digest} {
			var txn Txn
			got, err := DecodeTxn(append(bytes.Clone(body), rest...), c.typ, &txn)
			if err != nil {
				t.Errorf("%v %s: %v", c.typ, c.hex, err)
				continue
			}
			if text := describeRecord(&txn); text != c.text {
				t.Errorf("%v %s\nis  %s\nnot %s", c.typ, c.hex, text, c.text)
			}
			if !bytes.Equal(got, rest) {
				t.Errorf("%v %s: %x is left, not %x", c.typ, c.hex, got, rest)
			}
			if d, ok := DecodeTxnDigest(got); ok != (rest != nil) || ok && d.Digest != 0x1a0b404ff {
				t.Errorf("%v: digest %v %v", c.typ, d, ok)
			}
			if again := encodeTxn(nil, &txn); !bytes.Equal(again, body) {
				t.Errorf("%v: encodes to\n%x, not\n%x", c.typ, again, body)
			}
		}
		// Cut anywhere, it is an error, but for what may be missing.
		for n := range body {
			var txn Txn
			_, err := DecodeTxn(body[:n], c.typ, &txn)
			v0 := c.typ == wire.OpCreate && n == len(body)-4
			// Twelve bytes that begin with a 2 are a digest behind no record.
			if noBody := c.typ == wire.OpCloseSession && (n == 0 || n == TxnDigestBytes && body[3] == 2); v0 || noBody {
				if err != nil {
					t.Errorf("%v cut to %d bytes: %v", c.typ, n, err)
				}
			} else if !errors.Is(err, ErrTxn) {
				t.Errorf("%v cut to %d bytes of %d: %v", c.typ, n, len(body), err)
			}
		}
	}
}

// encodeTxn encodes what was decoded.
func encodeTxn(dst []byte, t *Txn) []byte {
	switch t.Type {
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		return t.Create.Append(dst, t.Type)
	case wire.OpDelete, wire.OpDeleteContainer:
		return t.Delete.Append(dst)
	case wire.OpSetData, wire.OpReconfig:
		return t.SetData.Append(dst)
	case wire.OpSetACL:
		return t.SetACL.Append(dst)
	case wire.OpCheck:
		return t.Check.Append(dst)
	case wire.OpCreateSession:
		return t.CreateSession.Append(dst)
	case wire.OpCloseSession:
		var paths [][]byte
		t.CloseSession.Paths(func(p []byte) { paths = append(paths, p) })
		return AppendCloseSession(dst, paths)
	case wire.OpError:
		return t.Error.Append(dst)
	default:
		dst = wire.AppendInt(dst, t.Multi.Count)
		var sub Txn
		t.Multi.Each(&sub, func(int) bool {
			var record int
			dst, record = appendMultiOp(dst, sub.Type)
			dst = encodeTxn(dst, &sub)
			endMultiOp(dst, record)
			return true
		})
		return dst
	}
}

// The forms of old logs, of servers with closeSessionTxn off, and of failed
// multis that a Java leader sends again.
func TestTxnVariants(t *testing.T) {
	var txn Txn
	old := "00000002 2f61 00000001 78 00000000 01"
	if _, err := DecodeTxn(unhex(t, old), wire.OpCreate, &txn); err != nil || txn.Create.ParentCversion != -1 || !txn.Create.Ephemeral {
		t.Errorf("the form without parentCVersion: %v, cversion %d", err, txn.Create.ParentCversion)
	}
	if _, err := DecodeTxn(unhex(t, old), wire.OpCreate2, &txn); err == nil {
		t.Error("create2 has no form without parentCVersion")
	}
	digest := TxnDigest{digestVersion, math.MaxUint64}.Append(nil)
	rest, err := DecodeTxn(digest, wire.OpCloseSession, &txn)
	if err != nil || txn.CloseSession.Present || len(rest) != TxnDigestBytes {
		t.Errorf("closeSession of a digest alone: %v, present %v, %d bytes left", err, txn.CloseSession.Present, len(rest))
	}
	altered := unhex(t, "00000002 ffffffff 0000000a 00000000 00000002 2f61 ffffffff 00000008 fffffffe 00000002")
	if _, err = DecodeTxn(altered, wire.OpMulti, &txn); err != nil || !txn.Multi.Failed || txn.Multi.Count != 2 {
		t.Errorf("a failed multi sent again: %v, %+v", err, txn.Multi)
	}
	if _, ok := DecodeTxnDigest(TxnDigest{1, 5}.Append(nil)); ok {
		t.Error("a digest of version 1 was taken for one of ours")
	}
}

func TestTxnRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		typ wire.Op
		hex string
	}{
		"an unknown type":                {wire.Op(99), "00000000"},
		"a check by itself is a record":  {wire.OpCheck, "00000002"},
		"a huge multi":                   {wire.OpMulti, "7fffffff"},
		"a huge list of paths":           {wire.OpCloseSession, "7fffffff 00000000"},
		"a huge path":                    {wire.OpDelete, "7fffffff 2f61"},
		"a negative length":              {wire.OpDelete, "fffffffe"},
		"a multi in a multi":             {wire.OpMulti, "00000001 0000000e 00000004 00000000"},
		"a session in a multi":           {wire.OpMulti, "00000001 fffffff6 00000004 00000000"},
		"an operation that does not end": {wire.OpMulti, "00000001 00000002 00000002 0000"},
		"an operation without bytes":     {wire.OpMulti, "00000001 00000002 ffffffff"},
	} {
		var txn Txn
		if _, err := DecodeTxn(unhex(t, c.hex), c.typ, &txn); !errors.Is(err, ErrTxn) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The annotated createSession of file-formats.md section 2.
func TestTxnHeader(t *testing.T) {
	entry := unhex(t, "0100001241680000 00000000 0000000200000001 000001a201e3fe38 fffffff6 00001388 00000002 00000001a0b404ff")
	r := wire.NewReader(entry)
	var h TxnHeader
	h.Decode(&r)
	want := TxnHeader{ClientID: 0x0100001241680000, Zxid: 0x200000001, Time: 0x1a201e3fe38, Type: wire.OpCreateSession}
	if h != want || r.Offset() != TxnHeaderBytes {
		t.Errorf("header %+v after %d bytes", h, r.Offset())
	}
	var txn Txn
	rest, err := DecodeTxn(r.Remaining(), h.Type, &txn)
	d, ok := DecodeTxnDigest(rest)
	if err != nil || txn.CreateSession.TimeOut != 5000 || !ok || d.Digest != 0x1a0b404ff {
		t.Errorf("%v %+v %+v", err, txn.CreateSession, d)
	}
	if got := d.Append(txn.CreateSession.Append(h.Append(nil))); !bytes.Equal(got, entry) {
		t.Errorf("encodes to %x", got)
	}
}

func TestTxnDecodeAllocs(t *testing.T) {
	var txn, sub Txn
	for _, c := range txnRecords {
		body := unhex(t, c.hex)
		n := testing.AllocsPerRun(100, func() {
			if _, err := DecodeTxn(body, c.typ, &txn); err != nil {
				t.Fatal(err)
			}
			if c.typ == wire.OpMulti {
				txn.Multi.Each(&sub, func(int) bool { return true })
			}
		})
		if n != 0 {
			t.Errorf("%v: %v allocations", c.typ, n)
		}
	}
}

// FuzzDecodeTxn: whatever the bytes are, decoding neither panics nor allocates
// beyond them, and what was understood encodes to something that is understood
// alike.
func FuzzDecodeTxn(f *testing.F) {
	for _, c := range txnRecords {
		f.Add(int32(c.typ), unhex(f, c.hex))
	}
	f.Add(int32(wire.OpMulti), unhex(f, "00000002 ffffffff 0000000a 00000000 00000002 2f61 ffffffff 00000008 fffffffe 00000002"))
	f.Fuzz(func(t *testing.T, typ int32, body []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var txn Txn
		rest, err := DecodeTxn(body, wire.Op(typ), &txn)
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > uint64(64*len(body)+1<<16) {
			t.Fatalf("%d bytes allocated for %d", grown, len(body))
		}
		if err != nil {
			if !errors.Is(err, ErrTxn) {
				t.Fatal(err)
			}
			return
		}
		text := describeRecord(&txn)
		again := encodeTxn(nil, &txn)
		var txn2 Txn
		if _, err := DecodeTxn(append(again, rest...), wire.Op(typ), &txn2); err != nil {
			t.Fatalf("%s: encoded again it does not decode: %v", text, err)
		}
		if text2 := describeRecord(&txn2); text2 != text && txn.Type != wire.OpCloseSession {
			t.Fatalf("%s\nbecame %s", text, text2)
		}
	})
}

func TestSequence(t *testing.T) {
	for _, n := range []int32{0, 1, 9, 10, 1234567890, math.MaxInt32, -1, math.MinInt32} {
		if got, want := string(appendSequence([]byte("/a"), n)), fmt.Sprintf("/a%010d", n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
