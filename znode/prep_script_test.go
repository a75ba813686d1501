package znode

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/quorate/quorate/wire"
)

// TestPrepareScripts runs testdata/prep/*.txt. A block "run" holds requests,
// one per line, and expects what each becomes: "zxid: record", or the code of
// one that takes no zxid. Each block is run twice, once with everything
// pipelined and once applying every transaction before the next request: the
// bytes have to be the same, unless the block says "run pipelined". A block
// "set" changes the rules or puts things into the tree that requests cannot.
//
//	create PATH [DATA] [op=create2|createContainer|createTTL] [flags=N] [acl=ACL] [ttl=MS]
//	delete PATH [v=N]         set PATH DATA [v=N]      setacl PATH acl=ACL [v=N]
//	reap PATH [internal]      check PATH [v=N]         open TIMEOUT
//	close                     reconfig [N]             raw OP HEX
//	multi, followed by its operations, each after "+ "
//	session N [CODE]          ids ID...                time MS
//
// PATH and DATA may be Go strings, or null. An ACL is open, null, none, or
// perms:scheme:id,... in which ~ is a null string.
func TestPrepareScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/prep", func(t *testing.T, file string) {
		s := newScript(t)
		datadriven.RunTest(t, file, func(t *testing.T, d *datadriven.TestData) string {
			s.t = t
			switch d.Cmd {
			case "set":
				return s.set(d)
			case "run":
				return s.runBlock(d)
			default:
				d.Fatalf(t, "no such command")
				return ""
			}
		})
	})
}

type script struct {
	t        *testing.T
	rules    Rules
	tree     *modelTree // of everything before this block
	zxid     int64
	now      int64
	session  int64
	sessCode wire.Code
	ids      []wire.ID
}

func newScript(t *testing.T) *script {
	return &script{t: t, tree: newModelTree(), session: 1, now: 1000, rules: Rules{Digest: true}}
}

func (s *script) set(d *datadriven.TestData) string {
	for _, line := range strings.Split(d.Input, "\n") {
		f := fields(line)
		switch f[0] {
		case "extended":
			s.rules.Kinds.Extended = true
			s.tree.kinds.Extended = true
		case "enforcequota":
			s.rules.EnforceQuota = true
		case "reconfig":
			s.rules.ReconfigEnabled = true
		case "quorum":
			s.rules.Reconfig = func(req *wire.ReconfigRequest, zxid int64) ([]byte, wire.Code) {
				return fmt.Appendf(nil, "version=%x", zxid), wire.Code(req.CurConfigID)
			}
		case "auth":
			s.auth(f[1:])
		case "quota":
			lim, err := ParseQuota([]byte(f[2]))
			if err != nil {
				s.t.Fatal(err)
			}
			s.tree.quotas[f[1]] = lim
		case "cversion":
			s.tree.nodes[f[1]].Stat.Cversion = int32(s.number(f[2]))
		case "version":
			s.tree.nodes[f[1]].Stat.Version = int32(s.number(f[2]))
		default:
			d.Fatalf(s.t, "no such setting: %q", line)
		}
	}
	return ""
}

func (s *script) auth(f []string) {
	var c AuthConfig
	for _, o := range f {
		switch k, v, _ := strings.Cut(o, "="); k {
		case "skipacl":
			c.SkipACL = true
		case "nodigest":
			c.DigestDisabled = true
		case "super":
			c.SuperDigest = v
		}
	}
	a, err := NewAuth(c)
	if err != nil {
		s.t.Fatal(err)
	}
	s.rules.Auth = a
}

// runBlock runs the requests in both ways, compares, and keeps the result.
func (s *script) runBlock(d *datadriven.TestData) string {
	pipelined, single := *s, *s
	pipelined.tree, single.tree = s.tree.clone(), s.tree.clone()
	out := pipelined.runLines(d.Input, false)
	if !d.HasArg("pipelined") {
		if again := single.runLines(d.Input, true); again != out {
			s.t.Fatalf("%s\npipelined:\n%sone at a time:\n%s", d.Pos, out, again)
		}
	}
	*s = pipelined
	return out
}

func (s *script) runLines(input string, applyEach bool) string {
	var out strings.Builder
	var txns [][]byte
	p := NewPreparer(s.tree, s.rules)
	lines := strings.Split(input, "\n")
	for i := 0; i < len(lines); i++ {
		f := fields(lines[i])
		if s.setting(f) {
			continue
		}
		req := s.request(f)
		for ; req.Op == wire.OpMulti && i+1 < len(lines) && strings.HasPrefix(lines[i+1], "+"); i++ {
			req.Body = s.appendOp(req.Body, fields(lines[i+1])[1:])
		}
		if f[0] == "multi" {
			req.Body = wire.MultiEnd.Append(req.Body)
		}
		txn, ok := s.prepare(p, req, &out)
		if !ok {
			continue
		}
		txns = append(txns, txn)
		if applyEach {
			s.tree.apply(s.t, txn)
			p.Applied(s.zxid)
		}
	}
	for _, txn := range txns {
		if !applyEach {
			s.tree.apply(s.t, txn)
		}
	}
	p.Applied(s.zxid)
	if p.Pending() != 0 || len(p.pending.nodes) != 0 || p.pending.born.len() != 0 {
		s.t.Fatalf("%d changes are still pending when all is applied", p.Pending())
	}
	return out.String()
}

