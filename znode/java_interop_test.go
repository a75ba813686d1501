package znode

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/quorate/quorate/wire"
)

// javaClasspath is where Debian's packages zookeeper and libsnappy-java put
// what ZooKeeper needs.
const javaClasspath = "/etc/zookeeper/conf_example:/usr/share/java/zookeeper.jar:/usr/share/java/snappy-java.jar"

// interopPatience bounds every wait. It is a guard, never an expectation.
const interopPatience = 60 * time.Second

// needJava skips the test on a machine without ZooKeeper, unless nothing may
// be skipped.
func needJava(t *testing.T) {
	_, noJava := exec.LookPath("java")
	_, noJar := os.Stat("/usr/share/java/zookeeper.jar")
	if err := errors.Join(noJava, noJar); err == nil {
		return
	} else if os.Getenv("QUORATE_INTEROP") == "required" {
		t.Fatalf("QUORATE_INTEROP=required, but Debian's zookeeper is not there: %v", err)
	} else {
		t.Skipf("Debian's zookeeper is not there: %v", err)
	}
}

// javaServer is a standalone Java ZooKeeper.
type javaServer struct {
	addr string
	cmd  *exec.Cmd
	out  bytes.Buffer // valid after stop
}

func startJava(t *testing.T, dataDir string, properties ...string) *javaServer {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &javaServer{addr: l.Addr().String()}
	l.Close()
	_, port, _ := net.SplitHostPort(s.addr)
	cfg := filepath.Join(t.TempDir(), "zoo.cfg")
	text := fmt.Sprintf("dataDir=%s\nclientPort=%s\nclientPortAddress=127.0.0.1\ntickTime=2000\nmaxSessionTimeout=1000000\nadmin.enableServer=false\n4lw.commands.whitelist=*\n", dataDir, port)
	if err := os.WriteFile(cfg, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"-Xmx256m", "-Dfile.encoding=UTF-8", "-Dzookeeper.extendedTypesEnabled=true", "-cp", javaClasspath}, properties...)
	s.cmd = exec.Command("java", append(args, "org.apache.zookeeper.server.quorum.QuorumPeerMain", cfg)...)
	s.cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	return s
}

// stop ends the server as a crash does. It may be called twice.
func (s *javaServer) stop() {
	if s.cmd.ProcessState == nil {
		s.cmd.Process.Kill()
		s.cmd.Wait()
	}
}

// connect returns a client with a session. The client outlives the server:
// closing it earlier would close the session.
func (s *javaServer) connect(t *testing.T) *zk.Conn {
	c, events, err := zk.Connect([]string{s.addr}, 900*time.Second, zk.WithLogInfo(false), zk.WithLogger(silence{}))
	if err != nil {
		t.Fatal(err)
	}
	guard := time.After(interopPatience)
	for {
		select {
		case e := <-events:
			if e.State == zk.StateHasSession {
				if err := c.AddAuth("digest", []byte("bob:secret")); err != nil {
					t.Fatal(err)
				}
				return c
			}
		case <-guard:
			s.stop()
			t.Fatalf("no session from Java within %v:\n%s", interopPatience, s.out.String())
		}
	}
}

type silence struct{}

func (silence) Printf(string, ...any) {}

// sessions asks the server for its table, as {id in hexadecimal}.
func (s *javaServer) sessions(t *testing.T) []string {
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "dump")
	text, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	table, _, _ := strings.Cut(string(text), "ephemeral nodes dump:")
	ids := map[string]bool{}
	for _, m := range regexp.MustCompile(`0x([0-9a-f]+)`).FindAllStringSubmatch(table, -1) {
		ids[m[1]] = true
	}
	return slices.Sorted(maps.Keys(ids))
}

// seenNode is what a client sees of a znode.
type seenNode struct {
	data string
	null bool
	stat zk.Stat
	acl  string
}

// readTree reads every znode as a client.
func readTree(t *testing.T, c *zk.Conn) map[string]seenNode {
	out := map[string]seenNode{}
	var visit func(path string)
	visit = func(path string) {
		data, stat, err := c.Get(path)
		acl, _, err2 := c.GetACL(path)
		names, _, err3 := c.Children(path)
		if err := errors.Join(err, err2, err3); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		out[path] = seenNode{string(data), data == nil, *stat, fmt.Sprint(acl)}
		for _, name := range names {
			visit(strings.TrimSuffix(path, "/") + "/" + name)
		}
	}
	visit("/")
	return out
}

