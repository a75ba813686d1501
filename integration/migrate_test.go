package integration

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/quorate/quorate/wire"
)

// readTree reads the whole tree as super.
func readTree(t *testing.T, addr string) Tree {
	t.Helper()
	all, err := ReadTree(addr)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// compareTrees fails for every node that differs in anything.
func compareTrees(t *testing.T, got, want Tree) {
	t.Helper()
	for _, d := range got.Differences(want) {
		t.Error(d)
	}
}

// estate fills a server with nodes of every kind by a script, and returns the
// session that owns ephemerals.
func estate(t *testing.T, s *Server, prefix string) *Session {
	t.Helper()
	r, err := newRunner(s.Addr, true)
	if err != nil {
		t.Fatal(err)
	}
	steps := []string{
		`create /P "data"`, `create /P/null null`, `create /P/empty ""`, `create /P/big fill:200000`,
		`create /P/seq- seq`, `create /P/seq- seq`, `delete /P/seq-0000000004`, `setData /P "again"`, `setData /P "and again"`,
		`createContainer /P/box "c"`, `create /P/box/in`, `createContainer /P/unused`,
		`createTTL /P/ttl "t" ms=100000000`, `createTTL /P/ttl- seqttl ms=100000000`,
		`auth digest "bob:pw"`, `create /P/acl "s" acl=auth::cdrwa,world:anyone:r,ip:10.0.0.0/8:w`,
		`create /P/locked "s" acl=digest:al:hash:r`, `setACL /P/empty world:anyone:cdr,ip:127.0.0.1:wa`,
		`create /P/e1 "mine" ephemeral`, `create /P/e2- ephseq`, `create "/P/\u00e9\u4e2d" "u"`,
		`multi create /P/m ; create /P/m/1 ; setData /P/m "x" ; create /P/m/e ephemeral`,
		`create /zookeeper/quota/P null`, `create /zookeeper/quota/P/zookeeper_limits "count=1000,bytes=-1"`,
		`create /zookeeper/quota/P/zookeeper_stats "count=0,bytes=0"`, `create /P/counted "12345"`,
	}
	for _, step := range steps {
		step = strings.ReplaceAll(step, "/P", "/"+prefix)
		got, err := r.step("A " + step)
		if err != nil || !strings.HasPrefix(got[len(got)-1], "ok") || strings.Contains(got[len(got)-1], "err -") {
			t.Fatalf("%s: %q %v", step, got, err)
		}
	}
	for i := range 300 { // more than one snapshot's worth with snapCount=100
		if _, err := r.actors["A"].Create(fmt.Sprintf("/%s/m/n%03d", prefix, i), fmt.Append(nil, i), 0); err != nil {
			t.Fatal(err)
		}
	}
	return r.actors["A"].Session
}

// TestMoveFromJavaAndBack: Quorate starts on the data of a Java server, clean
// or killed, and Java on what quorate export writes. Every node is the same,
// and so are the sessions.
func TestMoveFromJavaAndBack(t *testing.T) {
	for _, f := range []Flavor{ZooKeeper39, ZooKeeper38} {
		for _, kill := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s killed=%v", f, kill), func(t *testing.T) { moveThereAndBack(t, f, kill) })
		}
	}
}

func moveThereAndBack(t *testing.T, f Flavor, kill bool) {
	dir := t.TempDir()
	opts := Options{
		"dataDir": filepath.Join(dir, "data"), "dataLogDir": filepath.Join(dir, "log"), "snapCount": "100",
		"extendedTypesEnabled": "true", "maxSessionTimeout": "600000", "preAllocSize": "64",
	}
	for _, d := range []string{"data", "log"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	java := newServer(t, f, opts)
	owner := estate(t, java, "java")
	want := readTree(t, java.Addr)
	if kill {
		java.Kill()
	} else {
		java.Terminate()
	}
	ours := newServer(t, Quorate, opts)
	owner = resumeOwner(t, ours, owner, "/java/e1")
	compareTrees(t, readTree(t, ours.Addr), want)
	second := estate(t, ours, "ours")
	want = readTree(t, ours.Addr)
	if code := ours.Terminate(); code != 0 {
		t.Errorf("exit code %d\n%s", code, ours.LastLines())
	}
	back := t.TempDir()
	bin, err := QuorateBinary()
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code, err := RunCommand(dir, nil, "", bin, "export", filepath.Join(ours.Dir, "zoo.cfg"), back)
	if err != nil || code != 0 {
		t.Fatalf("export: exit code %d, %v\n%s%s", code, err, stdout, stderr)
	}
	opts = maps.Clone(opts)
	opts["dataDir"], opts["dataLogDir"] = back, ""
	java = newServer(t, f, opts)
	resumeOwner(t, java, owner, "/java/e1")
	resumeOwner(t, java, second, "/ours/e1")
	compareTrees(t, readTree(t, java.Addr), want)
}

// resumeOwner takes up a session on the next server and finds its ephemeral.
func resumeOwner(t *testing.T, s *Server, owner *Session, path string) *Session {
	t.Helper()
	owner.Drop()
	again := mustConnect(t, s.Addr, ConnectOptions{SessionID: owner.ID, Passwd: owner.Passwd, TimeoutMs: 600000})
	if st, err := again.Exists(path, false); err != nil || st.EphemeralOwner != owner.ID {
		t.Errorf("%s: %+v %v", path, st, err)
	}
	return again
}

// TestStartErrors: what keeps a server from starting is said, with ZooKeeper's
// exit code.
func TestStartErrors(t *testing.T) {
	eachFlavor(t, func(t *testing.T, f Flavor) {
		busy := pool.borrow(t, f, nil)
		_, port, _ := strings.Cut(busy.Addr, ":")
		dir := t.TempDir()
		for name, c := range map[string]struct {
			cfg  string
			code int
		}{
			"no dataDir":          {"clientPort=1\n", 2},
			"tickTime is no time": {"clientPort=1\ndataDir=" + dir + "\ntickTime=x\n", 2},
			"port in use":         {"clientPort=" + port + "\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\ndataDir=" + dir + "\n", 1},
		} {
			t.Run(name, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "zoo.cfg")
				if err := os.WriteFile(path, []byte(c.cfg), 0o644); err != nil {
					t.Fatal(err)
				}
				s := &Server{Flavor: f}
				cmd, err := s.command(path, nil)
				if err != nil {
					t.Fatal(err)
				}
				p, err := StartProcess(string(f), t.TempDir(), cmd)
				if err != nil {
					t.Fatal(err)
				}
				defer p.Kill()
				<-p.Done()
				if code := p.cmd.ProcessState.ExitCode(); code != c.code {
					t.Errorf("exit code %d, want %d\n%s", code, c.code, p.LastLines())
				}
				if strings.TrimSpace(p.Output()) == "" {
					t.Error("it says nothing")
				}
			})
		}
	})
}

