package main

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/quorate/quorate/internal/bench"
)

func parseBench(args ...string) (bench.Config, error) {
	var f benchFlags
	fs := pflag.NewFlagSet("bench", pflag.ContinueOnError)
	f.define(fs)
	return f.parse(fs, args)
}

func TestBenchFlags(t *testing.T) {
	c, err := parseBench("-against", "b:1,c:2", "-against-pid=5", "--servers=a:1", "-w", "set,checkpoint-tail",
		"--in-flight", "16,1", "--value-size", "0", "--warmup", "0s", "-d3s", "-c", "4")
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(c.Servers, c.Against, c.AgainstPIDs, c.Workloads, c.InFlight, c.ValueBytes, c.Warmup, c.Duration, c.Connections)
	want := fmt.Sprint("[a:1] [b:1 c:2] [5] [set idle-tail checkpoint-tail] [16 1] -1 ", time.Duration(-1), " 3s 4")
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestBenchRefusesBadFlags(t *testing.T) {
	for args, want := range map[string]string{
		"--workload nothing":      `unknown workload "nothing"`,
		"--connections 0":         "connections must be 1 to",
		"--read-percent 101":      "read percentage",
		"--servers nowhere":       `"nowhere" is not host:port`,
		"get":                     `unexpected argument "get"`,
		"--no-such-flag":          "no-such-flag",
		"--duration 0s":           "duration",
		"--in-flight 1,100000000": "requests in flight",
	} {
		_, err := parseBench(strings.Fields(args)...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", args, err, want)
		}
	}
}

// Bad flags are usage errors, an unreachable server a failure.
func TestBenchExitCodes(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{"--connections", "0"}, exitUsage, "connections must be"},
		{[]string{"--servers", addr}, exitFailure, addr + ": connection refused"},
		{[]string{"--help"}, exitOK, ""},
	} {
		var out, errs bytes.Buffer
		code := run(append([]string{"bench"}, c.args...), nil, &out, &errs)
		if code != c.code || !strings.Contains(errs.String(), c.text) {
			t.Errorf("%v: exit code %d and %q", c.args, code, errs.String())
		}
		if c.code == exitOK && !strings.Contains(out.String(), "checkpoint-tail") {
			t.Errorf("help: %s", out.String())
		}
	}
}
