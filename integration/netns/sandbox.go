//go:build linux

package netns

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/quorate/quorate/integration"
)

// inside is the environment variable that tells a process that it is in the
// sandbox.
const inside = "QUORATE_SANDBOX"

// errMissing is why there is no sandbox.
var errMissing = errors.New("the test's main does not call netns.Sandboxed")

// Sandboxed runs run, the tests of a package or a program, in a second process
// of the same binary with namespaces of its own, and returns its exit code.
// Where that cannot be, it runs it in this process, and [Need] tells why.
func Sandboxed(run func() int) int {
	if os.Getenv(inside) != "" {
		errMissing = furnish()
		return run()
	}
	code, err := again()
	if err != nil {
		errMissing = fmt.Errorf("no namespaces can be made (root is needed): %w", err)
		return run()
	}
	return code
}

// again runs this binary in new namespaces. The error is that it could not be
// started.
func again() (int, error) {
	runtime.LockOSThread() // the child dies with the thread that started it
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), inside+"=yes")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	_ = cmd.Wait() // the state has the code
	return cmd.ProcessState.ExitCode(), nil
}

// furnish mounts what the new namespaces need and brings the loopback up.
func furnish() error {
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := syscall.Mount("run", "/run", "tmpfs", 0, "mode=755"); err != nil { // for ip netns
		return fmt.Errorf("mount /run: %w", err)
	}
	return ip("", "link set lo up")
}

// ip runs lines of iproute2, in the named namespace or in this one.
func ip(namespace string, lines ...string) error {
	args := []string{"-batch", "-"}
	if namespace != "" {
		args = append([]string{"-n", namespace}, args...)
	}
	cmd := exec.Command("ip", args...)
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w\n%s", strings.Join(lines, "; "), err, out)
	}
	return nil
}

// Need skips a test when there is no sandbox, or fails it when
// QUORATE_INTEROP=required.
func Need(t testing.TB) {
	t.Helper()
	integration.NeedPeer(t, "network namespaces", errMissing)
}
