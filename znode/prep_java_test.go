package znode

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/adler32"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/wire"
)

// TestPrepareAgainstJava sends testdata/java/prepare.txt to Debian's Java server,
// takes the transactions out of its log and prepares the same requests here:
// byte for byte the same must come out, given the session ids and times that
// the server chose, and the code in the answer must be the transaction's.
//
// With the classpath of a 3.9 server in QUORATE_ZOOKEEPER39 the same is done
// with that, and prepare39.txt.
func TestPrepareAgainstJava(t *testing.T) {
	needJava(t)
	quota := "-Dzookeeper.enforceQuota=true"
	t.Run("debian", func(t *testing.T) { prepareAgainstJava(t, nil, "prepare.txt") })
	t.Run("debian/quota", func(t *testing.T) { prepareAgainstJava(t, []string{quota}, "quota.txt") })
	if classpath := os.Getenv("QUORATE_ZOOKEEPER39"); classpath != "" {
		java := []string{"-cp", classpath}
		t.Run("3.9", func(t *testing.T) { prepareAgainstJava(t, java, "prepare.txt", "prepare39.txt") })
		t.Run("3.9/quota", func(t *testing.T) { prepareAgainstJava(t, append(java, quota), "quota.txt") })
	}
}

func prepareAgainstJava(t *testing.T, java []string, scripts ...string) {
	dir := t.TempDir()
	s := startJava(t, dir, append(java, "-Dzookeeper.DigestAuthenticationProvider.superDigest="+superDigest)...)
	d := &javaDriver{script: *newScript(t), server: s, conns: map[string]*javaConn{}}
	for _, name := range scripts {
		text, err := os.ReadFile(filepath.Join("testdata/java", name))
		if err != nil {
			t.Fatal(err)
		}
		d.drive(strings.Split(string(text), "\n"))
	}
	s.stop()

	entries := readJavaLog(t, dir)
	auth, err := NewAuth(AuthConfig{SuperDigest: superDigest})
	if err != nil {
		t.Fatal(err)
	}
	tree := newModelTree()
	tree.kinds.Extended = true
	quota := slices.Contains(scripts, "quota.txt")
	p := NewPreparer(tree, Rules{Digest: true, Kinds: tree.kinds, Auth: auth, EnforceQuota: quota})
	last := int64(0)
	for _, step := range d.steps {
		entries = compareStep(t, p, tree, step, entries, &last)
	}
	if len(entries) != 0 {
		t.Errorf("Java logged %d more, the first: %s", len(entries), describeTxn(entries[0]))
	}
	t.Logf("%d requests compared", len(d.steps))
}

const superDigest = "super:xQJmxLMiHGwaqBvst5y6rkB6HQs=" // super:admin

// compareStep prepares one request and holds it against the next entry of the
// log, if it takes a zxid.
func compareStep(t *testing.T, p *Preparer, tree *modelTree, step *javaStep, entries [][]byte, last *int64) [][]byte {
	t.Helper()
	var h TxnHeader
	if len(entries) > 0 {
		r := wire.NewReader(entries[0])
		h.Decode(&r)
	}
	logged := h.ClientID == step.session && h.Cxid == step.cxid
	if logged && h.Zxid == *last {
		// 3.9 logs a request that does not parse under the zxid before.
		entries, logged = entries[1:], false
	}
	*last = max(*last, h.Zxid)
	req := &Request{
		Session: step.session, Cxid: step.cxid, Op: step.op, Body: step.body, IDs: step.ids,
		Time: h.Time, Zxid: h.Zxid,
	}
	got, ok, code, err := p.Prepare(nil, req)
	if err != nil {
		t.Fatal(err)
	}
	if step.op != wire.OpMulti && step.answered && step.code != code {
		t.Errorf("%s: Java answers %d, we %d", step.line, step.code, code)
	}
	if ok != logged {
		t.Errorf("%s\ntakes a zxid: here %v, in Java %v", step.line, ok, logged)
	}
	if !ok || !logged {
		p.Reset()
		return entries[min(len(entries), map[bool]int{true: 1}[logged]):]
	}
	want := entries[0]
	gotTxn, gotDigest := comparableTxn(t, got)
	wantTxn, wantDigest := comparableTxn(t, want)
	if !bytes.Equal(gotTxn, wantTxn) {
		t.Errorf("%s\nJava %s\n     %x\nwe   %s\n     %x", step.line, describeTxn(want), want, describeTxn(got), got)
	}
	if bytes.Equal(gotDigest, wantDigest) == step.otherDigest {
		t.Errorf("%s\nits digest is %x, Java's %x", step.line, gotDigest, wantDigest)
	}
	tree.apply(t, got)
	p.Applied(req.Zxid)
	return entries[1:]
}