// TestTwoServersOneDirectory: the second refuses, the first goes on.
func TestTwoServersOneDirectory(t *testing.T) {
	s := newServer(t, Quorate, nil)
	second, err := StartServer(Quorate, filepath.Join(t.TempDir(), "second"), Options{"dataDir": s.opts["dataDir"]})
	if err == nil {
		second.Kill()
		t.Fatal("two servers share a directory")
	}
	if !strings.Contains(err.Error(), s.opts["dataDir"]) {
		t.Errorf("the error does not name the directory: %v", err)
	}
	if err := mustConnect(t, s.Addr, ConnectOptions{}).Close(); err != nil {
		t.Error(err)
	}
}

// TestPingsKeepASession: a session that only pings outlives one that is silent
// for its much longer timeout.
func TestPingsKeepASession(t *testing.T) {
	eachFlavor(t, func(t *testing.T, f Flavor) {
		s := newServer(t, f, Options{"tickTime": "200", "minSessionTimeout": "400", "maxSessionTimeout": "10000"})
		pings := mustConnect(t, s.Addr, ConnectOptions{TimeoutMs: 1000})
		if _, err := pings.Create("/pings", nil, wire.FlagEphemeral); err != nil {
			t.Fatal(err)
		}
		silent := mustConnect(t, s.Addr, ConnectOptions{TimeoutMs: 5000})
		if _, err := silent.Create("/silent", nil, wire.FlagEphemeral); err != nil {
			t.Fatal(err)
		}
		if _, err := pings.Exists("/silent", true); err != nil {
			t.Fatal(err)
		}
		retry(t, "the end of the silent session", func() error {
			_, events, err := pings.Ping()
			if err != nil {
				t.Fatalf("the session that pings: %v", err)
			}
			if !slices.ContainsFunc(events, Reply.IsEvent) {
				return fmt.Errorf("no event")
			}
			return nil
		})
		if st, err := pings.Exists("/pings", false); err != nil || st.EphemeralOwner != pings.ID {
			t.Errorf("/pings: %+v %v", st, err)
		}
	})
}

// TestQuotaMetrics: mntr tells limits and usage by the first name of a path.
func TestQuotaMetrics(t *testing.T) {
	eachFlavor(t, func(t *testing.T, f Flavor) {
		s := newServer(t, f, nil)
		c := mustConnect(t, s.Addr, ConnectOptions{})
		for path, data := range map[string]string{
			"/app": "12345", "/zookeeper/quota/app": "",
		} {
			if _, err := c.Create(path, []byte(data), 0); err != nil {
				t.Fatal(err)
			}
		}
		for _, n := range [][2]string{
			{"/zookeeper/quota/app/zookeeper_limits", "count=7,bytes=99"},
			{"/zookeeper/quota/app/zookeeper_stats", "count=0,bytes=0"},
			{"/app/x", "123"},
		} {
			if _, err := c.Create(n[0], []byte(n[1]), 0); err != nil {
				t.Fatal(err)
			}
		}
		got := map[string]string{}
		for k, v := range monitor(t, s) {
			if strings.HasPrefix(k, "zk_app_quota_") {
				got[strings.TrimSuffix(strings.TrimPrefix(k, "zk_app_quota_"), "_per_namespace")] = v
			}
		}
		want := map[string]string{"count_limit": "7", "bytes_limit": "99", "count_usage": "2", "bytes_usage": "8"}
		if !maps.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}