func (s *script) prepare(p *Preparer, req *Request, out *strings.Builder) ([]byte, bool) {
	s.zxid++
	req.Zxid = s.zxid
	txn, ok, code, err := p.Prepare([]byte("before"), req)
	if err != nil {
		s.t.Fatal(err)
	}
	txn, found := bytes.CutPrefix(txn, []byte("before"))
	if !found || ok != (len(txn) > 0) {
		s.t.Fatalf("%v: ok is %v, and the buffer says %q", req.Op, ok, txn)
	}
	if !ok {
		s.zxid--
		fmt.Fprintf(out, "no zxid, %d\n", code)
		return nil, false
	}
	fmt.Fprintln(out, describeTxn(txn))
	return txn, true
}

// setting handles the lines that are no requests.
func (s *script) setting(f []string) bool {
	switch f[0] {
	case "session":
		s.session, s.sessCode = s.number(f[1]), wire.OK
		if len(f) > 2 {
			s.sessCode = wire.Code(s.number(f[2]))
		}
	case "ids":
		s.ids = nil
		for _, id := range f[1:] {
			scheme, rest, _ := strings.Cut(id, ":")
			s.ids = append(s.ids, wire.ID{Scheme: scheme, ID: rest})
		}
	case "time":
		s.now = s.number(f[1])
	case "#", "":
	default:
		return false
	}
	return true
}

func (s *script) request(f []string) *Request {
	req := &Request{
		Session: s.session, Cxid: 7, IDs: s.ids, SessionErr: s.sessCode, Time: s.now,
	}
	switch f[0] {
	case "multi":
		req.Op = wire.OpMulti
	case "open":
		req.Op, req.Body = wire.OpCreateSession, wire.AppendInt(nil, int32(s.number(f[1])))
	case "close":
		req.Op = wire.OpCloseSession
	case "reap":
		req.Op, req.Body = wire.OpDeleteContainer, wire.AppendBuffer(nil, s.text(f[1]))
		req.Internal = len(f) > 2
	case "reconfig":
		rr := wire.ReconfigRequest{}
		if len(f) > 1 {
			rr.CurConfigID = s.number(f[1])
		}
		req.Op, req.Body = wire.OpReconfig, rr.Append(nil)
	case "raw":
		body, err := hex.DecodeString(strings.Join(f[2:], ""))
		if err != nil {
			s.t.Fatal(err)
		}
		req.Op, req.Body = wire.Op(s.number(f[1])), body
	default:
		req.Op, req.Body = s.body(nil, f)
	}
	return req
}

func (s *script) appendOp(dst []byte, f []string) []byte {
	if f[0] == "raw" {
		b, err := hex.DecodeString(strings.Join(f[1:], ""))
		if err != nil {
			s.t.Fatal(err)
		}
		return append(dst, b...)
	}
	op, _ := s.body(nil, f)
	_, dst = s.body(wire.MultiHeader{Op: op, Err: -1}.Append(dst), f)
	return dst
}

// body appends the request of one of the operations that a multi may have too.
func (s *script) body(dst []byte, f []string) (wire.Op, []byte) {
	var args [][]byte
	opt := map[string]string{"acl": "open", "v": "-1", "flags": "0", "ttl": "-1", "op": "create"}
	for _, a := range f[1:] {
		k, v, isOption := strings.Cut(a, "=")
		if _, known := opt[k]; known && isOption {
			opt[k] = v
			continue
		}
		args = append(args, s.text(a))
	}
	args = append(args, nil, nil)
	version := int32(s.number(opt["v"]))
	switch f[0] {
	case "create":
		op := map[string]wire.Op{
			"create": wire.OpCreate, "create2": wire.OpCreate2,
			"createContainer": wire.OpCreateContainer, "createTTL": wire.OpCreateTTL,
		}[opt["op"]]
		c := wire.CreateRequest{
			Path: args[0], Data: args[1], ACL: s.acl(opt["acl"]),
			Flags: int32(s.number(opt["flags"])), TTL: s.number(opt["ttl"]),
		}
		return op, c.Append(dst, op)
	case "delete":
		return wire.OpDelete, wire.PathVersion{Path: args[0], Version: version}.Append(dst)
	case "check":
		return wire.OpCheck, wire.PathVersion{Path: args[0], Version: version}.Append(dst)
	case "set":
		r := wire.SetDataRequest{Path: args[0], Data: args[1], Version: version}
		return wire.OpSetData, r.Append(dst)
	case "setacl":
		r := wire.SetACLRequest{Path: args[0], ACL: s.acl(opt["acl"]), Version: version}
		return wire.OpSetACL, r.Append(dst)
	case "get":
		return wire.OpGetData, wire.PathWatch{Path: args[0]}.Append(dst)
	}
	s.t.Fatalf("no such request: %q", f)
	return 0, nil
}

func (s *script) acl(text string) wire.ACLVector {
	switch text {
	case "open":
		return wire.OpenACL
	case "null":
		return wire.AppendInt(nil, -1)
	case "none":
		return wire.AppendInt(nil, 0)
	}
	entries := strings.Split(text, ",")
	v := wire.AppendInt(nil, int32(len(entries)))
	for _, e := range entries {
		part := strings.SplitN(e, ":", 3)
		v = wire.AppendInt(v, int32(s.number(part[0])))
		for _, p := range part[1:] {
			if p == "~" {
				v = wire.AppendInt(v, -1)
				continue
			}
			v = wire.AppendString(v, p)
		}
	}
	return v
}

func (s *script) number(text string) int64 {
	n, err := strconv.ParseInt(text, 0, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// text reads a path or data: a Go string, null, or the word itself.
func (s *script) text(word string) []byte {
	if word == "null" {
		return nil
	}
	if !strings.HasPrefix(word, `"`) {
		return []byte(word)
	}
	u, err := strconv.Unquote(word)
	if err != nil {
		s.t.Fatalf("%s: %v", word, err)
	}
	return []byte(u)
}

func fields(line string) []string {
	f := strings.Fields(line)
	if len(f) == 0 {
		return []string{""}
	}
	return f
}