// comparableTxn parts a transaction from its digest, and sorts the paths of a
// closeSession, which Java has in the order of a hash table.
func comparableTxn(t *testing.T, txn []byte) (record, digest []byte) {
	t.Helper()
	r := wire.NewReader(txn)
	var h TxnHeader
	h.Decode(&r)
	var rec Txn
	rest, err := DecodeTxn(r.Remaining(), h.Type, &rec)
	if err != nil {
		t.Fatal(err)
	}
	record = bytes.Clone(txn[:len(txn)-len(rest)])
	if h.Type == wire.OpCloseSession {
		var paths [][]byte
		rec.CloseSession.Paths(func(p []byte) { paths = append(paths, p) })
		slices.SortFunc(paths, bytes.Compare)
		record = AppendCloseSession(record[:TxnHeaderBytes:TxnHeaderBytes], paths)
	}
	return record, rest
}

// javaStep is one request that the server got.
type javaStep struct {
	line        string
	session     int64
	cxid        int32
	op          wire.Op
	body        []byte
	ids         []wire.ID
	answered    bool
	code        wire.Code
	otherDigest bool
}

type javaConn struct {
	net.Conn
	session int64
	xid     int32
	ids     []wire.ID
	waiting []*javaStep
}

// javaDriver sends a script to a server.
type javaDriver struct {
	script
	server   *javaServer
	conns    map[string]*javaConn
	conn     *javaConn
	name     string
	pipeline bool
	steps    []*javaStep
}

func (d *javaDriver) drive(lines []string) {
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		f := fields(line)
		switch f[0] {
		case "", "#":
			continue
		case "as":
			d.as(f[1])
			continue
		case "pipeline":
			d.pipeline = true
			continue
		case "drain":
			d.pipeline = false
			d.drain()
			continue
		}
		otherDigest := f[0] == "~"
		if otherDigest {
			f = f[1:]
		}
		req := d.request(f)
		for ; req.Op == wire.OpMulti && i+1 < len(lines) && strings.HasPrefix(lines[i+1], "+"); i++ {
			req.Body = d.appendOp(req.Body, fields(lines[i+1])[1:])
			line += "\n" + lines[i+1]
		}
		if f[0] == "multi" {
			req.Body = wire.MultiEnd.Append(req.Body)
		}
		d.send(&javaStep{line: line, op: req.Op, body: req.Body, otherDigest: otherDigest})
		if f[0] == "close" {
			delete(d.conns, d.name)
		}
	}
}

// send sends a request on the connection of the moment and waits for the
// answers, unless it is to go out with others.
func (d *javaDriver) send(step *javaStep) {
	c := d.conn
	c.xid++
	step.cxid, step.session, step.ids = c.xid, c.session, slices.Clone(c.ids)
	d.steps = append(d.steps, step)
	c.write(d.t, append(wire.RequestHeader{Xid: c.xid, Op: step.op}.Append(nil), step.body...))
	c.waiting = append(c.waiting, step)
	if !d.pipeline {
		d.drain()
	}
}

func (d *javaDriver) drain() {
	for _, step := range d.conn.waiting {
		h := d.conn.reply(d.t)
		if h.Xid != step.cxid {
			d.t.Fatalf("%s: the answer is for request %d, not %d", step.line, h.Xid, step.cxid)
		}
		step.answered, step.code = true, h.Err
	}
	d.conn.waiting = nil
}

