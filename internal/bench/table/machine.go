package table

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// Machine is what the figures depend on.
type Machine struct {
	CPU        string   `json:"cpu"`
	Processors int      `json:"processors"`
	Kernel     string   `json:"kernel"`
	Date       string   `json:"date"`
	Command    string   `json:"command"`
	Versions   []string `json:"versions"`
}

// DescribeMachine says where and by which command the figures are taken; the
// arguments of this process are appended to the command. What it cannot find
// out it leaves empty.
func DescribeMachine(ctx context.Context, command string) Machine {
	m := Machine{Processors: runtime.NumCPU(), Date: time.Now().UTC().Format("2006-01-02 15:04 UTC"), Command: command}
	for _, arg := range os.Args[1:] {
		m.Command += " " + arg
	}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if _, model, ok := strings.Cut(line, ": "); ok && strings.HasPrefix(line, "model name") {
				m.CPU = strings.TrimSpace(model)
			}
		}
	}
	m.Kernel = FirstLine(ctx, "uname", "-sr")
	return m
}

// String names the machine and the day.
func (m Machine) String() string {
	return fmt.Sprintf("%s, %d processors, %s; %s", m.CPU, m.Processors, m.Kernel, m.Date)
}

// FirstLine runs a program and returns the first line it prints, such as its
// version; empty if it cannot be run.
func FirstLine(ctx context.Context, name string, args ...string) string {
	out, _ := exec.CommandContext(ctx, name, args...).CombinedOutput()
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}
