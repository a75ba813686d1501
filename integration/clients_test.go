package integration

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

// clientDir holds the programs in other languages that use a server.
const clientDir = "testdata/clients"

// runKazoo runs one part of kazoo_client.py.
func runKazoo(t *testing.T, addr, part string) {
	t.Helper()
	python, err := findKazoo()
	NeedPeer(t, "kazoo", err)
	runClient(t, python, filepath.Join(clientDir, "kazoo_client.py"), addr, part)
}

// findKazoo returns a Python that has kazoo.
func findKazoo() (string, error) {
	for _, name := range []string{"/usr/bin/python3", "python3"} {
		if err := exec.Command(name, "-c", "import kazoo").Run(); err == nil {
			return name, nil
		}
	}
	return "", errors.New("no python3 can import kazoo")
}

// runJava runs a single-file Java program of clientDir: with the libraries of
// ZooKeeper 3.9, or with those of Debian and Curator.
func runJava(t *testing.T, f Flavor, program string, args ...string) {
	t.Helper()
	cp, err := javaClassPath(f)
	NeedPeer(t, "Java and the libraries of "+program, err)
	all := []string{"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=off", "-cp", cp}
	runClient(t, "java", append(append(all, filepath.Join(clientDir, program)), args...)...)
}

func javaClassPath(f Flavor) (string, error) {
	if f == ZooKeeper38 {
		return CuratorClassPath()
	}
	if _, err := executable("javac"); err != nil {
		return "", err // a single source file is compiled before it runs
	}
	return classPath(f)
}

// runClient runs a program that must end with "all done".
func runClient(t *testing.T, name string, args ...string) {
	t.Helper()
	stdout, stderr, code, err := RunCommand("", nil, "", name, args...)
	if err != nil || code != 0 || !strings.HasSuffix(stdout, "all done\n") {
		t.Fatalf("%s %s: exit code %d, %v\n%s%s", name, strings.Join(args, " "), code, err, stdout, stderr)
	}
	t.Log("\n" + stdout)
}

// dialog is an interactive program.
type dialog struct {
	*Process
	in   io.WriteCloser
	read int // how much of the output has been looked at
}

func startDialog(t *testing.T, name string, args ...string) *dialog {
	t.Helper()
	cmd := exec.Command(name, args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p, err := StartProcess(name, "", cmd)
	if err != nil {
		t.Fatal(err)
	}
	d := &dialog{Process: p, in: in}
	t.Cleanup(func() {
		in.Close()
		d.Kill()
	})
	return d
}

// say sends a line.
func (d *dialog) say(t *testing.T, line string) {
	t.Helper()
	if _, err := io.WriteString(d.in, line+"\n"); err != nil {
		t.Fatalf("say %q: %v\n%s", line, err, d.Output())
	}
}

// hear waits until the program prints text and returns what it printed on the
// way there.
func (d *dialog) hear(t *testing.T, text string) string {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		out := d.Output()[d.read:]
		if i := strings.Index(out, text); i >= 0 {
			d.read += i + len(text)
			return out[:i+len(text)]
		}
		if time.Now().After(end) || !d.Running() && !strings.Contains(d.Output()[d.read:], text) {
			t.Fatalf("%s did not print %q but\n%s", d.name, text, out)
		}
	}
}

// cShellCommands are said to cli_mt one after another; each must print what
// stands beside it. Nodes it creates hold "new"; rc values are the error codes of the C client.
var cShellCommands = []struct{ say, hear string }{
	{"create /c", "name = /c"},
	{"create /c", "[/c]: rc = -110"},
	{"create +e /c/e", "name = /c/e"},
	{"create +s /c/s-", "name = /c/s-0000000001"},
	{"create +es /c/s-", "name = /c/s-0000000002"},
	{"create +c /c/box", "name = /c/box"},
	{"create2 /c/two", "name = /c/two"},
	{"create /none/c", "[/none/c]: rc = -101"},
	{"create /c/e/x", "[/c/e/x]: rc = -108"},
	{"create relative", "Path must start with /, found: relative"},
	{"exists /c", ""},
	{"exists /none", "Error -101 for /none"},
	{"wexists /c/w", "Error -101 for /c/w"},
	{"create /c/w", "Watcher CREATED_EVENT state = CONNECTED_STATE for path /c/w"},
	{"get /c/e", "value_len = 3\nnew"},
	{"set /c/e three", "Watcher CHANGED_EVENT state = CONNECTED_STATE for path /c/e"},
	{"get /c/e", "value_len = 5\nthree"},
	{"ls /c", "/c: rc = 0"},
	{"ls2 /c", "/c: rc = 0"},
	{"sync /c", "rc = 0"},
	{"get /c/none", "/c/none: rc = -101"},
	{"delete /c", "/c: rc = -111"},
	{"delete /c/two", "/c/two: rc = 0"},
	{"exists /c/two", "Error -101 for /c/two"},
	{"create +t=100000 /c/ttl", "name = /c/ttl"},
	{"addauth digest bob:pw", ""},
	{"config", "/zookeeper/config: rc = 0"},
	{"ls /", "/: rc = 0"},
}

