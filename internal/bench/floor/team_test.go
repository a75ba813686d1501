//go:build linux

package floor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/internal/bench"
)

// members is a team in this process.
type members struct {
	addrs []string
	dirs  []string
	stops []context.CancelFunc
	ended []chan error
}

func startTeam(t *testing.T) *members {
	t.Helper()
	m := &members{}
	lines := ""
	for id := 1; id <= 3; id++ {
		lines += fmt.Sprintf("server.%d=127.0.0.1:%d:1\n", id, port(freeAddr(t)))
	}
	for id := 1; id <= 3; id++ {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "myid"), []byte(strconv.Itoa(id)+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		addr := freeAddr(t)
		cfg := writeConfig(t, dir, fmt.Sprintf("dataDir=%s\nclientPort=%d\n%s", dir, port(addr), lines))
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- Serve(ctx, cfg) }()
		m.addrs, m.dirs = append(m.addrs, addr), append(m.dirs, dir)
		m.stops, m.ended = append(m.stops, stop), append(m.ended, ended)
	}
	return m
}

func freeAddr(t *testing.T) string {
	t.Helper()
	addr, err := bench.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

func awaitServer(t *testing.T, addr string) {
	t.Helper()
	for limit := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		s, err := bench.Dial(t.Context(), addr, bench.DialOptions{})
		if err == nil {
			s.Close()
			return
		}
		if time.Now().After(limit) {
			t.Fatal(err)
		}
	}
}

// What clients ask of any member is on the disk of both followers before it is answered.
func TestTeam(t *testing.T) {
	m := startTeam(t)
	for _, addr := range m.addrs {
		awaitServer(t, addr)
	}
	rep, err := bench.Run(t.Context(), bench.Config{
		Workloads: []bench.Workload{bench.Set, bench.Create, bench.Get}, Servers: m.addrs, Connections: 6, InFlight: []int{1, 8},
		Rounds: 1, Ops: 2000, Progress: io.Discard,
	})
	wantFigures(t, rep, err)
	var logs []string
	for _, dir := range m.dirs[1:] {
		b, err := os.ReadFile(filepath.Join(dir, "floor.log"))
		if err != nil {
			t.Fatal(err)
		}
		logs = append(logs, strings.TrimRight(string(b), "\x00"))
	}
	if len(logs[0]) < 4000*tellHeaderBytes || logs[0] != logs[1] {
		t.Errorf("the followers' logs have %d and %d bytes, and are to be alike", len(logs[0]), len(logs[1]))
	}
	// When one goes, all do: the others say who.
	m.stops[1]()
	for i, want := range []string{"member 2 has gone", "", "member 1 has gone"} {
		if got := fmt.Sprint(<-m.ended[i]); want != "" && !strings.Contains(got, want) {
			t.Errorf("member %d ended with %s, want %s", i+1, got, want)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"dataDir=x\n":                                "no clientPort",
		"clientPort=1\nserver.x=a:1:2\n":             "server.x=a:1:2 is no server",
		"clientPort=1\nserver.1=a:1\n":               "server.1=a:1 is no server",
		"clientPort=1\nserver.1=a:1:2\ndataDir=/-\n": "no such file",
	} {
		if _, err := readConfig(writeConfig(t, dir, text)); !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "myid"), []byte("7"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readConfig(writeConfig(t, dir, "clientPort=1\nserver.1=a:1:2\ndataDir="+dir+"\n")); !strings.Contains(fmt.Sprint(err), "7 is none of the servers") {
		t.Error(err)
	}
}

// Who connects to the leader and says nothing does not keep it waiting for longer than members may take.
func TestSilentMember(t *testing.T) {
	addr := freeAddr(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := gather(ctx, config{self: 1, members: map[int]string{1: addr, 2: addr}})
		ended <- err
	}()
	for {
		nc, err := net.Dial("tcp", addr)
		if err == nil {
			defer nc.Close()
			break
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("ended with %v", err)
	}
}
