package transport

import (
	"bytes"
	"encoding/binary"
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
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/zab/quorum"
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

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
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

// TestJavaObservers: our observers, with a sid below and one above all Java ones, are synchronized by a Java leader, hear
// everything it commits, and find the next leader when that one dies.
func TestJavaObservers(t *testing.T) { eachRelease(t, testJavaObservers) }

func testJavaObservers(t *testing.T, version string) {
	m := newMixed(t, version, member{sid: 2, observer: true}, member{sid: 3}, member{sid: 4}, member{sid: 5}, member{sid: 9, observer: true})
	m.q = quorum.NewMajority(3, 4, 5)
	for _, sid := range []int64{3, 4, 5} {
		m.startJava(sid)
	}
	m.eventually("a Java server leads", func() bool { return m.javaLeader() != 0 })
	m.write(3, "before", 30, 500)
	low, high := m.launch(2), m.launch(9)
	for _, n := range []*node{low, high} {
		m.serves(n, zab.Observing)
	}
	m.write(4, "after", 30, 500)
	for _, n := range []*node{low, high} {
		m.holds(n, "/after-29")
		if n.store.count("received") > 0 && n.store.count("nodes") < 30 {
			t.Errorf("%d got a snapshot of %d znodes", n.id, n.store.count("nodes"))
		}
	}
	m.java[m.javaLeader()].kill()
	m.eventually("another Java server leads", func() bool { return m.javaLeader() != 0 })
	m.write(m.javaLeader(), "again", 10, 500)
	for _, n := range []*node{low, high} {
		m.holds(n, "/again-9")
	}
	want := map[int64][]byte{}
	for _, e := range low.history() {
		want[e.Zxid] = e.Data
	}
	same := 0
	for _, e := range high.history() {
		if data, ok := want[e.Zxid]; ok && !bytes.Equal(e.Data, data) {
			t.Errorf("the observers differ at %s", zab.FormatZxid(e.Zxid))
		} else if ok {
			same++
		}
	}
	if same < 40 {
		t.Errorf("the observers have %d transactions in common", same)
	}
}

func (m *mixed) javaLeader() int64 {
	for sid, j := range m.java {
		select {
		case <-j.done:
		default:
			if strings.Contains(j.word("srvr"), "Mode: leader") {
				return sid
			}
		}
	}
	return 0
}

// TestJavaQuorumNeedsUs: with one of two Java servers gone, nothing is committed without our acknowledgement; we ask for
// sessions through the leader and get snapshots from it.
func TestJavaQuorumNeedsUs(t *testing.T) { eachRelease(t, testJavaQuorumNeedsUs) }

func testJavaQuorumNeedsUs(t *testing.T, version string) {
	for _, ours := range []int64{1, 9} {
		t.Run(fmt.Sprint("sid=", ours), func(t *testing.T) {
			m := newMixed(t, version, member{sid: ours}, member{sid: 3}, member{sid: 4})
			m.startJava(3)
			m.startJava(4).awaitMode("leader")
			m.write(3, "before", 20, 2000)
			n := m.launch(ours)
			m.serves(n, zab.Following)
			m.java[3].kill()
			m.write(4, "needed", 50, 100)
			m.holds(n, "/needed-49")
			// Again, with nothing but a snapshot to start from.
			n.halt()
			delete(m.nodes, ours)
			m.startJava(3).awaitMode("follower")
			m.write(4, "away", 10, 100)
			n = m.launch(ours) // a disk in memory that is blank
			m.serves(n, zab.Following)
			m.write(3, "back", 5, 100)
			m.holds(n, "/back-4")
			t.Logf("sid %d: %d snapshots received, the last of %d znodes", ours, n.store.count("received"), n.store.count("nodes"))
		})
	}
}

// leadSessions lets n, when it leads, open and close the sessions that Java followers ask for.
func leadSessions(n *node) {
	n.request = func(m zab.Message) {
		if len(m.Data) < 16 {
			return
		}
		session, op := m.Data[:8], int32(binary.BigEndian.Uint32(m.Data[12:]))
		b := bytes.Clone(m.Data[:12])
		b = appendLong(b, n.core.NextZxid())
		b = appendLong(b, time.Now().UnixMilli())
		b = appendInt(b, op)
		switch op {
		case -10:
			b = append(b, m.Data[16:20]...)
		case -11:
			b = appendInt(b, 0)
		default:
			n.t.Errorf("a request of type %d for session %x", op, session)
			return
		}
		if _, err := n.core.Propose(b); err != nil {
			n.t.Error(err)
		}
	}
}

// createTxn is a transaction that creates a znode, as a leader proposes it.
func createTxn(zxid int64, path string, data []byte) []byte {
	b := appendLong(nil, 0)
	b = appendInt(b, 0)
	b = appendLong(b, zxid)
	b = appendLong(b, time.Now().UnixMilli())
	b = appendInt(b, 1)
	b = appendString(b, path)
	b = append(appendInt(b, int32(len(data))), data...)
	b = appendInt(b, 1)
	b = appendInt(b, 31)
	b = appendString(appendString(b, "world"), "anyone")
	b = append(b, 0)       // not ephemeral
	return appendInt(b, 1) // cversion of the parent
}

// TestWeLeadJava: Java servers elect us, take our history by DIFF and, when we have no log to offer, by SNAP, and their
// clients see what we propose.
func TestWeLeadJava(t *testing.T) { eachRelease(t, testWeLeadJava) }

func testWeLeadJava(t *testing.T, version string) {
	m := newMixed(t, version, member{sid: 9}, member{sid: 3}, member{sid: 4})
	n := m.launch(9)
	leadSessions(n)
	j := m.startJava(3)
	m.serves(n, zab.Leading)
	j.awaitMode("follower")
	create := func(path string) {
		t.Helper()
		n.call(func() {
			if _, err := n.core.Propose(createTxn(n.core.NextZxid(), path, []byte("ours"))); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range 20 {
		create(fmt.Sprintf("/ours-%d", i))
	}
	see := func(sid int64, path string) {
		t.Helper()
		c := m.client(sid)
		defer c.Close()
		m.eventually(fmt.Sprintf("Java server %d shows %s", sid, path), func() bool {
			data, _, err := c.Get(path)
			return err == nil && bytes.Contains(data, []byte("ours"))
		})
	}
	see(3, "/ours-19")
	m.startJava(4).awaitMode("follower") // blank: by DIFF
	see(4, "/ours-19")
	m.java[4].kill()
	create("/while-4-is-away")
	m.startJava(4).awaitMode("follower") // by DIFF from where it was
	see(4, "/while-4-is-away")
	m.java[4].kill()
	if err := os.RemoveAll(filepath.Join(m.dir, "4", "data")); err != nil {
		t.Fatal(err)
	}
	n.call(func() {
		z := n.core.Status().Committed
		n.store.purge(z)
		n.core.Purged(z)
	})
	for i := range 1000 { // moves the window in memory on
		create(fmt.Sprintf("/more-%d", i))
	}
	m.holds(n, "/more-999")
	more := n.history()
	m.startJava(4).awaitMode("follower") // blank again, and the log does not reach back
	see(4, fmt.Sprintf("/e/%x", more[len(more)-1].Zxid))
	create("/at-last")
	see(4, "/at-last")
	if how := n.how(); !slices.Equal(how, []string{"DIFF", "DIFF", "DIFF", "SNAP"}) {
		t.Errorf("joined by %v", how)
	}
}
