//go:build linux

package ensemble

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/wire"
)

func TestMain(m *testing.M) {
	code := m.Run()
	integration.RemoveBuild()
	os.Exit(code)
}

const debian = integration.ZooKeeper38

// A server listens on a port that the loopback holds, again and again, and
// nobody else is given it meanwhile.
func TestLoopbackHoldsItsPorts(t *testing.T) {
	place := Loopback()
	defer place.Close()
	a, err := place.Address(1)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := place.Address(1); err != nil || a != b {
		t.Errorf("asked again: %+v %v, not %+v", b, err, a)
	}
	ports := []int{a.Client, a.Quorum, a.Election}
	for range 2000 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if p := l.Addr().(*net.TCPAddr).Port; slices.Contains(ports, p) {
			t.Fatalf("port %d was given away", p)
		}
	}
	for range 3 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", a.Quorum))
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
	}
}

func TestParseState(t *testing.T) {
	st, err := parseState("Zookeeper version: 3.8.0\nLatency min/avg/max: 0/0.0/0\nZxid: 0x100000002\nMode: leader\nNode count: 5\nProposal sizes last/min/max: -1/-1/-1\n")
	if want := (State{"leader", 0x100000002, 5}); err != nil || st != want {
		t.Errorf("%+v %v", st, err)
	}
	if _, err := parseState("This ZooKeeper instance is not currently serving requests\n"); err == nil {
		t.Error("a server that does not serve has a state")
	}
}

// Every line that must not be in a log is found, and nothing else.
func TestScanLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	text := `12:00 WARN QuorumPeer - Exception when following the leader java.io.EOFException
12:01 WARN ZooKeeperThread - Exception occurred from thread WorkerReceiver[myid=1]
Exception in thread "main" java.lang.NoSuchMethodError
12:02 ERROR DataTree - Digests are not matching. Value is Zxid. 0x100000003
panic: assertion failed
goroutine 1 [running]:
12:03 ERROR ZooKeeperCriticalThread - Severe unrecoverable error, from thread : FollowerRequestProcessor:2
12:03 ERROR ZooKeeperCriticalThread - Severe unrecoverable error, from thread : SyncThread:2
12:03 ERROR ZooKeeperCriticalThread - Severe unrecoverable error, from thread : ProcessThread(sid:1)
12:03 INFO all is well
12:04 ERROR ZooKeeperCriticalThread - Severe unrecoverable error, from thread : SyncThread:2
java.lang.NullPointerException: Cannot invoke "java.net.Socket.isClosed()" because "this.learner.sock" is null
`
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	found, err := scanLog(path, regexp.MustCompile("thread : ProcessThread"))
	if err != nil || len(found) != 6 {
		t.Fatalf("%d lines: %q, %v", len(found), found, err)
	}
	for i, want := range []string{"log:2: a Java thread died", "log:3: a Java thread died", "log:4: a tree differs", "log:5: Quorate", "log:6: Quorate", "log:8: a Java thread that cannot be missed died"} {
		if !strings.HasPrefix(found[i], want) {
			t.Errorf("%q, want %q", found[i], want)
		}
	}
}

func TestSpecNamesItsKinds(t *testing.T) {
	s := Spec{Voters: []Kind{"3.8", "quorate"}, Observers: []Kind{"3.9"}}
	if got := s.String(); got != "3.8 quorate + 3.9" {
		t.Errorf("%q", got)
	}
}

// What a member is given for tests is left out where the JVM decides for
// itself; what it is given by name stays.
func TestDefaultJVM(t *testing.T) {
	tuned := func(s Spec) bool {
		return slices.ContainsFunc(s.javaOptions(), func(o string) bool { return strings.HasPrefix(o, "-X") })
	}
	if !tuned(Spec{}) {
		t.Error("a JVM of a test has no bounds")
	}
	s := Spec{DefaultJVM: true, HeapMB: 100, Java: []string{"-Da=b"}}
	if tuned(s) || !slices.Contains(s.javaOptions(), "-Da=b") {
		t.Errorf("%q", s.javaOptions())
	}
}

// fill creates n nodes through a member.
func fill(t *testing.T, m *Member, prefix string, n int) {
	t.Helper()
	s, err := integration.Connect(m.Addr(), integration.ConnectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Drop()
	for i := range n {
		if _, err := s.Create(fmt.Sprintf("/%s%d", prefix, i), []byte(prefix), 0); err != nil {
			t.Fatal(err)
		}
	}
}

// Everything that can be done to a member is done to Java members, and their
// trees are equal afterwards.
func TestJavaEnsemble(t *testing.T) {
	e := ForTest(t, Spec{Voters: []Kind{debian, debian, debian}, Observers: []Kind{debian}})
	observer := e.Member(4)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	next := func(not *Member) *Member {
		t.Helper()
		leader, err := e.AwaitLeader()
		must(err)
		if leader == not {
			t.Fatalf("%v leads", leader)
		}
		must(e.AwaitSynced())
		return leader
	}
	first := next(nil)
	fill(t, observer, "a", 5)
	first.Kill()
	second := next(first)
	fill(t, observer, "b", 5)
	must(first.Replace(debian))
	must(first.Start())
	must(first.AwaitSynced())
	must(second.Pause())
	third := next(second)
	must(second.Resume())
	must(observer.Stop())
	fill(t, third, "c", 5)
	must(e.Start())
	nodes, err := e.Compare()
	if err != nil || nodes != 4+15 {
		t.Fatalf("%d nodes: %v", nodes, err)
	}
}

// An ensemble with two configurations of members' trees is told apart: two
// standalone ensembles that were written differently stand in for a member that
// lost a write.
func TestCompareFindsDifferences(t *testing.T) {
	a := ForTest(t, Spec{Voters: []Kind{debian}})
	b := ForTest(t, Spec{Voters: []Kind{debian}})
	fill(t, a.Member(1), "x", 2)
	fill(t, b.Member(1), "x", 1)
	both := &Ensemble{Members: []*Member{a.Member(1), b.Member(1)}}
	_, err := both.compare()
	if err == nil || !strings.Contains(err.Error(), "/x1 is missing") {
		t.Errorf("%v", err)
	}
}

// A member that cannot serve is told with what it printed, not waited for.
func TestMemberThatEnds(t *testing.T) {
	e := LaidOut(t, Spec{Voters: []Kind{debian}, Options: integration.Options{"tickTime": "nonsense"}})
	err := e.Start()
	if err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("%v", err)
	}
}

// Processes of an ensemble that was closed are gone.
func TestCloseEndsProcesses(t *testing.T) {
	e := ForTest(t, Spec{Voters: []Kind{debian}})
	s, err := integration.Connect(e.Member(1).Addr(), integration.ConnectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Drop()
	if _, err := s.Create("/gone", nil, wire.FlagEphemeral); err != nil {
		t.Fatal(err)
	}
	pid := e.Member(1).Pid()
	if err := e.Member(1).Pause(); err != nil {
		t.Fatal(err)
	}
	e.Close()
	if err := syscall.Kill(pid, 0); err == nil {
		t.Errorf("process %d is there", pid)
	}
}
