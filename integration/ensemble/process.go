//go:build linux

package ensemble

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// patience bounds every wait of this package. It is a guard against hanging,
// never an expectation.
const patience = 2 * time.Minute

// process is one run of a member: from a start to an exit.
type process struct {
	cmd  *exec.Cmd
	log  string // path of what it printed
	done chan struct{}
	// stopped tells that it was sent SIGSTOP.
	stopped bool
}

// launch starts cmd in place with its output in a file. The process is killed
// when this one ends, however it ends.
func launch(place Place, id int, cmd *exec.Cmd, log string) (*process, error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if err := place.Start(id, cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	p := &process{cmd: cmd, log: log, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // the state holds how it ended
	}()
	return p, nil
}

func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// terminate asks with SIGTERM, and kills what does not go within the patience.
func (p *process) terminate() error {
	if !p.running() {
		return nil
	}
	if err := p.resume(); err != nil {
		return err
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return nil
	case <-time.After(patience):
		p.kill()
		return fmt.Errorf("process %d did not end %v after SIGTERM", p.cmd.Process.Pid, patience)
	}
}

// pause sends SIGSTOP and waits until it has reached every thread: one of them
// might do much until then.
func (p *process) pause() error {
	p.stopped = true
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	return Await(fmt.Sprintf("the threads of process %d to stop", p.cmd.Process.Pid), p.threadsStopped)
}

func (p *process) threadsStopped() error {
	all, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.cmd.Process.Pid))
	if err != nil {
		return err
	}
	for _, path := range all {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // the thread has ended
		}
		if err != nil {
			return err
		}
		// The name of the thread, in brackets, may hold anything.
		_, state, _ := strings.Cut(string(text[bytes.LastIndexByte(text, ')')+1:]), " ")
		if !strings.HasPrefix(state, "T") {
			return fmt.Errorf("%s is in state %.1s", path, state)
		}
	}
	return nil
}

func (p *process) resume() error {
	if !p.stopped {
		return nil
	}
	p.stopped = false
	return p.cmd.Process.Signal(syscall.SIGCONT)
}

// lastLines returns the end of what it printed.
func (p *process) lastLines(n int) string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.SplitAfter(string(b), "\n")
	return strings.Join(lines[max(0, len(lines)-n-1):], "")
}