// as chooses a connection, and opens it if it is not.
func (d *javaDriver) as(name string) {
	d.name = name
	if d.conn = d.conns[name]; d.conn != nil {
		return
	}
	d.conn = d.open()
	d.conns[name] = d.conn
	step := &javaStep{line: "as " + name, op: wire.OpCreateSession, session: d.conn.session, body: wire.AppendInt(nil, 40000)}
	d.steps = append(d.steps, step)
	secret := map[string]string{"bob": "bob:pw", "admin": "super:admin"}[name]
	if secret == "" {
		return
	}
	auth, err := NewAuth(AuthConfig{SuperDigest: superDigest})
	if err != nil {
		d.t.Fatal(err)
	}
	ids, _ := auth.Authenticate("digest", []byte(secret), netip.Addr{})
	d.conn.ids = append(d.conn.ids, ids...)
	packet := wire.AuthPacket{Scheme: []byte("digest"), Auth: []byte(secret)}
	d.conn.write(d.t, packet.Append(wire.RequestHeader{Xid: wire.XidAuth, Op: wire.OpAuth}.Append(nil)))
	if h := d.conn.reply(d.t); h.Err != wire.OK {
		d.t.Fatalf("%s cannot authenticate: %v", name, h.Err)
	}
}

// open connects to the server, which may not have begun to listen.
func (d *javaDriver) open() *javaConn {
	for guard := time.Now().Add(interopPatience); ; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(guard) {
			d.server.stop()
			d.t.Fatalf("Java does not serve within %v:\n%s", interopPatience, d.server.out.String())
		}
		c, err := net.Dial("tcp", d.server.addr)
		if err != nil {
			continue
		}
		conn := &javaConn{Conn: c, ids: []wire.ID{AddressID(netip.MustParseAddr("127.0.0.1"))}}
		if conn.handshake() == nil {
			d.t.Cleanup(func() { c.Close() })
			return conn
		}
		c.Close()
	}
}

func (c *javaConn) handshake() error {
	req := wire.ConnectRequest{TimeOut: 40000, Passwd: make([]byte, wire.PasswdBytes), HasReadOnly: true}
	if err := c.writeFrame(req.Append(nil)); err != nil {
		return err
	}
	// A server that is only starting may lose the request and keep the
	// connection: ask again on another one.
	frame, err := c.readFrame(interopPatience / 20)
	if err != nil {
		return err
	}
	r := wire.NewReader(frame)
	var resp wire.ConnectResponse
	resp.Decode(&r)
	if c.session = resp.SessionID; r.Err() == nil && c.session == 0 {
		return fmt.Errorf("no session")
	}
	return r.Err()
}

func (c *javaConn) writeFrame(b []byte) error {
	_, err := c.Write(append(wire.AppendInt(nil, int32(len(b))), b...))
	return err
}

func (c *javaConn) write(t *testing.T, b []byte) {
	t.Helper()
	if err := c.writeFrame(b); err != nil {
		t.Fatal(err)
	}
}

func (c *javaConn) readFrame(patience time.Duration) ([]byte, error) {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	var n [4]byte
	if _, err := io.ReadFull(c, n[:]); err != nil {
		return nil, err
	}
	frame := make([]byte, binary.BigEndian.Uint32(n[:]))
	_, err := io.ReadFull(c, frame)
	return frame, err
}

func (c *javaConn) reply(t *testing.T) (h wire.ReplyHeader) {
	t.Helper()
	frame, err := c.readFrame(interopPatience)
	if err != nil {
		t.Fatal(err)
	}
	r := wire.NewReader(frame)
	h.Decode(&r)
	return h
}

// readJavaLog returns the transactions in a server's log (file-formats.md
// section 2).
func readJavaLog(t *testing.T, dir string) (txns [][]byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "version-2", "log.*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("logs: %v, %v", files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for b = b[16:]; len(b) >= 12; {
		sum, n := binary.BigEndian.Uint64(b), binary.BigEndian.Uint32(b[8:])
		if n == 0 {
			break
		}
		payload := b[12 : 12+n]
		if uint64(adler32.Checksum(payload)) != sum || b[12+n] != 'B' {
			t.Fatalf("a damaged entry after %d others", len(txns))
		}
		txns, b = append(txns, payload), b[13+n:]
	}
	return txns
}
