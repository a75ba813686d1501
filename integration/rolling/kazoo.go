//go:build linux

package main

import (
	"bufio"
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

//go:embed lock.py
var lockScript []byte

// kazoo is a Python client that takes a lock, again and again.
type kazoo struct {
	cmd *exec.Cmd
	out bytes.Buffer
	err bytes.Buffer
}

// startKazoo starts one. Debian's Python has Debian's kazoo.
func startKazoo(dir string, addrs []string) (*kazoo, error) {
	script := filepath.Join(dir, "lock.py")
	if err := os.WriteFile(script, lockScript, 0o600); err != nil {
		return nil, err
	}
	k := &kazoo{cmd: exec.Command("/usr/bin/python3", script, strings.Join(addrs, ","))} //nolint:gosec // our own script
	k.cmd.Stdout, k.cmd.Stderr = &k.out, &k.err
	k.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := k.cmd.Start(); err != nil {
		return nil, fmt.Errorf("kazoo: %w", err)
	}
	return k, nil
}

// finish ends the client, which tells how often it had the lock, and whether it ever
// found somebody else in it.
func (k *kazoo) finish() (turns int, err error) {
	if err := k.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return 0, fmt.Errorf("kazoo: %w", err)
	}
	err = k.cmd.Wait()
	for s := bufio.NewScanner(&k.out); s.Scan(); {
		if n, ok := strings.CutPrefix(s.Text(), "turns "); ok {
			turns, _ = strconv.Atoi(n)
		}
	}
	if err != nil {
		return turns, fmt.Errorf("kazoo: %w: %s", err, k.err.String())
	}
	if turns == 0 {
		return 0, errors.New("kazoo never had the lock")
	}
	return turns, nil
}

func (k *kazoo) kill() {
	if k.cmd.ProcessState == nil {
		_ = k.cmd.Process.Kill()
		_ = k.cmd.Wait()
	}
}
