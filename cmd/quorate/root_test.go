package main

import (
	"bytes"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// invoke runs one command line in this process.
func invoke(t *testing.T, root *cobra.Command, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = execute(root, args, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

func TestUsageErrorsGoToStderrWithCode2(t *testing.T) {
	for _, args := range [][]string{
		{"nonsense"},
		{"--nonsense"},
		{"version", "--nonsense"},
		{"version", "one-too-many"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			code, stdout, stderr := invoke(t, newRootCmd(), args...)
			if code != exitUsage || stdout != "" {
				t.Errorf("code %d, stdout %q; want code 2 and nothing on stdout", code, stdout)
			}
			if !strings.HasPrefix(stderr, "quorate: ") || !strings.Contains(stderr, "--help' for usage.") {
				t.Errorf("stderr %q does not say what was wrong and where help is", stderr)
			}
			if n := strings.Count(stderr, "\n"); n > 6 {
				t.Errorf("stderr has %d lines; the usage text belongs to --help", n)
			}
		})
	}
}

type codedError int

func (e codedError) Error() string { return fmt.Sprintf("coded %d", int(e)) }
func (e codedError) ExitCode() int { return int(e) }

func TestFailuresOfACommandChooseTheirExitCode(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want int
	}{
		{nil, exitOK},
		{errors.New("plain"), exitFailure},
		{codedError(2), 2},
		{fmt.Errorf("wrapped: %w", codedError(14)), 14},
	} {
		root := newRootCmd()
		root.AddCommand(&cobra.Command{Use: "probe", RunE: func(*cobra.Command, []string) error { return tc.err }})
		code, _, stderr := invoke(t, root, "probe")
		if code != tc.want {
			t.Errorf("%v: exit code %d, want %d", tc.err, code, tc.want)
		}
		if tc.err != nil && stderr != "quorate: "+tc.err.Error()+"\n" {
			t.Errorf("%v: stderr %q, want the error once and no usage text", tc.err, stderr)
		}
	}
}

func TestHelpGoesToStdout(t *testing.T) {
	code, stdout, stderr := invoke(t, newRootCmd(), "--help")
	if code != exitOK || stderr != "" || !strings.Contains(stdout, "version") {
		t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

func TestVersionNamesBuildGoAndProtocol(t *testing.T) {
	code, stdout, _ := invoke(t, newRootCmd(), "version")
	if code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	for _, want := range []string{"quorate ", "commit ", "go1.", "ZooKeeper 3.9.5"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q lacks %q", stdout, want)
		}
	}
}

// TestBuildHasADate: a binary without stamps, as that of this test, tells at least when it
// was built.
func TestBuildHasADate(t *testing.T) {
	for _, text := range []string{announcedVersion(), cliVersion()} {
		_, date, _ := strings.Cut(text, ", built on ")
		if at, err := time.Parse("2006-01-02 15:04 MST", date); err != nil || time.Since(at) < 0 {
			t.Errorf("%q: %v", text, err)
		}
	}
	if got := (build{time: "2026-11-01T10:00:00Z", made: "2026-11-02T10:00:00Z"}).built(); got != "2026-11-01 10:00 UTC" {
		t.Errorf("built %s: the file's time beats the commit's", got)
	}
}

func TestBuildFromReadsTheLinkerStamps(t *testing.T) {
	if got := buildFrom(nil); got != (build{version: "devel", commit: "unknown"}) {
		t.Errorf("without stamps: %+v", got)
	}
	info := &debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "abc123"},
		{Key: "vcs.modified", Value: "true"},
		{Key: "vcs.time", Value: "2026-11-01T10:00:00Z"},
	}}
	want := build{version: "v1.2.3", commit: "abc123-dirty", time: "2026-11-01T10:00:00Z"}
	if got := buildFrom(info); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
