package bench

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// javaClasspath is where Debian's packages zookeeper and libzookeeper-java put
// the server.
const javaClasspath = "/etc/zookeeper/conf_example:/usr/share/java/zookeeper.jar"

// startJava runs Debian's ZooKeeper until the test ends.
func startJava(t *testing.T) (addr string, pid int) {
	t.Helper()
	_, noJava := exec.LookPath("java")
	_, noJar := os.Stat("/usr/share/java/zookeeper.jar")
	if err := errors.Join(noJava, noJar); err != nil {
		if os.Getenv("QUORATE_INTEROP") == "required" {
			t.Fatal("Debian's ZooKeeper is required: ", err)
		}
		t.Skip("Debian's ZooKeeper is not installed: ", err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	ln.Close()
	dir := t.TempDir()
	cfg := fmt.Sprintf("tickTime=2000\ndataDir=%s\nclientPort=%d\nclientPortAddress=127.0.0.1\nmaxClientCnxns=0\nadmin.enableServer=false\n", dir, port)
	file := filepath.Join(dir, "zoo.cfg")
	if err := os.WriteFile(file, []byte(cfg), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("java", "-cp", javaClasspath, "org.apache.zookeeper.server.quorum.QuorumPeerMain", file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return fmt.Sprintf("127.0.0.1:%d", port), cmd.Process.Pid
}

// waitServing returns once the server gives sessions. One that is starting may
// accept a connection and never answer it.
func waitServing(t *testing.T, addr string) {
	t.Helper()
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	limit := time.After(time.Minute)
	for {
		s, err := Dial(t.Context(), addr, DialOptions{ReplyTimeout: time.Second})
		if err == nil {
			s.Close()
			return
		}
		select {
		case <-poll.C:
		case <-limit:
			t.Fatalf("no session from %s: %v", addr, err)
		}
	}
}

// Every workload runs on a real ZooKeeper without a single error code, and
// leaves nothing behind.
func TestWorkloadsOnZooKeeper(t *testing.T) {
	addr, pid := startJava(t)
	waitServing(t, addr)
	c := Config{
		Servers: []string{addr}, PIDs: []int{pid}, Workloads: append(everyday, Load, IdleTail, CheckpointTail),
		InFlight: []int{16}, Connections: 4, Watchers: 100, Nodes: 3500, Ops: 2000, Warmup: -1,
	}
	rep, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rep.Results {
		if r.Ops < 2000 || len(r.Errors) != 0 {
			t.Errorf("%s: %d operations, errors %v", r.Workload, r.Ops, r.Errors)
		}
	}
	s, err := Dial(t.Context(), addr, DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if names, err := s.children("/"); err != nil || len(names) != 1 {
		t.Errorf("left behind: %v, %v", names, err)
	}
}
