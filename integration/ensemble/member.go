//go:build linux

package ensemble

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/quorate/quorate/integration"
)

// Member is one server of an ensemble, running or not. Its methods may be
// called by several goroutines; those that start and stop it wait for each
// other.
type Member struct {
	ID       int
	Observer bool
	Address  Address
	Dir      string // holds zoo.cfg, the data directory and the logs

	ensemble *Ensemble
	mu       sync.Mutex // of what follows
	kind     Kind
	runs     []*process
}

// Addr returns host:port for clients.
func (m *Member) Addr() string {
	return net.JoinHostPort(m.Address.Host, strconv.Itoa(m.Address.Client))
}

// DataDir returns the data directory, which holds myid.
func (m *Member) DataDir() string { return filepath.Join(m.Dir, "data") }

// Kind returns what the member runs, or will run when it starts.
func (m *Member) Kind() Kind {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.kind
}

// String names the member for people: "2 (3.8)".
func (m *Member) String() string { return fmt.Sprintf("%d (%s)", m.ID, m.Kind()) }

// current returns the last run, nil before the first.
func (m *Member) current() *process {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.runs) == 0 {
		return nil
	}
	return m.runs[len(m.runs)-1]
}

// Running reports whether there is a process, stopped by SIGSTOP or not.
func (m *Member) Running() bool {
	p := m.current()
	return p != nil && p.running()
}

// Responsive reports whether there is a process that SIGSTOP does not hold.
func (m *Member) Responsive() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.runs) > 0 && m.runs[len(m.runs)-1].running() && !m.runs[len(m.runs)-1].stopped
}

// Done is closed when the present run ends; nil before the first start.
func (m *Member) Done() <-chan struct{} {
	if p := m.current(); p != nil {
		return p.done
	}
	return nil
}

// Pid returns the id of the present process, 0 before the first start.
func (m *Member) Pid() int {
	if p := m.current(); p != nil {
		return p.cmd.Process.Pid
	}
	return 0
}

// Start starts the member on its own data and returns at once.
func (m *Member) Start() error {
	if m.Running() {
		return fmt.Errorf("member %v is running", m)
	}
	if err := os.MkdirAll(m.DataDir(), 0o755); err != nil {
		return err
	}
	cfg := filepath.Join(m.Dir, "zoo.cfg")
	err := errors.Join(
		os.WriteFile(filepath.Join(m.DataDir(), "myid"), fmt.Appendln(nil, m.ID), 0o644),
		os.WriteFile(cfg, []byte(m.ensemble.config(m)), 0o644),
	)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	cmd, err := integration.ServerCommand(m.kind, cfg, m.ensemble.spec.javaOptions()...)
	if err != nil {
		return err
	}
	cmd.Dir = m.Dir
	log := filepath.Join(m.Dir, fmt.Sprintf("run-%03d-%s.log", len(m.runs)+1, m.kind))
	p, err := launch(m.ensemble.place, m.ID, cmd, log)
	if err != nil {
		return fmt.Errorf("member %d: %w", m.ID, err)
	}
	m.runs = append(m.runs, p)
	return nil
}

// Kill ends the process with SIGKILL, if there is one, and waits for it.
func (m *Member) Kill() {
	if p := m.current(); p != nil {
		p.kill()
	}
}

// Stop ends the process with SIGTERM, if there is one, and waits for it.
func (m *Member) Stop() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.runs) == 0 {
		return nil
	}
	return m.runs[len(m.runs)-1].terminate()
}

// Pause sends SIGSTOP: the process holds its sockets and does nothing.
func (m *Member) Pause() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.runs[len(m.runs)-1].pause()
}

// Resume sends SIGCONT to a paused member.
func (m *Member) Resume() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.runs[len(m.runs)-1].resume()
}

// Empty removes all data of the member. It must not be running.
func (m *Member) Empty() error {
	if m.Running() {
		return fmt.Errorf("member %v is running", m)
	}
	return os.RemoveAll(m.DataDir()) // the start makes it again, with myid
}

// Replace decides what the member runs from its next start on. It must not be
// running.
func (m *Member) Replace(k Kind) error {
	if m.Running() {
		return fmt.Errorf("member %v is running", m)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kind = k
	return nil
}

// LastLines returns the end of what the present run printed.
func (m *Member) LastLines(n int) string {
	if p := m.current(); p != nil {
		return p.lastLines(n)
	}
	return ""
}
