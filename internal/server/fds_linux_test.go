package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// fewDescriptors is the environment variable by which the test below has itself run
// with a limit of open files.
const fewDescriptors = "QUORATE_TEST_FEW_DESCRIPTORS"

// TestIdleSocketsLeaveDescriptors: a server that may open 150 files is offered 300
// connections that say nothing. It goes on, begins new log files, writes checkpoints,
// and says what it refuses, but not each time.
func TestIdleSocketsLeaveDescriptors(t *testing.T) {
	if dir := os.Getenv(fewDescriptors); dir != "" {
		serveWithFewDescriptors(t, dir)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestIdleSocketsLeaveDescriptors$")
	cmd.Env = append(os.Environ(), fewDescriptors+"="+t.TempDir())
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	addr, err := lines.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	r := &running{t: t, addr: strings.TrimSpace(addr)}
	c := r.client()
	began := time.Now()
	for i := range 300 {
		nc, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if i%10 == 0 {
			c.create(name("/n%d", i), strings.Repeat("data", 600))
		}
	}
	for i := range 200 {
		c.set("/n0", strings.Repeat(fmt.Sprint(i%10), 2000))
	}
	seconds := int(time.Since(began).Seconds())
	_ = in.Close()
	rest, _ := io.ReadAll(lines)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, rest, log.String())
	}
	refused := strings.Count(log.String(), "a connection is refused")
	if refused == 0 || refused > 2+seconds {
		t.Errorf("%d lines about refused connections in %d s:\n%s", refused, seconds, log.String())
	}
	for _, bad := range []string{"too many open files", "error"} {
		if strings.Contains(log.String(), bad) {
			t.Errorf("the log says %q:\n%s", bad, log.String())
		}
	}
}

// serveWithFewDescriptors serves until standard input ends.
func serveWithFewDescriptors(t *testing.T, dir string) {
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 150, Max: 150}); err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(dir)
	cfg.SnapCount, cfg.LogRollBytes, cfg.LogRetainBytes = 40, 20_000, 1<<20
	cfg.Log = zap.New(zapcore.NewCore(
		zapcore.NewConsoleEncoder(zap.NewProductionEncoderConfig()), zapcore.Lock(os.Stderr), zapcore.InfoLevel))
	r := start(t, cfg)
	fmt.Println(r.addr)
	_, _ = io.Copy(io.Discard, os.Stdin)
	r.stop()
}

func TestRarely(t *testing.T) {
	var r rarely
	passed := 0
	for now := int64(5000); now < 8000; now++ {
		if r.pass(now) {
			passed++
		}
	}
	if passed != 3 {
		t.Errorf("passed %d times in 3 s", passed)
	}
}