// runCShell talks to a server through the C client's shell.
func runCShell(t *testing.T, addr string, commands []struct{ say, hear string }) {
	t.Helper()
	bin, err := executable("/usr/lib/zookeeper/bin/cli_mt", "cli_mt")
	NeedPeer(t, "cli_mt", err)
	d := startDialog(t, bin, "-h", addr)
	d.hear(t, "state = CONNECTED_STATE")
	for _, c := range commands {
		d.say(t, c.say)
		if c.hear != "" {
			d.hear(t, c.hear)
		}
	}
	d.say(t, "quit")
	<-d.Done()
	if code := d.cmd.ProcessState.ExitCode(); code != 0 {
		t.Fatalf("cli_mt ended with %d\n%s", code, d.Output())
	}
}

// goClient connects go-zookeeper/zk.
func goClient(t *testing.T, addr string) (*zk.Conn, <-chan zk.Event) {
	t.Helper()
	c, events, err := zk.Connect([]string{addr}, 10*time.Second, zk.WithLogger(quietLogger{}), zk.WithLogInfo(false))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	for e := range patiently(t, events) {
		if e.State == zk.StateHasSession {
			return c, events
		}
	}
	t.Fatal("no session")
	return nil, nil
}

type quietLogger struct{}

func (quietLogger) Printf(string, ...any) {}

// patiently yields what comes from a channel and fails the test when nothing
// comes for too long.
func patiently[T any](t *testing.T, c <-chan T) func(yield func(T) bool) {
	return func(yield func(T) bool) {
		for {
			select {
			case v, ok := <-c:
				if !ok || !yield(v) {
					return
				}
			case <-time.After(patience):
				t.Fatal("nothing came")
			}
		}
	}
}

// next returns the next value of a channel.
func next[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	var v T
	for v = range patiently(t, c) {
		break
	}
	return v
}

// exerciseGo sends every request that go-zookeeper/zk can, and checks answers.
func exerciseGo(t *testing.T, addr string) {
	t.Helper()
	a, _ := goClient(t, addr)
	b, _ := goClient(t, addr)
	open := zk.WorldACL(zk.PermAll)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	refused := func(err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Fatalf("%v, want %v", err, want)
		}
	}
	goNodes(t, a, b, open, must, refused)
	goWatches(t, a, b, open, must)
	goACLs(t, a, b, must, refused)
}

func goNodes(t *testing.T, a, b *zk.Conn, open []zk.ACL, must func(error), refused func(err, want error)) {
	t.Helper()
	p, err := a.Create("/go", []byte("x"), 0, open)
	must(err)
	_, err = a.Create("/go", nil, 0, open)
	refused(err, zk.ErrNodeExists)
	box, err := a.CreateContainer("/go/box", nil, zk.FlagContainer, open)
	must(err)
	must(a.Delete(box, 0))
	e, err := a.Create("/go/e-", nil, zk.FlagEphemeral|zk.FlagSequence, open)
	must(err)
	if p != "/go" || e != "/go/e-0000000001" {
		t.Fatal(p, e)
	}
	st, err := b.Set("/go", []byte("yy"), 0)
	must(err)
	_, err = b.Set("/go", nil, 0)
	refused(err, zk.ErrBadVersion)
	data, st2, err := a.Get("/go")
	must(err)
	if string(data) != "yy" || st2.Mzxid != st.Mzxid || st2.NumChildren != 1 {
		t.Fatalf("%q %+v after %+v", data, st2, st)
	}
	ok, _, err := a.Exists("/go/none")
	must(err)
	names, _, err := a.Children("/go")
	must(err)
	if ok || fmt.Sprint(names) != "[e-0000000001]" {
		t.Fatal(ok, names)
	}
	_, err = a.Sync("/go")
	must(err)
	refused(b.Delete("/go", -1), zk.ErrNotEmpty)
	res, err := a.Multi(&zk.CreateRequest{Path: "/go/m", Acl: open}, &zk.SetDataRequest{Path: "/go/m", Version: 0},
		&zk.CheckVersionRequest{Path: "/go/m", Version: 1}, &zk.DeleteRequest{Path: "/go/m", Version: 1})
	must(err)
	if len(res) != 4 || res[0].String != "/go/m" || res[1].Stat.Version != 1 {
		t.Fatalf("%+v", res)
	}
	_, err = a.Multi(&zk.CreateRequest{Path: "/go/m", Acl: open}, &zk.DeleteRequest{Path: "/go/none"})
	refused(err, zk.ErrNoNode)
	_, err = a.IncrementalReconfig([]string{"server.2=127.0.0.1:1:2;3"}, nil, -1)
	refused(err, zk.ErrReconfigDisabled)
	must(b.Delete("/go/e-0000000001", 0))
	must(b.Delete("/go", -1))
}

