package transport

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/quorate/quorate/zab"
)

// These tests put our core and transport into ensembles of Java servers: Debian's ZooKeeper 3.8, and what
// integration/reference/fetch has brought from Maven.

const (
	debianJar    = "/usr/share/java/zookeeper.jar"
	debianLogger = "/usr/share/java/slf4j-simple.jar"
	javaPatience = 90 * time.Second
)

// releases returns the class paths of the Java releases that are there, by version.
func releases() map[string]string {
	found := map[string]string{}
	if _, err := os.Stat(debianJar); err == nil {
		found["3.8.0"] = debianLogger + ":" + debianJar
	}
	cache := os.Getenv("QUORATE_CACHE")
	if user, err := os.UserCacheDir(); err == nil && cache == "" {
		cache = filepath.Join(user, "quorate")
	}
	dirs, _ := filepath.Glob(filepath.Join(cache, "zookeeper-*", "complete"))
	for _, d := range dirs {
		_, version, _ := strings.Cut(filepath.Base(filepath.Dir(d)), "-")
		found[version] = classPath(filepath.Dir(d))
	}
	return found
}

// classPath names the jars of dir, with a logger that writes to standard error and fits the logging API there.
func classPath(dir string) string {
	jars, _ := filepath.Glob(filepath.Join(dir, "*.jar"))
	bindings := regexp.MustCompile(`/(logback|log4j|reload4j|slf4j-(log4j|reload4j|simple))`)
	logger := debianLogger
	for _, j := range jars {
		if strings.Contains(j, "/slf4j-api-2") {
			logger = strings.Replace(j, "api", "simple", 1)
		}
	}
	return strings.Join(append(slices.DeleteFunc(jars, bindings.MatchString), logger), ":")
}

// eachRelease runs a test for every Java release that is here. It is skipped when Debian's ZooKeeper is not installed,
// or fails when it must be.
func eachRelease(t *testing.T, run func(t *testing.T, version string)) {
	_, err := exec.LookPath("java")
	found := releases()
	if err == nil && found["3.8.0"] == "" {
		err = fmt.Errorf("%s is not there", debianJar)
	}
	switch {
	case err != nil && os.Getenv("QUORATE_INTEROP") == "required":
		t.Fatalf("QUORATE_INTEROP=required, but Debian's ZooKeeper is not there: %v", err)
	case err != nil:
		t.Skipf("Debian's ZooKeeper is not there: %v", err)
	case testing.Short():
		t.Skip("starts Java servers, and -short was given")
	}
	for _, version := range slices.Sorted(maps.Keys(found)) {
		t.Run(version, func(t *testing.T) { run(t, version) })
	}
}

// member is one server of a mixed ensemble, Java's or ours.
type member struct {
	sid                      int64
	observer                 bool
	quorum, election, client int // ports of 127.0.0.1
}

// mixed is an ensemble of Java servers and ours.
type mixed struct {
	t         *testing.T
	dir       string
	classPath string
	members   []member
	java      map[int64]*javaServer
	*ensemble
}

func newMixed(t *testing.T, version string, members ...member) *mixed {
	t.Helper()
	m := &mixed{t: t, dir: t.TempDir(), classPath: releases()[version], members: members, java: map[int64]*javaServer{}}
	var voters []int64
	for i := range m.members {
		s := &m.members[i]
		for _, p := range []*int{&s.quorum, &s.election, &s.client} {
			*p = freePort(t)
		}
		if !s.observer {
			voters = append(voters, s.sid)
		}
	}
	m.ensemble = newEnsemble(t, voters...)
	m.text = m.written
	for _, s := range m.members {
		m.book.set(s.sid, Peer{
			Election: []string{fmt.Sprint("127.0.0.1:", s.election)}, Quorum: []string{fmt.Sprint("127.0.0.1:", s.quorum)},
		})
	}
	m.tune = func(c *zab.Config, o *Options) {
		s := m.member(c.ID)
		o.ElectionAddrs = []string{fmt.Sprint("127.0.0.1:", s.election)}
		o.QuorumAddrs = []string{fmt.Sprint("127.0.0.1:", s.quorum)}
		c.DefaultLearner.SnapForTrunc = true
	}
	return m
}

