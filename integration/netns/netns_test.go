//go:build linux

package netns

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if addr := os.Getenv("QUORATE_ECHO"); addr != "" {
		echo(addr)
	}
	os.Exit(Sandboxed(m.Run))
}

// echo sends back what comes, for a test that starts this binary in another
// namespace.
func echo(addr string) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		panic(err)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			panic(err)
		}
		go func() {
			defer c.Close()
			_, _ = io.Copy(c, c)
		}()
	}
}

// echoes makes a network with an echo on each member and returns connections to
// them.
func echoes(t *testing.T, n int) (*Network, []net.Conn) {
	t.Helper()
	Need(t)
	w, err := NewNetwork(n, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	conns := []net.Conn{nil}
	for id := 1; id <= n; id++ {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), "QUORATE_ECHO=:7")
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := w.Start(id, cmd); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		conns = append(conns, dial(t, w.host(id)+":7"))
	}
	return w, conns
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			t.Cleanup(func() { c.Close() })
			return c
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// ask sends text and returns how long the echo took.
func ask(c net.Conn, text []byte, patience time.Duration) (time.Duration, error) {
	begun := time.Now()
	if err := c.SetDeadline(begun.Add(patience)); err != nil {
		return 0, err
	}
	done := make(chan error, 1)
	go func() { _, err := c.Write(text); done <- err }()
	got := make([]byte, len(text))
	_, err := io.ReadFull(c, got)
	if err = errors.Join(err, <-done); err == nil && !bytes.Equal(got, text) {
		err = errors.New("the echo is another text")
	}
	return time.Since(begun), err
}

// Bulk passes unharmed, large segments and their checksums included.
func TestNetworkCarriesBulk(t *testing.T) {
	_, conns := echoes(t, 2)
	text := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
	for id := 1; id <= 2; id++ {
		if _, err := ask(conns[id], text, time.Minute); err != nil {
			t.Errorf("member %d: %v", id, err)
		}
	}
}

func TestCutAndHeal(t *testing.T) {
	w, conns := echoes(t, 2)
	for _, cut := range [][2]int{{Clients, 1}, {1, Clients}} { // each direction is enough
		w.Set(cut[0], cut[1], Link{Cut: true})
		if _, err := ask(conns[1], []byte("x"), 300*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("over the cut link %v: %v", cut, err)
		}
		if _, err := ask(conns[2], []byte("x"), time.Minute); err != nil {
			t.Errorf("beside the cut link: %v", err)
		}
		w.Heal()
		conns[1] = dial(t, w.host(1)+":7")
		if _, err := ask(conns[1], []byte("x"), time.Minute); err != nil {
			t.Errorf("after the cut: %v", err)
		}
	}
}

func TestPartitionCutsBothWays(t *testing.T) {
	w, _ := echoes(t, 3)
	w.Partition([]int{1}, []int{2, 3})
	for from := 1; from <= 3; from++ {
		for to := 1; to <= 3; to++ {
			if got, want := w.sw.links[[2]int{from, to}].Cut, (from == 1) != (to == 1); got != want {
				t.Errorf("from %d to %d: cut %v", from, to, got)
			}
		}
	}
	if w.sw.links[[2]int{Clients, 1}].Cut {
		t.Error("clients are cut off")
	}
}

func TestDelayAndLoss(t *testing.T) {
	w, conns := echoes(t, 1)
	w.Set(Clients, 1, Link{Delay: 60 * time.Millisecond, Jitter: 10 * time.Millisecond})
	w.Set(1, Clients, Link{Delay: 40 * time.Millisecond})
	if took, err := ask(conns[1], []byte("x"), time.Minute); err != nil || took < 100*time.Millisecond {
		t.Errorf("with a delay of 100 ms: %v, %v", took, err)
	}
	w.Set(Clients, 1, Link{Loss: 0.2})
	w.Set(1, Clients, Link{Loss: 0.2})
	text := bytes.Repeat([]byte("0123456789abcdef"), 1<<12)
	if _, err := ask(conns[1], text, time.Minute); err != nil {
		t.Errorf("with loss: %v", err)
	}
	w.Set(Clients, 1, Link{Loss: 1})
	if _, err := ask(conns[1], []byte("x"), 300*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("with all lost: %v", err)
	}
}

// A link loses the same frames for the same seed, whatever the others carry.
func TestChanceFollowsFromSeed(t *testing.T) {
	lost := func(seed uint64, others int) string {
		s, err := newSwitch(nil, seed)
		if err != nil {
			t.Fatal(err)
		}
		var out []byte
		for range 100 {
			for other := range others {
				s.random([2]int{2, other}).Float64()
			}
			out = append(out, "01"[s.random([2]int{1, 2}).IntN(2)])
		}
		return string(out)
	}
	if a, b := lost(7, 0), lost(7, 3); a != b {
		t.Errorf("beside other links:\n%s\n%s", a, b)
	}
	if a, b := lost(7, 0), lost(8, 0); a == b {
		t.Errorf("two seeds: %s", a)
	}
}

// Every network of a process, however many there are, has addresses of its own.
func TestManyNetworks(t *testing.T) {
	all := map[string]bool{}
	for number := range 5000 {
		host := (&Network{number: number}).host(5)
		if all[host] || net.ParseIP(host) == nil {
			t.Fatalf("network %d: %s", number, host)
		}
		all[host] = true
	}
	networks.Store(700)
	_, conns := echoes(t, 1)
	if _, err := ask(conns[1], []byte("x"), time.Minute); err != nil {
		t.Error(err)
	}
}

// The sandbox has only its own processes, mounts and interfaces.
func TestSandbox(t *testing.T) {
	Need(t)
	if os.Getpid() != 1 {
		t.Errorf("process id %d", os.Getpid())
	}
	if _, err := os.Stat(filepath.Join("/proc", "self", "ns", "net")); err != nil {
		t.Error(err)
	}
	all, err := net.Interfaces()
	if err != nil || len(all) != 1 || all[0].Name != "lo" {
		t.Errorf("interfaces %v, %v", all, err)
	}
}
