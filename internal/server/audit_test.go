package server

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/quorate/quorate/wire"
)

// auditLines are the lines of an audit log, without their times.
func auditLines(t *testing.T, file string) (lines []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	stamp := regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (INFO|ERROR) audit\.AuditLogger: (.*)\n$`)
	for line := range strings.Lines(string(text)) {
		m := stamp.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("line %q", line)
		}
		lines = append(lines, m[1]+" "+m[2])
	}
	return lines
}

// do sends a request and takes any answer.
func (c *rawClient) do(op wire.Op, body []byte) {
	c.t.Helper()
	if _, err := c.send(op, body); err != nil {
		c.t.Fatal(err)
	}
	if _, _, err := c.recv(); err != nil {
		c.t.Fatal(err)
	}
}

// changes asks for something of everything.
func changes(c *rawClient) {
	c.do(wire.OpCreate, createBody("/a", "x", wire.FlagPersistent))
	c.do(wire.OpCreate, createBody("/a", "x", wire.FlagPersistent))
	c.do(wire.OpCreate, createBody("/e", "", wire.FlagEphemeral))
	c.do(wire.OpCreate2, createBody("/s", "", wire.FlagPersistentSequential))
	c.do(wire.OpCreateContainer, createBody("/c", "", wire.FlagContainer))
	c.do(wire.OpSetData, (&wire.SetDataRequest{Path: []byte("/a"), Version: -1}).Append(nil))
	c.do(wire.OpSetData, (&wire.SetDataRequest{Path: []byte("/no"), Version: -1}).Append(nil))
	c.do(wire.OpDelete, (&wire.PathVersion{Path: []byte("/a"), Version: 9}).Append(nil))
	c.do(wire.OpCreate, createBody("/bad\tresult=success\n", "", wire.FlagPersistent))
	c.do(wire.OpGetData, pathBody("/a", false)) // no change
	acl := []wire.ACL{{Perms: 31, ID: wire.ID{Scheme: "world", ID: "anyone"}}, {Perms: 3, ID: wire.ID{Scheme: "digest", ID: "bob:xx"}}}
	c.do(wire.OpSetACL, wire.AppendInt(wire.AppendACLs(wire.AppendString(nil, "/a"), acl), -1))
	multi := wire.MultiHeader{Op: wire.OpCreate, Err: -1}.Append(nil)
	multi = append(multi, createBody("/m", "", wire.FlagPersistentSequential)...)
	multi = wire.MultiHeader{Op: wire.OpCheck, Err: -1}.Append(multi)
	multi = (&wire.PathVersion{Path: []byte("/a"), Version: -1}).Append(multi)
	multi = wire.MultiHeader{Op: wire.OpDelete, Err: -1}.Append(multi)
	missing := append([]byte(nil), multi...)
	multi = (&wire.PathVersion{Path: []byte("/a"), Version: -1}).Append(multi)
	missing = (&wire.PathVersion{Path: []byte("/missing"), Version: -1}).Append(missing)
	c.do(wire.OpMulti, wire.MultiEnd.Append(multi))
	c.do(wire.OpMulti, wire.MultiEnd.Append(missing))
	c.do(wire.OpCloseSession, nil)
}

// wantAudit are the lines of changes, that ZooKeeper 3.9 writes too.
func wantAudit(id int64, user string) []string {
	who := fmt.Sprintf("session=0x%x\tuser=127.0.0.1\tip=127.0.0.1\toperation=", id)
	return []string{
		"INFO " + who + "create\tznode=/a\tznode_type=persistent\tresult=success",
		"ERROR " + who + "create\tznode=/a\tznode_type=persistent\tresult=failure",
		"INFO " + who + "create\tznode=/e\tznode_type=ephemeral\tresult=success",
		"INFO " + who + "create\tznode=/s0000000002\tznode_type=persistent_sequential\tresult=success",
		"INFO " + who + "create\tznode=/c\tznode_type=container\tresult=success",
		"INFO " + who + "setData\tznode=/a\tresult=success",
		"ERROR " + who + "setData\tznode=/no\tresult=failure",
		"ERROR " + who + "delete\tznode=/a\tresult=failure",
		"ERROR " + who + "create\tznode=/bad?result=success?\tznode_type=persistent\tresult=failure",
		"INFO " + who + "setAcl\tznode=/a\tacl=world:anyone:cdrwadigest:bob:xx:rw\tresult=success",
		"INFO " + who + "create\tznode=/m0000000004\tznode_type=persistent_sequential\tresult=success",
		"INFO " + who + "delete\tznode=/a\tresult=success",
		"ERROR " + who + "multiOperation\tresult=failure",
		fmt.Sprintf("INFO session=0x%x\tuser=%s\toperation=ephemeralZNodeDeletionOnSessionCloseOrExpire\tznode=/e\tresult=success", id, user),
	}
}

func wantLines(t *testing.T, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		g, w := "nothing", "nothing"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Errorf("line %d:\n%q\nwant\n%q", i, g, w)
		}
	}
}

func TestAuditAlone(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.Audit = &AuditConfig{File: filepath.Join(t.TempDir(), "audit.log")}
	r := start(t, cfg)
	c := r.client()
	user := r.s.audit.user
	changes(c)
	r.stop()
	want := append([]string{"INFO user=" + user + "\toperation=serverStart\tresult=success"}, wantAudit(c.id, user)...)
	want = append(want, "INFO user="+user+"\toperation=serverStop\tresult=invoked")
	wantLines(t, auditLines(t, cfg.Audit.File), want)
}

// TestAuditOfAMember: a change is told by the server that was asked for it, the end
// of an ephemeral by all.
func TestAuditOfAMember(t *testing.T) {
	dir := t.TempDir()
	file := func(id int64) string { return filepath.Join(dir, fmt.Sprint(id)) }
	g, _, follower, _ := servingTeam(t, func(c *Config) { c.Audit = &AuditConfig{File: file(c.Ensemble.MyID)} })
	c := g.up[follower].client()
	user := g.up[follower].s.audit.user
	changes(c)
	want := wantAudit(c.id, user)
	wantLines(t, auditLines(t, file(follower))[1:], want)
	for _, m := range g.list.Members {
		if m.ID == follower {
			continue
		}
		g.up[m.ID].client().must(wire.OpSync, wire.AppendString(nil, "/")) // it has applied all of that
		wantLines(t, auditLines(t, file(m.ID))[1:], want[len(want)-1:])
	}
}

func TestAuditIntoTheLog(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	cfg := testConfig(t.TempDir())
	cfg.Log, cfg.Audit = zap.New(core), &AuditConfig{}
	r := start(t, cfg)
	c := r.client()
	c.create("/a", "")
	c.do(wire.OpCreate, createBody("/a", "x", wire.FlagPersistent))
	for result, level := range map[string]string{"success": "info", "failure": "error"} {
		line := fmt.Sprintf("session=0x%x\tuser=127.0.0.1\tip=127.0.0.1\toperation=create\tznode=/a\tznode_type=persistent\tresult=%s", c.id, result)
		if found := logs.FilterMessage(line); found.Len() != 1 || found.All()[0].LoggerName != "audit" || found.All()[0].Level.String() != level {
			t.Errorf("%q is in the log %d times", line, found.Len())
		}
	}
	cfg.Audit.File = filepath.Join(t.TempDir(), "none", "audit.log")
	cfg.DataDir, cfg.LogDir = t.TempDir(), ""
	if _, err := Open(cfg); err == nil || !strings.Contains(err.Error(), "audit log: ") {
		t.Errorf("a file that cannot be: %v", err)
	}
}

func TestAuditUsers(t *testing.T) {
	got := users([]wire.ID{{Scheme: "ip", ID: "127.0.0.1"}, {Scheme: "digest", ID: "bob:secret"}, {Scheme: "super"}, {Scheme: "x509", ID: "CN=a,O=b"}})
	if got != "127.0.0.1,bob,CN=a,O=b" {
		t.Errorf("%q", got)
	}
}