// freePort returns a port that nobody listens on, from below those that the kernel gives
// to outgoing connections, which could take it before a server does.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", 12_000+rand.IntN(20_000)))
		if err == nil {
			defer l.Close()
			return l.Addr().(*net.TCPAddr).Port
		}
	}
	t.Fatal("no port is free")
	return 0
}

func (m *mixed) member(sid int64) member {
	return m.members[slices.IndexFunc(m.members, func(s member) bool { return s.sid == sid })]
}

func (m *mixed) lines() string {
	var b strings.Builder
	for _, s := range m.members {
		role := "participant"
		if s.observer {
			role = "observer"
		}
		fmt.Fprintf(&b, "server.%d=127.0.0.1:%d:%d:%s\n", s.sid, s.quorum, s.election, role)
	}
	return b.String()
}

// written is the configuration as ZooKeeper writes it.
func (m *mixed) written() []byte { return []byte(m.lines() + "version=0") }

// javaServer is one run of a Java server.
type javaServer struct {
	m    *mixed
	sid  int64
	cmd  *exec.Cmd
	done chan struct{}
	mu   sync.Mutex
	out  bytes.Buffer
}

// Write implements io.Writer.
func (j *javaServer) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.out.Write(b)
}

func (j *javaServer) log() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.out.String()
}

// startJava starts a Java server, on the data of its last run.
func (m *mixed) startJava(sid int64) *javaServer {
	m.t.Helper()
	s := m.member(sid)
	dir := filepath.Join(m.dir, fmt.Sprint(sid))
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o755); err != nil {
		m.t.Fatal(err)
	}
	cfg := fmt.Sprintf("tickTime=500\ninitLimit=60\nsyncLimit=20\ndataDir=%s/data\nclientPort=%d\nclientPortAddress=127.0.0.1\n"+
		"admin.enableServer=false\n4lw.commands.whitelist=*\nmaxClientCnxns=0\n%s", dir, s.client, m.lines())
	for name, text := range map[string]string{"zoo.cfg": cfg, "data/myid": fmt.Sprint(sid)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			m.t.Fatal(err)
		}
	}
	j := &javaServer{m: m, sid: sid, done: make(chan struct{})}
	j.cmd = exec.Command("java", "-XX:+UseSerialGC", "-Xmx300m", "-Xshare:auto", "-XX:TieredStopAtLevel=1",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=info", "-Dzookeeper.preAllocSize=64",
		"-cp", m.classPath, "org.apache.zookeeper.server.quorum.QuorumPeerMain", filepath.Join(dir, "zoo.cfg"))
	j.cmd.Stdout, j.cmd.Stderr = j, j
	if err := j.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	go func() {
		defer close(j.done)
		_ = j.cmd.Wait()
	}()
	m.java[sid] = j
	m.t.Cleanup(j.kill)
	return j
}

func (j *javaServer) kill() {
	select {
	case <-j.done:
	default:
		_ = j.cmd.Process.Kill()
		<-j.done
		j.check()
	}
}

// deadly is what a Java server's log must not have: threads that ended, handlers that crashed, messages not understood.
var deadly = regexp.MustCompile(`(?i)NullPointerException|IllegalArgumentException|BufferUnderflow|RuntimeException|ClassCast|` +
	`IndexOutOfBounds|exits$|severe|unrecoverable|digests? (are|is) not|mismatch|Unreasonable|corrupt|` +
	`Unknown (packet|notification)|Read only|Bad (config|version)|UnresolvedAddress|NumberFormat`)

func (j *javaServer) check() {
	j.m.t.Helper()
	for line := range strings.Lines(j.log()) {
		if deadly.MatchString(line) {
			j.m.t.Errorf("Java server %d: %s", j.sid, line)
		}
	}
	if dir := os.Getenv("QUORATE_JAVA_LOGS"); dir != "" {
		name := fmt.Sprintf("%s-%d-%d.log", strings.ReplaceAll(j.m.t.Name(), "/", "_"), j.sid, j.cmd.Process.Pid)
		_ = os.WriteFile(filepath.Join(dir, name), []byte(j.log()), 0o644)
	}
}

