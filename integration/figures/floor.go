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
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/quorate/quorate/internal/bench"
)

// floorTeam is three processes of this program that only pass requests on and sync them; see package floor.
type floorTeam struct {
	addrs []string
	cmds  []*exec.Cmd
}

// startFloor starts them in dir, and returns when clients are served.
func startFloor(ctx context.Context, dir string, log io.Writer) (*floorTeam, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var list strings.Builder
	var clients []uint16
	f := &floorTeam{}
	for id := 1; id <= servers; id++ {
		quorum, _, err := freePort()
		if err != nil {
			return nil, err
		}
		client, addr, err := freePort()
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&list, "server.%d=127.0.0.1:%d:%d\n", id, quorum, quorum)
		clients, f.addrs = append(clients, client), append(f.addrs, addr)
	}
	for i, client := range clients {
		cfg, err := writeFloorConfig(filepath.Join(dir, strconv.Itoa(i+1)), i+1, client, list.String())
		if err == nil {
			cmd := exec.CommandContext(ctx, self, "-floor", cfg) //nolint:gosec // this program
			cmd.Stderr = log
			cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
			if err = cmd.Start(); err == nil {
				f.cmds = append(f.cmds, cmd)
			}
		}
		if err != nil {
			return nil, errors.Join(err, f.stop())
		}
	}
	if err := f.awaitServing(ctx); err != nil {
		return nil, errors.Join(err, f.stop())
	}
	return f, nil
}

func freePort() (port uint16, addr string, err error) {
	addr, err = bench.FreeAddr()
	if err != nil {
		return 0, "", err
	}
	at, err := netip.ParseAddrPort(addr)
	return at.Port(), addr, err
}

func writeFloorConfig(dir string, id int, client uint16, list string) (cfg string, err error) {
	cfg = filepath.Join(dir, "zoo.cfg")
	return cfg, errors.Join(
		os.MkdirAll(dir, 0o755),
		os.WriteFile(filepath.Join(dir, "myid"), fmt.Appendln(nil, id), 0o644),
		os.WriteFile(cfg, fmt.Appendf(nil, "dataDir=%s\nclientPort=%d\n%s", dir, client, list), 0o644))
}

// awaitServing returns once each has given a session.
func (f *floorTeam) awaitServing(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, addr := range f.addrs {
		for {
			s, err := bench.Dial(ctx, addr, bench.DialOptions{ReplyTimeout: time.Second})
			if err == nil {
				s.Close()
				break
			}
			if sleep(ctx, 10*time.Millisecond) != nil {
				return fmt.Errorf("the floor at %s does not serve: %w", addr, err)
			}
		}
	}
	return nil
}

func (f *floorTeam) pids() (all []int) {
	for _, cmd := range f.cmds {
		all = append(all, cmd.Process.Pid)
	}
	return all
}

// stop ends them. That those that are asked later miss an earlier one is no failure.
func (f *floorTeam) stop() error {
	var errs []error
	for _, cmd := range f.cmds {
		_ = cmd.Process.Signal(syscall.SIGTERM)
	}
	for _, cmd := range f.cmds {
		var exit *exec.ExitError
		if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// measureFloor runs the writes on it.
func measureFloor(ctx context.Context, o options, dir string) (*bench.Report, error) {
	f, err := startFloor(ctx, dir, o.Log)
	if err != nil {
		return nil, err
	}
	all := &bench.Report{}
	for _, c := range []bench.Config{
		{Connections: connections, InFlight: []int{inFlight}}, {Connections: servers, InFlight: []int{1}}, {Connections: connections, InFlight: []int{1}},
	} {
		c.Workloads, c.Servers, c.PIDs = []bench.Workload{bench.Set}, f.addrs, f.pids()
		c.ValueBytes, c.Rounds, c.Duration, c.Warmup, c.Progress = valueBytes, o.rounds, o.duration, o.warmup, o.Log
		rep, err := bench.Run(ctx, c)
		if rep != nil {
			all.Results = append(all.Results, rep.Results...)
		}
		if err != nil {
			return all, errors.Join(fmt.Errorf("the floor: %w", err), f.stop())
		}
	}
	return all, f.stop()
}
