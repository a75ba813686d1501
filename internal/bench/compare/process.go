//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/quorate/quorate/internal/bench"
)

// contender is one of the two servers: how to start it and where.
type contender struct {
	name    string
	command []string // the path of a zoo.cfg is appended
	dir     string
	log     io.Writer
}

// process is a running server.
type process struct {
	contender
	addr    string
	dataDir string
	cmd     *exec.Cmd
	output  string
	begun   time.Time
	done    chan struct{}
	exit    error // valid once done is closed
}

// zooCfg is what both servers are configured with: defaults, but for ports and
// directories, a limit on connections that 500 watchers would hit, and the
// four-letter words.
const zooCfg = `tickTime=2000
dataDir=%s
clientPort=%d
clientPortAddress=127.0.0.1
maxClientCnxns=0
admin.enableServer=false
4lw.commands.whitelist=*
`

// start runs the server on the named data directory, which is made if it is
// not there, and returns without waiting until it serves.
func (c contender) start(ctx context.Context, name string) (*process, error) {
	dir := filepath.Join(c.dir, name)
	p := &process{contender: c, dataDir: filepath.Join(dir, "data"), output: filepath.Join(dir, "output"), done: make(chan struct{})}
	if err := os.MkdirAll(p.dataDir, 0o755); err != nil {
		return nil, err
	}
	addr, err := bench.FreeAddr()
	if err != nil {
		return nil, err
	}
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	p.addr = addr
	cfg := filepath.Join(dir, "zoo.cfg")
	if err := os.WriteFile(cfg, fmt.Appendf(nil, zooCfg, p.dataDir, at.Port()), 0o644); err != nil {
		return nil, err
	}
	return p, p.launch(ctx, cfg)
}

func (p *process) launch(ctx context.Context, cfg string) error {
	out, err := os.OpenFile(p.output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	args := append(p.command[1:len(p.command):len(p.command)], cfg)
	p.cmd = exec.CommandContext(ctx, p.command[0], args...)
	p.cmd.Dir = filepath.Dir(cfg)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is handled here
	p.begun = time.Now()
	if err := p.cmd.Start(); err != nil {
		return err
	}
	go func() {
		p.exit = p.cmd.Wait()
		close(p.done)
	}()
	return nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// readyWithin bounds a start, however big the tree.
const readyWithin = 10 * time.Minute

// waitReady returns once a client has got a session and an answer to a read of
// the given path (the root if empty). It asks again and again, without pause
// where the server refuses at once.
func (p *process) waitReady(ctx context.Context, path string) error {
	if path == "" {
		path = "/"
	}
	limit := time.Now().Add(readyWithin)
	for {
		err := p.read(ctx, path)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return errors.Join(fmt.Errorf("%s has stopped: %w", p.name, p.exitError()), p.complaint())
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(2 * time.Millisecond):
		}
		if time.Now().After(limit) {
			return fmt.Errorf("%s does not serve: %w", p.name, err)
		}
	}
}

func (p *process) exitError() error {
	if p.exit == nil {
		return errors.New("exit status 0")
	}
	return p.exit
}

// read asks for one znode on a session of its own.
func (p *process) read(ctx context.Context, path string) error {
	s, err := bench.Dial(ctx, p.addr, bench.DialOptions{ReplyTimeout: 500 * time.Millisecond})
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = s.Read(path)
	return err
}

// complaint returns the end of what the server has printed, as an error.
func (p *process) complaint() error {
	b, err := os.ReadFile(p.output)
	if err != nil || len(b) == 0 {
		return err
	}
	const most = 2000
	if len(b) > most {
		b = b[len(b)-most:]
	}
	return fmt.Errorf("output of %s ends:\n%s", p.name, b)
}

// stop asks the server to end, as an operator does, and waits.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("%s is not running: %w", p.name, errors.Join(err, p.complaint()))
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(2 * time.Minute):
		p.kill()
		return fmt.Errorf("%s does not stop on SIGTERM", p.name)
	}
}

// kill ends the server without asking, if it still runs.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// diskBytes returns what the files below dir occupy, preallocated space
// included.
func diskBytes(dir string) (int64, error) {
	var sum int64
	err := filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil // purged meanwhile
		}
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			sum += st.Blocks * 512
		}
		return nil
	})
	return sum, err
}