func goWatches(t *testing.T, a, b *zk.Conn, open []zk.ACL, must func(error)) {
	t.Helper()
	expect := func(c <-chan zk.Event, typ zk.EventType, path string) {
		t.Helper()
		if e := next(t, c); e.Type != typ || e.Path != path {
			t.Fatalf("event %+v, want %v of %s", e, typ, path)
		}
	}
	_, _, born, err := a.ExistsW("/gw")
	must(err)
	_, err = b.Create("/gw", nil, 0, open)
	must(err)
	expect(born, zk.EventNodeCreated, "/gw")
	_, _, changed, err := a.GetW("/gw")
	must(err)
	_, _, children, err := a.ChildrenW("/gw")
	must(err)
	_, err = b.Create("/gw/x", nil, 0, open)
	must(err)
	_, err = b.Set("/gw", []byte("1"), -1)
	must(err)
	expect(children, zk.EventNodeChildrenChanged, "/gw")
	expect(changed, zk.EventNodeDataChanged, "/gw")
	_, _, dies, err := a.GetW("/gw/x")
	must(err)
	must(b.Delete("/gw/x", -1))
	expect(dies, zk.EventNodeDeleted, "/gw/x")
	must(b.Delete("/gw", -1))
}

func goACLs(t *testing.T, a, b *zk.Conn, must func(error), refused func(err, want error)) {
	t.Helper()
	must(a.AddAuth("digest", []byte("bob:pw")))
	_, err := a.Create("/ga", []byte("s"), 0, zk.AuthACL(zk.PermAll))
	must(err)
	_, _, err = b.Get("/ga")
	refused(err, zk.ErrNoAuth)
	acl, _, err := a.GetACL("/ga")
	must(err)
	if acl[0].ID != zk.DigestACL(zk.PermAll, "bob", "pw")[0].ID {
		t.Fatalf("ACL %+v", acl)
	}
	st, err := a.SetACL("/ga", append(acl, zk.WorldACL(zk.PermRead)...), 0)
	must(err)
	if st.Aversion != 1 {
		t.Fatalf("%+v", st)
	}
	_, _, err = b.Get("/ga")
	must(err)
	_, err = b.SetACL("/ga", acl, -1)
	refused(err, zk.ErrNoAuth)
	must(a.Delete("/ga", -1))
}

// TestGoClient exercises go-zookeeper/zk; it needs no peer beside Quorate.
func TestGoClient(t *testing.T) {
	eachFlavor(t, func(t *testing.T, f Flavor) { exerciseGo(t, pool.borrow(t, f, nil).Addr) })
}

func TestKazoo(t *testing.T) {
	eachFlavor(t, func(t *testing.T, f Flavor) {
		s := newServer(t, f, nil)
		for _, part := range []string{"operations", "recipes", "sessions"} {
			t.Run(part, func(t *testing.T) { runKazoo(t, s.Addr, part) })
		}
	})
}

func TestCShell(t *testing.T) {
	eachFlavor(t, func(t *testing.T, f Flavor) {
		runCShell(t, newServer(t, f, Options{"extendedTypesEnabled": "true"}).Addr, cShellCommands)
	})
}

func TestJavaClient(t *testing.T) {
	eachFlavor(t, func(t *testing.T, f Flavor) {
		s := newServer(t, f, Options{"extendedTypesEnabled": "true"})
		runJava(t, ZooKeeper39, "Operations.java", s.Addr, "extended")
	})
}

func TestCurator(t *testing.T) {
	eachFlavor(t, func(t *testing.T, f Flavor) { runJava(t, ZooKeeper38, "Recipes.java", newServer(t, f, nil).Addr) })
}
