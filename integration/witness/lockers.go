//go:build linux

package witness

import (
	"bufio"
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/quorate/quorate/integration"
)

//go:embed lock.py
var kazooScript []byte

//go:embed Lock.java
var curatorProgram []byte

// Locker is a program in another language whose clients take a lock, again and
// again. All of one kind on one ensemble share the lock.
type Locker struct {
	Name string // of the library

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

// StartKazoo starts a client of kazoo with its script in dir. Debian's Python has
// Debian's kazoo. The loss of a session is an error unless it mayExpire.
func StartKazoo(dir string, addrs []string, sessionTimeout time.Duration, mayExpire bool) (*Locker, error) {
	script := filepath.Join(dir, "lock.py")
	if err := os.WriteFile(script, kazooScript, 0o600); err != nil {
		return nil, err
	}
	args := []string{script, strings.Join(addrs, ","), fmt.Sprint(sessionTimeout.Seconds())}
	if mayExpire {
		args = append(args, "may-expire")
	}
	return startLocker("kazoo", exec.Command("/usr/bin/python3", args...)) //nolint:gosec // our own script
}

// CuratorMissing tells why there is no Curator here, nil when there is.
func CuratorMissing() error {
	_, err := integration.CuratorClassPath()
	return err
}

// StartCurator starts two clients of Curator in one Java process, with its source in
// dir. The loss of a session is an error.
func StartCurator(dir string, addrs []string, sessionTimeout time.Duration) (*Locker, error) {
	cp, err := integration.CuratorClassPath()
	if err != nil {
		return nil, err
	}
	source := filepath.Join(dir, "Lock.java")
	if err := os.WriteFile(source, curatorProgram, 0o600); err != nil {
		return nil, err
	}
	return startLocker("Curator", exec.Command("java", "-Xmx100m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-cp", cp, source, strings.Join(addrs, ","), fmt.Sprint(sessionTimeout.Milliseconds()))) //nolint:gosec // our own program
}

func startLocker(name string, cmd *exec.Cmd) (*Locker, error) {
	l := &Locker{Name: name, cmd: cmd, done: make(chan struct{})}
	l.cmd.Stdout, l.cmd.Stderr = &l.out, &l.err
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := l.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() {
		defer close(l.done)
		l.ended = l.cmd.Wait()
	}()
	return l, nil
}

// lockerPatience is how long a client may take to give the lock back and end.
const lockerPatience = 2 * time.Minute

// Finish ends the client, which tells how often it had the lock, and whether it
// ever found somebody else in it. All servers must serve.
func (l *Locker) Finish() (turns int, err error) {
	_ = l.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself, with an error
	select {
	case <-l.done:
		err = l.ended
	case <-time.After(lockerPatience):
		l.Kill()
		err = fmt.Errorf("it did not end within %v", lockerPatience)
	}
	for s := bufio.NewScanner(&l.out); s.Scan(); {
		if n, ok := strings.CutPrefix(s.Text(), "turns "); ok {
			turns, _ = strconv.Atoi(n)
		}
	}
	if err != nil {
		return turns, fmt.Errorf("%s: %w: %s%s", l.Name, err, l.out.String(), l.err.String())
	}
	if turns == 0 {
		return 0, fmt.Errorf("%s never had the lock", l.Name)
	}
	return turns, nil
}

// Kill ends the client at once, if it has not ended.
func (l *Locker) Kill() {
	_ = l.cmd.Process.Kill()
	<-l.done
}
