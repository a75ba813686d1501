//go:build linux

package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"

	"github.com/quorate/quorate/integration"
)

// daemon is a process of an application, with its output in a file.
type daemon struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

func startDaemon(log string, cmd *exec.Cmd) (*daemon, error) {
	f, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cmd.Stdout, cmd.Stderr = f, f
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true // what it starts goes with it
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	d := &daemon{cmd: cmd, log: log, done: make(chan struct{})}
	go func() {
		defer close(d.done)
		_ = cmd.Wait()
	}()
	return d, nil
}

// kill kills the process and all it has started, and waits for it.
func (d *daemon) kill() {
	if d == nil {
		return
	}
	_ = syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL)
	<-d.done
}

// matching returns the lines of the log that match.
func (d *daemon) matching(pattern *regexp.Regexp) (lines []string, err error) {
	f, err := os.Open(d.log)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if pattern.MatchString(s.Text()) {
			lines = append(lines, s.Text())
		}
	}
	return lines, nil
}

// run runs a client program and returns what it printed.
func run(name string, args ...string) (string, error) {
	out, complaint, code, err := integration.RunCommand("", nil, "", name, args...)
	if err == nil && code != 0 {
		err = fmt.Errorf("exit code %d", code)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(complaint))
	}
	return out, err
}

// freePorts returns ports of 127.0.0.1 that nobody listens on now.
func freePorts(n int) (ports []int, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