// word asks a four-letter word; "" when there is no answer.
func (j *javaServer) word(w string) string {
	nc, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", j.m.member(j.sid).client))
	if err != nil {
		return ""
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(nc, w); err != nil {
		return ""
	}
	b, _ := io.ReadAll(nc)
	return string(b)
}

// awaitMode waits until a Java server serves in that mode.
func (j *javaServer) awaitMode(mode string) {
	j.m.t.Helper()
	j.m.eventually(fmt.Sprintf("Java server %d is %s", j.sid, mode), func() bool {
		return strings.Contains(j.word("srvr"), "Mode: "+mode)
	})
}

// javaLeader returns the sid of the Java server that leads, 0 if none does.
func (m *mixed) javaLeader() int64 {
	for sid, j := range m.java {
		if strings.Contains(j.word("srvr"), "Mode: leader") {
			return sid
		}
	}
	return 0
}

// settle waits until one Java server leads and the others follow. To write while a Java server joins another is to meet
// their own bugs (ZOOKEEPER-4394).
func (m *mixed) settle() {
	m.t.Helper()
	m.eventually("one Java server leads and the others follow", func() bool {
		leaders, followers, alive := 0, 0, 0
		for _, j := range m.java {
			select {
			case <-j.done:
				continue
			default:
			}
			alive++
			switch mode := j.word("srvr"); {
			case strings.Contains(mode, "Mode: leader"):
				leaders++
			case strings.Contains(mode, "Mode: follower"):
				followers++
			}
		}
		return leaders == 1 && leaders+followers == alive
	})
}

// wipe removes the data of a Java server that does not run. One that comes back with data may meet ZOOKEEPER-4685 at a
// Java leader, and wait for half a minute.
func (m *mixed) wipe(sid int64) {
	m.t.Helper()
	if err := os.RemoveAll(filepath.Join(m.dir, fmt.Sprint(sid), "data")); err != nil {
		m.t.Fatal(err)
	}
}

func (m *mixed) eventually(what string, ok func() bool) {
	m.t.Helper()
	for end := time.Now().Add(javaPatience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			for sid, j := range m.java {
				m.t.Logf("Java server %d printed:\n%s", sid, tailOf(j.log()))
			}
			for sid, n := range m.nodes {
				n.see(func() bool { m.t.Logf("ours, %d: %+v, %d applied", sid, n.status, len(n.tree)); return true })
			}
			m.t.Fatalf("never happened: %s", what)
		}
	}
}

func tailOf(s string) string {
	lines := strings.SplitAfter(s, "\n")
	return strings.Join(lines[max(0, len(lines)-60):], "")
}

// silent is the log of a client that needs none.
type silent struct{}

func (silent) Printf(string, ...any) {}

// client opens a session at a Java server.
func (m *mixed) client(sid int64) *zk.Conn {
	m.t.Helper()
	c, events, err := zk.Connect([]string{fmt.Sprint("127.0.0.1:", m.member(sid).client)}, 20*time.Second, zk.WithLogger(silent{}))
	if err != nil {
		m.t.Fatal(err)
	}
	end := time.After(javaPatience)
	for {
		select {
		case e := <-events:
			if e.State == zk.StateHasSession {
				return c
			}
		case <-end:
			m.t.Fatalf("no session at Java server %d:\n%s", sid, tailOf(m.java[sid].log()))
		}
	}
}

// write creates count znodes at a Java server.
func (m *mixed) write(sid int64, prefix string, count, size int) {
	m.t.Helper()
	c := m.client(sid)
	defer c.Close()
	for i := range count {
		if _, err := c.Create(fmt.Sprintf("/%s-%d", prefix, i), repeat("d", size), 0, zk.WorldACL(zk.PermAll)); err != nil {
			m.t.Fatal(err)
		}
	}
}

// holds waits until n has applied a transaction whose bytes name path.
func (m *mixed) holds(n *node, path string) {
	m.t.Helper()
	m.eventually(fmt.Sprintf("server %d applies the creation of %s", n.id, path), func() bool {
		return n.see(func() bool {
			return slices.ContainsFunc(n.tree, func(e zab.Entry) bool { return bytes.Contains(e.Data, appendString(nil, path)) })
		})
	})
}

func (m *mixed) serves(n *node, role zab.Role) {
	m.t.Helper()
	m.eventually(fmt.Sprintf("server %d serves, %s", n.id, role), func() bool {
		return n.see(func() bool { return n.serving && n.status.Role == role })
	})
}
