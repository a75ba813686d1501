package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait of this package. It is a guard against hanging,
// never an expectation.
const patience = 60 * time.Second

// Process is a program that a test started. It is stopped by its pid, and its
// output is kept.
type Process struct {
	name string
	cmd  *exec.Cmd
	out  *tail
	done chan struct{}
	err  error // of Wait, set before done is closed
}

// StartProcess starts cmd with its output gathered; dir is where it runs.
func StartProcess(name, dir string, cmd *exec.Cmd) (*Process, error) {
	p := &Process{name: name, cmd: cmd, out: &tail{max: 256 << 10}, done: make(chan struct{})}
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, p.out, p.out
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		defer close(p.done)
		p.err = cmd.Wait()
	}()
	return p, nil
}

// Pid returns the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Running reports whether the process has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Output returns what the process has printed, the last part of it when that
// is long.
func (p *Process) Output() string { return p.out.String() }

// LastLines returns the end of the output, for a test's log.
func (p *Process) LastLines() string {
	lines := strings.SplitAfter(p.Output(), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "")
}

// Signal sends sig and returns at once.
func (p *Process) Signal(sig syscall.Signal) error {
	return p.cmd.Process.Signal(sig)
}

// Kill ends the process with SIGKILL and waits for it.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Terminate asks with SIGTERM, waits, and kills what does not go. It returns
// the exit code, -1 when a signal ended the process.
func (p *Process) Terminate() int {
	_ = p.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(patience):
		p.Kill()
	}
	return p.cmd.ProcessState.ExitCode()
}

// tail keeps the last max bytes written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
	max int
}

func (w *tail) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = append(w.buf, b...)
	if len(w.buf) > 2*w.max {
		w.buf = append(w.buf[:0], w.buf[len(w.buf)-w.max:]...)
	}
	return len(b), nil
}

func (w *tail) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.buf)
}

// RunCommand runs a client program to its end and returns its standard output,
// standard error and exit code. A program that does not end is an error.
func RunCommand(dir string, env []string, stdin string, name string, args ...string) (stdout, stderr string, code int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var o, e bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &o, &e
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin = strings.NewReader(stdin)
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		return o.String(), e.String(), exit.ExitCode(), nil
	}
	return o.String(), e.String(), 0, err
}

// interopRequired tells whether a missing peer is a failure.
func interopRequired() bool { return os.Getenv("QUORATE_INTEROP") == "required" }

// NeedPeer skips the test when a peer it needs is missing, or fails it when
// QUORATE_INTEROP=required. Under -short every such test is skipped, unless
// it is required.
func NeedPeer(t testing.TB, what string, missing error) {
	t.Helper()
	switch {
	case missing != nil && interopRequired():
		t.Fatalf("QUORATE_INTEROP=required, but %s is missing: %v", what, missing)
	case missing != nil:
		t.Skipf("needs %s: %v", what, missing)
	case testing.Short() && !interopRequired():
		t.Skipf("needs %s, and -short was given", what)
	}
}

// executable returns the first of the given programs that exists: a path, or
// a name to look up.
func executable(names ...string) (string, error) {
	for _, n := range names {
		if p, err := exec.LookPath(n); err == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("none of %s is installed", strings.Join(names, ", "))
}

// file returns the first of the given paths or patterns that exists.
func file(patterns ...string) (string, error) {
	for _, p := range patterns {
		if found, _ := filepath.Glob(p); len(found) > 0 {
			return found[0], nil
		}
	}
	return "", fmt.Errorf("none of %s exists", strings.Join(patterns, ", "))
}

// patientRetry repeats try until it succeeds, pausing a moment between the
// attempts, and returns its last error when it never does.
func patientRetry(try func() error) error {
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		err := try()
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}
