//go:build linux

package witness

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
	"time"
)

//go:embed lock.py
var lockScript []byte

// Kazoo is a Python client that takes a lock, again and again. All of them on
// one ensemble share the lock.
type Kazoo struct {
	cmd  *exec.Cmd
	out  bytes.Buffer
	err  bytes.Buffer
	done chan struct{}
	// ended is how the process ended, when done is closed.
	ended error
}

// KazooMissing tells why there is no kazoo here, nil when there is.
func KazooMissing() error {
	_, err := os.Stat("/usr/lib/python3/dist-packages/kazoo")
	return err
}

// StartKazoo starts a client with its script in dir. Debian's Python has
// Debian's kazoo. The loss of a session is an error unless it mayExpire.
func StartKazoo(dir string, addrs []string, sessionTimeout time.Duration, mayExpire bool) (*Kazoo, error) {
	script := filepath.Join(dir, "lock.py")
	if err := os.WriteFile(script, lockScript, 0o600); err != nil {
		return nil, err
	}
	args := []string{script, strings.Join(addrs, ","), fmt.Sprint(sessionTimeout.Seconds())}
	if mayExpire {
		args = append(args, "may-expire")
	}
	k := &Kazoo{cmd: exec.Command("/usr/bin/python3", args...), done: make(chan struct{})} //nolint:gosec // our own script
	k.cmd.Stdout, k.cmd.Stderr = &k.out, &k.err
	k.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := k.cmd.Start(); err != nil {
		return nil, fmt.Errorf("kazoo: %w", err)
	}
	go func() {
		defer close(k.done)
		k.ended = k.cmd.Wait()
	}()
	return k, nil
}

// kazooPatience is how long a client may take to give the lock back and end.
const kazooPatience = 2 * time.Minute

// Finish ends the client, which tells how often it had the lock, and whether it
// ever found somebody else in it. All servers must serve.
func (k *Kazoo) Finish() (turns int, err error) {
	_ = k.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself, with an error
	select {
	case <-k.done:
		err = k.ended
	case <-time.After(kazooPatience):
		k.Kill()
		err = fmt.Errorf("it did not end within %v", kazooPatience)
	}
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

// Kill ends the client at once, if it has not ended.
func (k *Kazoo) Kill() {
	_ = k.cmd.Process.Kill()
	<-k.done
}
