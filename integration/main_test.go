package integration

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"sync"
	"testing"
)

var (
	rewriteFlag = flag.Bool("rewrite", false, "write the answers of ZooKeeper 3.9 into the scripts; review the diff")
	flavorFlag  = flag.String("flavor", "", "run scripts against this kind of server only: quorate, 3.8 or 3.9")
)

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	pool.stop()
	RemoveBuild()
	os.Exit(code)
}

// pool holds servers that tests share, by flavor and options, so that starting
// them is paid for once. A server is lent to one test at a time.
var pool = &serverPool{servers: map[string]*sharedServer{}}

type serverPool struct {
	mu      sync.Mutex
	servers map[string]*sharedServer
}

type sharedServer struct {
	lent sync.Mutex
	*Server
	err error
}

// borrow lends a server to t until it ends. A server that has died is started
// again for the next test, after the one that found it dead has failed. One on
// which a test has left sessions is replaced: they would expire at some time,
// each with a transaction that the next test did not ask for.
func (p *serverPool) borrow(t *testing.T, f Flavor, o Options) *Server {
	t.Helper()
	needFlavor(t, f)
	key := fmt.Sprint(f, " ", o.merged().key())
	p.mu.Lock()
	s := p.servers[key]
	if s == nil {
		s = &sharedServer{}
		p.servers[key] = s
	}
	p.mu.Unlock()
	s.lent.Lock()
	t.Cleanup(s.lent.Unlock)
	if s.haunted() {
		s.dispose()
	}
	if s.err == nil && (s.Server == nil || !s.Running()) {
		s.Server, s.err = startIn(f, o)
	}
	if s.err != nil { // not tried again: every test would wait for it
		t.Fatal(s.err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the server printed:\n%s", s.LastLines())
		}
		if !s.Running() {
			t.Errorf("the server ended during the test:\n%s", s.LastLines())
		}
	})
	return s.Server
}

// haunted reports whether the server runs and has sessions, which nobody uses
// while it is lent to nobody.
func (s *sharedServer) haunted() bool {
	if s.Server == nil || !s.Running() {
		return false
	}
	dump, err := FourLetterWord(s.Addr, "dump")
	return err == nil && !noSessions.MatchString(dump)
}

// noSessions is what the word dump says of a server without sessions. Java may
// still have a bucket for them.
var noSessions = regexp.MustCompile(`(?m)^Session Sets \(\d+\)/\(0\):`)

// dispose ends the server and removes what it has written.
func (s *sharedServer) dispose() {
	s.Terminate()
	os.RemoveAll(s.Dir)
	s.Server = nil
}

// startIn starts a server whose directory outlives the test.
func startIn(f Flavor, o Options) (*Server, error) {
	dir, err := os.MkdirTemp("", "quorate-integration")
	if err != nil {
		return nil, err
	}
	s, err := StartServer(f, dir, o)
	if err != nil {
		os.RemoveAll(dir)
	}
	return s, err
}

func (p *serverPool) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.servers {
		if s.Server != nil {
			s.dispose()
		}
	}
}

// needFlavor skips or fails a test whose server cannot be started here. Quorate
// itself is never missing.
func needFlavor(t testing.TB, f Flavor) {
	t.Helper()
	err := Available(f)
	if f == Quorate {
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	NeedPeer(t, "ZooKeeper "+string(f), err)
}

// newServer starts a server for this test alone, in a directory of the test.
func newServer(t *testing.T, f Flavor, o Options) *Server {
	t.Helper()
	needFlavor(t, f)
	s, err := StartServer(f, t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Terminate()
		if t.Failed() {
			t.Logf("the server printed:\n%s", s.LastLines())
		}
	})
	return s
}

// eachFlavor runs a test against every kind of server, Java first to show that
// the test itself is right.
func eachFlavor(t *testing.T, run func(t *testing.T, f Flavor)) {
	for _, f := range []Flavor{ZooKeeper39, ZooKeeper38, Quorate} {
		if *flavorFlag != "" && *flavorFlag != string(f) {
			continue
		}
		t.Run(string(f), func(t *testing.T) { run(t, f) })
	}
}

// TestPoolReplacesHaunted: a test that leaves a session behind must not disturb
// the next one that borrows the same server.
func TestPoolReplacesHaunted(t *testing.T) {
	p := &serverPool{servers: map[string]*sharedServer{}}
	defer p.stop()
	var addrs []string
	for _, leave := range []bool{false, true, false} {
		t.Run(fmt.Sprint("leave=", leave), func(t *testing.T) {
			s, err := Connect(p.borrow(t, Quorate, nil).Addr, ConnectOptions{})
			if err != nil {
				t.Fatal(err)
			}
			addrs = append(addrs, s.RemoteAddr().String())
			if leave {
				s.Drop()
			} else if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
	if len(addrs) != 3 || addrs[0] != addrs[1] || addrs[1] == addrs[2] {
		t.Errorf("servers were lent at %q", addrs)
	}
}
