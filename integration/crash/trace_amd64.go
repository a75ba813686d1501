//go:build linux

package crash

import (
	"bytes"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

func available() error { return nil }

// These constants are missing in package syscall.
const (
	optionExitKill   = 1 << 20 // PTRACE_O_EXITKILL
	sysRenameat2     = 316
	sysPwritev2      = 328
	bitOfSyscallStop = 0x80
)

// call says what of a system call is of interest: the argument that is a file
// descriptor, or the one that is a path, -1 if none is.
type call struct {
	name     string
	fd, path int
}

// calls change files or send.
var calls = map[uint64]call{
	syscall.SYS_WRITE: {"write", 0, -1}, syscall.SYS_PWRITE64: {"write", 0, -1}, syscall.SYS_WRITEV: {"write", 0, -1},
	syscall.SYS_PWRITEV: {"write", 0, -1}, sysPwritev2: {"write", 0, -1},
	syscall.SYS_SENDFILE: {"write", 0, -1}, syscall.SYS_SENDTO: {"write", 0, -1}, syscall.SYS_SENDMSG: {"write", 0, -1},
	syscall.SYS_FTRUNCATE: {"cut", 0, -1}, syscall.SYS_FALLOCATE: {"grow", 0, -1},
	syscall.SYS_RENAME: {"rename", -1, 0}, syscall.SYS_RENAMEAT: {"rename", -1, 1}, sysRenameat2: {"rename", -1, 1},
	syscall.SYS_UNLINK: {"remove", -1, 0}, syscall.SYS_UNLINKAT: {"remove", -1, 1}, syscall.SYS_RMDIR: {"remove", -1, 0},
	syscall.SYS_OPENAT: {"make", -1, 1}, syscall.SYS_MKDIRAT: {"make", -1, 1}, syscall.SYS_MKDIR: {"make", -1, 0},
	syscall.SYS_LINKAT: {"link", -1, 1},
}

// tracer is one process under an order.
type tracer struct {
	Order
	pid     int
	out     *os.File
	inside  map[int]bool // threads that are in a system call
	counted int
	peers   map[string]bool // sockets, and whether they are to one of the ports
}

// trace runs a program until it ends or dies as ordered.
func trace(o Order, args []string) error {
	runtime.LockOSThread() // a process is traced by one thread
	t := &tracer{Order: o, inside: map[int]bool{}, peers: map[string]bool{}}
	var err error
	if t.out, err = os.OpenFile(o.Steps, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	defer t.out.Close()
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, variable+"=") })
	t.pid, err = syscall.ForkExec(args[0], args, &syscall.ProcAttr{
		Env: env, Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Ptrace: true, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		return fmt.Errorf("start %s: %w", args[0], err)
	}
	go t.passOn()
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(t.pid, &status, 0, nil); err != nil {
		return err
	}
	options := syscall.PTRACE_O_TRACECLONE | syscall.PTRACE_O_TRACESYSGOOD | optionExitKill
	if err := syscall.PtraceSetOptions(t.pid, options); err != nil {
		return err
	}
	if err := syscall.PtraceSyscall(t.pid, 0); err != nil {
		return err
	}
	return t.follow()
}

// passOn gives the request to end to the traced process.
func (t *tracer) passOn() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM)
	for range c {
		_ = syscall.Kill(t.pid, syscall.SIGTERM)
	}
}

// follow waits for stops of any thread until the process has ended.
func (t *tracer) follow() error {
	for {
		var status syscall.WaitStatus
		tid, err := syscall.Wait4(-1, &status, syscall.WALL, nil)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return err
		case !status.Stopped():
			delete(t.inside, tid)
			if tid == t.pid {
				return nil
			}
			continue
		}
		deliver := 0
		switch sig := status.StopSignal(); sig {
		case syscall.SIGTRAP | bitOfSyscallStop:
			t.inside[tid] = !t.inside[tid]
			if t.inside[tid] && t.enter(tid) {
				_ = syscall.Kill(t.pid, syscall.SIGKILL)
			}
		case syscall.SIGTRAP: // a thread was made
		case syscall.SIGSTOP: // it begins
		default:
			deliver = int(sig)
		}
		_ = syscall.PtraceSyscall(tid, deliver) // fails for a thread that was killed
	}
}

// enter looks at a system call that a thread is about to make and reports whether
// the process is to die instead.
func (t *tracer) enter(tid int) bool {
	var regs syscall.PtraceRegs
	if err := syscall.PtraceGetRegs(tid, &regs); err != nil {
		return false
	}
	c, ok := calls[regs.Orig_rax]
	if !ok {
		return false
	}
	step := t.step(c, [3]uint64{regs.Rdi, regs.Rsi, regs.Rdx})
	if step == "" || t.counted == 0 && !strings.Contains(step, t.From) {
		return false
	}
	t.counted++
	fmt.Fprintln(t.out, step)
	return t.counted == t.At
}

// step names a step, "" if it is none.
func (t *tracer) step(c call, args [3]uint64) string {
	const creates = syscall.O_CREAT | syscall.O_TRUNC
	if c.name == "make" && args[2]&creates == 0 && c.path == 1 {
		return ""
	}
	var path string
	if c.fd >= 0 {
		path, _ = os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", t.pid, args[c.fd]))
	} else {
		path = t.text(args[c.path])
		if _, err := os.Lstat(path); err != nil && c.name == "remove" {
			return "" // there is nothing
		}
	}
	if strings.HasPrefix(path, "socket:") && c.name == "write" && t.isPeer(path) {
		return "send"
	}
	below, ok := strings.CutPrefix(path, t.Dir)
	if !ok {
		return ""
	}
	return c.name + " " + strings.TrimPrefix(below, "/")
}

// text reads a path from the memory of the process.
func (t *tracer) text(at uint64) string {
	f, err := os.Open(fmt.Sprintf("/proc/%d/mem", t.pid))
	if err != nil {
		return ""
	}
	defer f.Close()
	b := make([]byte, 512)
	n, _ := f.ReadAt(b, int64(at)) //nolint:gosec // an address
	name, _, _ := bytes.Cut(b[:n], []byte{0})
	return filepath.Clean(string(name))
}

// isPeer reports whether a socket is connected to one of the ports.
func (t *tracer) isPeer(socket string) bool {
	known, ok := t.peers[socket]
	if !ok {
		known = t.lookUp(socket)
		t.peers[socket] = known
	}
	return known
}

// lookUp finds a socket's peer in the kernel's table: the third field is the
// remote address and port in hex, the tenth the inode.
func (t *tracer) lookUp(socket string) bool {
	inode := strings.TrimSuffix(strings.TrimPrefix(socket, "socket:["), "]")
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", t.pid, table))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) < 10 || f[9] != inode {
				continue
			}
			return slices.ContainsFunc(t.Ports, func(p int) bool { return strings.HasSuffix(f[2], fmt.Sprintf(":%04X", p)) })
		}
	}
	return false
}
