package znode

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/quorate/quorate/wire"
)

// TestPreparePipelined gives random requests to a Preparer whose tree lags
// behind by a random number of transactions, and to one whose tree never does.
// Both must produce the same bytes. Now and then the first one's backend
// fails, which must leave no trace.
func TestPreparePipelined(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := Rules{Digest: true, Kinds: OwnerKinds{Extended: rapid.Bool().Draw(t, "extended")}}
		lagging, prompt := newModelTree(), newModelTree()
		lagging.kinds, prompt.kinds = rules.Kinds, rules.Kinds
		a, b := NewPreparer(lagging, rules), NewPreparer(prompt, rules)
		var waiting [][]byte
		zxid, applied := int64(0), int64(0)
		for range rapid.IntRange(1, 60).Draw(t, "requests") {
			req := drawRequest(t)
			zxid++
			req.Zxid, req.Time = zxid, 1000+zxid
			prepare := func() ([]byte, bool, wire.Code, error) { return a.Prepare(nil, req) }
			if rapid.IntRange(0, 9).Draw(t, "disk") == 0 {
				prepare = func() ([]byte, bool, wire.Code, error) { return prepareFailing(t, a, lagging, req) }
			}
			got, ok, code, err := prepare()
			want, wantOK, wantCode, wantErr := b.Prepare(nil, req)
			if err != nil || wantErr != nil {
				t.Fatal(err, wantErr)
			}
			if !bytes.Equal(got, want) || ok != wantOK || code != wantCode {
				t.Fatalf("%v\nwith %d transactions pending: %v %v %s\nwith none: %v %v %s",
					req, len(waiting), ok, code, describeTxn(got), wantOK, wantCode, describeTxn(want))
			}
			if !ok {
				zxid--
				continue
			}
			prompt.apply(t, want)
			b.Applied(zxid)
			waiting = append(waiting, got)
			for n := rapid.IntRange(0, len(waiting)).Draw(t, "apply"); n > 0; n-- {
				lagging.apply(t, waiting[0])
				waiting, applied = waiting[1:], applied+1
			}
			// The tree may be ahead of what the Preparer has been told.
			a.Applied(max(0, applied-rapid.Int64Range(0, 2).Draw(t, "untold")))
		}
		a.Applied(zxid)
		if a.Pending() != 0 || len(a.pending.nodes) != 0 || a.pending.born.len() != 0 {
			t.Fatalf("%d changes pending at the end", a.Pending())
		}
	})
}

// prepareFailing lets the backend fail at some point, if the request gets that
// far, and then repeats the request with a sound one.
func prepareFailing(t *rapid.T, p *Preparer, m *modelTree, req *Request) ([]byte, bool, wire.Code, error) {
	m.lookups, m.broken = rapid.IntRange(0, 6).Draw(t, "lookups"), errBroken
	before := p.Pending()
	out, ok, code, err := p.Prepare([]byte("x"), req)
	m.broken = nil
	if err == nil {
		return bytes.TrimPrefix(out, []byte("x")), ok, code, nil
	}
	if !errors.Is(err, errBroken) || ok || string(out) != "x" || p.Pending() != before {
		t.Fatalf("a failed lookup gives %v %v %q, %d pending after %d", err, ok, out, p.Pending(), before)
	}
	return p.Prepare(nil, req)
}

var (
	drawPaths = rapid.SampledFrom([]string{
		"/a", "/b", "/a/x", "/a/y", "/a/x/k", "/b/x", "/", "/a/", "/a/x/", "//", "", "x", "/zookeeper", "/zookeeper/q", "/zookeeper/config",
	})
	drawLists = rapid.SampledFrom([]string{
		"open", "open", "open", "open", "1:world:anyone", "31:digest:u:h", "31:auth:", "null", "15:ip:10.0.0.1,16:world:anyone",
	})
	drawIDs = rapid.SampledFrom([][]wire.ID{
		nil, {{Scheme: "ip", ID: "10.0.0.1"}}, {{Scheme: "digest", ID: "u:h"}}, {{Scheme: "super"}},
	})
	drawSessionErr = rapid.SampledFrom([]wire.Code{0, 0, 0, 0, 0, 0, wire.ErrSessionExpired, wire.ErrEphemeralOnLocalSession})
	drawVersion    = rapid.SampledFrom([]int32{-1, -1, -1, 0, 0, 1, 2})
)

func drawRequest(t *rapid.T) *Request {
	req := &Request{
		Session: rapid.Int64Range(1, 3).Draw(t, "session"), Cxid: 1,
		IDs: drawIDs.Draw(t, "ids"), SessionErr: drawSessionErr.Draw(t, "sessionErr"),
	}
	switch rapid.IntRange(0, 11).Draw(t, "kind") {
	case 0:
		req.Op = wire.OpCloseSession
	case 1:
		req.Op, req.Internal = wire.OpDeleteContainer, rapid.Bool().Draw(t, "internal")
		req.Body = wire.AppendString(nil, drawPaths.Draw(t, "path"))
	case 2, 3, 4:
		req.Op = wire.OpMulti
		for range rapid.IntRange(0, 5).Draw(t, "operations") {
			op, body := drawOperation(t)
			req.Body = append(wire.MultiHeader{Op: op, Err: -1}.Append(req.Body), body...)
		}
		req.Body = wire.MultiEnd.Append(req.Body)
	case 5:
		req.Op = wire.OpSetACL
		s := wire.SetACLRequest{Path: []byte(drawPaths.Draw(t, "path")), ACL: drawList(t), Version: drawVersion.Draw(t, "version")}
		req.Body = s.Append(nil)
	default:
		req.Op, req.Body = drawOperation(t)
	}
	return req
}

func drawList(t *rapid.T) wire.ACLVector {
	return (&script{}).acl(drawLists.Draw(t, "acl"))
}

func drawOperation(t *rapid.T) (wire.Op, []byte) {
	path, data := []byte(drawPaths.Draw(t, "path")), []byte(rapid.SampledFrom([]string{"", "x", "yy"}).Draw(t, "data"))
	switch rapid.IntRange(0, 9).Draw(t, "operation") {
	case 0, 1:
		return wire.OpDelete, wire.PathVersion{Path: path, Version: drawVersion.Draw(t, "version")}.Append(nil)
	case 2:
		return wire.OpCheck, wire.PathVersion{Path: path, Version: drawVersion.Draw(t, "version")}.Append(nil)
	case 3, 4:
		s := wire.SetDataRequest{Path: path, Data: data, Version: drawVersion.Draw(t, "version")}
		return wire.OpSetData, s.Append(nil)
	default:
		op := rapid.SampledFrom([]wire.Op{wire.OpCreate, wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL}).Draw(t, "op")
		c := wire.CreateRequest{Path: path, Data: data, ACL: drawList(t), TTL: 3}
		c.Flags = rapid.SampledFrom([]int32{0, 0, 1, 1, 2, 3, 4, 5, 6, 7}).Draw(t, "flags")
		return op, c.Append(nil, op)
	}
}