// expected is what a client would see of the backend's znodes.
func expected(t *testing.T, b Backend) map[string]seenNode {
	m, _, err := b.Meta()
	if err != nil {
		t.Fatal(err)
	}
	view, err := b.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	out := map[string]seenNode{}
	err = view.Walk(func(path []byte, rec *Record) error {
		var acl []zk.ACL
		list := m.ACLs[rec.ACL].ACL
		if rec.ACL == OpenACLID {
			list = []wire.ACL{{Perms: wire.PermAll, ID: wire.ID{Scheme: "world", ID: "anyone"}}}
		}
		for _, a := range list {
			acl = append(acl, zk.ACL{Perms: a.Perms, Scheme: a.ID.Scheme, ID: a.ID.ID})
		}
		s := rec.Stat
		if owner := uint64(s.EphemeralOwner); owner == 1<<63 || owner>>56 == 0xff {
			s.EphemeralOwner = 0 // clients do not see that a znode is a container or has a TTL
		}
		out[string(path)] = seenNode{string(rec.Data), rec.Data == nil, zk.Stat{
			Czxid: s.Czxid, Mzxid: s.Mzxid, Ctime: s.Ctime, Mtime: s.Mtime, Version: s.Version,
			Cversion: 2*s.Cversion - rec.NumChildren, Aversion: s.Aversion, EphemeralOwner: s.EphemeralOwner,
			DataLength: int32(len(rec.Data)), NumChildren: rec.NumChildren, Pzxid: s.Pzxid,
		}, fmt.Sprint(acl)}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func compareTrees(t *testing.T, what string, got, want map[string]seenNode) {
	t.Helper()
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if g, ok := got[path]; !ok {
			t.Errorf("%s: %s is missing", what, path)
		} else if w := want[path]; g != w {
			t.Errorf("%s: %s is\n%.500s\nwant\n%.500s", what, path, fmt.Sprintf("%+v", g), fmt.Sprintf("%+v", w))
		}
	}
	for path := range got {
		if _, ok := want[path]; !ok {
			t.Errorf("%s: %s should not be there", what, path)
		}
	}
}

// populate creates one of everything a Java tree can hold.
func populate(t *testing.T, c *zk.Conn) {
	open := zk.WorldACL(zk.PermAll)
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	create := func(path string, data []byte, flags int32, acl []zk.ACL) {
		t.Helper()
		must(c.Create(path, data, flags, acl))
	}
	create("/plain", []byte("data"), 0, open)
	create("/null", nil, 0, open)
	create("/empty", []byte{}, 0, open)
	create("/large", bytes.Repeat([]byte("0123456789"), 100_000), 0, open)
	create("/größe", []byte("Straße"), 0, open)
	create("/größe/日本", []byte{0, 1, 0xff, 0xfe}, 0, open)
	create("/guarded", []byte("s"), 0, append(zk.DigestACL(zk.PermAll, "bob", "secret"), zk.ACL{Perms: zk.PermRead, Scheme: "ip", ID: "127.0.0.0/8"}))
	create("/guarded/child", []byte("s"), 0, zk.DigestACL(zk.PermAll, "bob", "secret"))
	create("/readonly", []byte("r"), 0, zk.WorldACL(zk.PermRead|zk.PermAdmin))
	create("/ephemeral", []byte("e"), zk.FlagEphemeral, open)
	create("/seq", nil, 0, open)
	for range 5 {
		create("/seq/n-", []byte("q"), zk.FlagSequence, open)
		create("/seq/e-", []byte("q"), zk.FlagEphemeral|zk.FlagSequence, open)
	}
	must(nil, c.Delete("/seq/n-0000000000", -1))
	must(nil, c.Delete("/seq/e-0000000003", -1))
	must(c.Set("/plain", []byte("data 2"), 0))
	must(c.Set("/plain", []byte("data 3"), 1))
	must(c.SetACL("/plain", zk.WorldACL(zk.PermAll&^zk.PermDelete), 0))
	must(c.CreateContainer("/container", []byte("c"), zk.FlagContainer, open))
	create("/container/member", nil, 0, open)
	must(c.CreateTTL("/ttl", []byte("t"), zk.FlagTTL, open, 1_000_000*time.Second))
	create("/zookeeper/quota/plain", nil, 0, open)
	create("/zookeeper/quota/plain/zookeeper_limits", []byte("count=5000,bytes=-1"), 0, open)
	create("/zookeeper/quota/plain/zookeeper_stats", []byte("count=0,bytes=0"), 0, open)
	create("/many", nil, 0, open)
	for batch := range 10 {
		var ops []any
		for i := range 300 {
			ops = append(ops, &zk.CreateRequest{Path: fmt.Sprintf("/many/%05d", batch*300+i), Data: []byte("m"), Acl: open})
		}
		must(c.Multi(ops...))
	}
	deep := ""
	for i := range 30 {
		deep += fmt.Sprintf("/level%d", i)
		create(deep, []byte(deep), 0, open)
	}
}

// TestJavaInterop lets Java write a tree and a snapshot of it in each form,
// imports it, compares every znode with what Java says, exports it, and lets
// Java read that.
func TestJavaInterop(t *testing.T) {
	needJava(t)
	for _, method := range []string{"", "gz", "snappy"} {
		t.Run("compression="+method, func(t *testing.T) {
			property := "-Dzookeeper.snapshot.compression.method=" + method
			dir := t.TempDir()
			first := startJava(t, dir, property)
			writer := first.connect(t)
			t.Cleanup(writer.Close)
			populate(t, writer)
			session := writer.SessionID()
			first.stop()
			second := startJava(t, dir, property) // writes a snapshot of all that when it starts
			reader := second.connect(t)
			t.Cleanup(reader.Close)
			want := readTree(t, reader)
			second.stop()
			if len(want) < 3000 {
				t.Fatalf("Java has only %d znodes", len(want))
			}
			store := importFromJava(t, dir, method, session)
			compareTrees(t, "imported", expected(t, store), want)
			exportToJava(t, store, want, session, method)
		})
	}
}

func importFromJava(t *testing.T, dir, method string, session int64) *Store {
	t.Helper()
	store := openTestStore(t, nil, filepath.Join(t.TempDir(), "tree"))
	res, err := ImportJava(ImportOptions{DataDir: dir}, store)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("imported %s: %d znodes, %d bytes, digest %x", res.Snapshot, res.Meta.NodeCount, res.Meta.DataBytes, res.Meta.Digest)
	if len(res.Skipped) > 0 || len(res.Warnings) > 0 || (method == "") != (strings.Count(filepath.Base(res.Snapshot), ".") == 1) || !strings.HasSuffix(res.Snapshot, method) {
		t.Errorf("result %+v", res)
	}
	if res.Digest == nil || *res.Digest != (ZxidDigest{Zxid: res.Replay, Version: 2, Digest: res.Meta.Digest}) {
		t.Errorf("Java's digest is %+v, ours %x at %x", res.Digest, res.Meta.Digest, res.Replay)
	}
	if len(res.Meta.Sessions) != 1 || res.Meta.Sessions[session] != 900_000 {
		t.Errorf("sessions %v, want %x with 900000 ms", res.Meta.Sessions, session)
	}
	owned := map[string]int64{}
	if err := store.Owned(func(owner int64, path []byte) bool { owned[string(path)] = owner; return true }); err != nil {
		t.Error(err)
	}
	if owned["/ephemeral"] != session || owned["/container"] != -1<<63 || owned["/ttl"] != -1<<56|1_000_000_000 || len(owned) != 7 {
		t.Errorf("index of owners: %x", owned)
	}
	return store
}

// exportToJava exports the store, starts Java on it and compares what Java
// says with want.
func exportToJava(t *testing.T, store *Store, want map[string]seenNode, session int64, compression string) {
	t.Helper()
	view, err := store.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path, err := ExportJava(view, ExportOptions{DataDir: dir, Compression: compression})
	if err := errors.Join(err, view.Close()); err != nil {
		t.Fatal(err)
	}
	t.Logf("exported %s", path)
	server := startJava(t, dir)
	reader := server.connect(t)
	t.Cleanup(reader.Close)
	compareTrees(t, "exported", readTree(t, reader), want)
	ids := []string{fmt.Sprintf("%x", session), fmt.Sprintf("%x", reader.SessionID())}
	slices.Sort(ids)
	if got := server.sessions(t); !slices.Equal(got, ids) {
		t.Errorf("sessions in Java: %v, want %v", got, ids)
	}
	// Java goes on from there: a new znode has the next zxid.
	if _, err := reader.Create("/after", nil, 0, zk.WorldACL(zk.PermAll)); err != nil {
		t.Error(err)
	}
	server.stop()
	if log := server.out.String(); strings.Contains(log, "igest mismatch") || strings.Contains(log, "Digests are not matching") {
		t.Errorf("Java found another digest:\n%s", log)
	}
}
