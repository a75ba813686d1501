//go:build linux

package crash

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/integration/ensemble"
)

// variable holds the order for a process that traces.
const variable = "QUORATE_CRASH"

// Order says when a process is to die.
type Order struct {
	// Dir holds the files that count; Ports are those to which sending counts.
	Dir   string
	Ports []int
	// From is part of the text of the first step that counts.
	From string
	// At is the step to die at, from 1; 0 is never.
	At int
	// Steps is the file to which the steps are written, one a line.
	Steps string
}

// Main makes this process trace another when it was started for that, and
// does not return then. Every TestMain with a [Place] calls it first.
func Main() {
	text := os.Getenv(variable)
	if text == "" {
		return
	}
	var o Order
	err := json.Unmarshal([]byte(text), &o)
	if err == nil {
		err = trace(o, os.Args[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "crash:", err)
		os.Exit(3)
	}
	os.Exit(0)
}

// Need skips the test where processes cannot be traced, or fails it when peers
// are required.
func Need(t testing.TB) {
	t.Helper()
	integration.NeedPeer(t, "ptrace on amd64", available())
}

// Place is a place whose members can be told to die.
type Place struct {
	ensemble.Place

	mu    sync.Mutex
	order map[int]Order
}

// In returns a place where members live as in another one.
func In(p ensemble.Place) *Place { return &Place{Place: p, order: map[int]Order{}} }

// Let gives the order for the next start of a member. The steps that count are
// those that other members can see, or that change its data directory, from the
// first packet to a leader on.
func (p *Place) Let(m *ensemble.Member, others []*ensemble.Member, at int) error {
	o := Order{Dir: m.DataDir(), From: "send", At: at, Steps: filepath.Join(m.Dir, "steps")}
	for _, other := range others {
		o.Ports = append(o.Ports, other.Address.Quorum)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.order[m.ID] = o
	return os.WriteFile(o.Steps, nil, 0o600)
}

// Start implements [ensemble.Place].
func (p *Place) Start(id int, cmd *exec.Cmd) error {
	p.mu.Lock()
	o, ok := p.order[id]
	delete(p.order, id)
	p.mu.Unlock()
	if ok {
		if err := o.wrap(cmd); err != nil {
			return err
		}
	}
	return p.Place.Start(id, cmd)
}

// wrap makes a command run under a tracer.
func (o Order) wrap(cmd *exec.Cmd) error {
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Args = append([]string{self, cmd.Path}, cmd.Args[1:]...)
	cmd.Path, cmd.Env = self, append(cmd.Env, variable+"="+string(text))
	return nil
}

// Steps returns the steps that a member has done in its last run under an
// order. The last one is that at which it died, if it did.
func Steps(m *ensemble.Member) ([]string, error) { return readSteps(filepath.Join(m.Dir, "steps")) }

func readSteps(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		out = append(out, strings.TrimSpace(lines.Text()))
	}
	return out, lines.Err()
}
