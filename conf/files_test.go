package conf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestGoodFiles loads testdata/good and compares remarks and results with the
// .want file beside each.
func TestGoodFiles(t *testing.T) {
	for _, path := range configFiles(t, "good") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			c, ws, err := Load(path, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, path, warningText(ws)+summary(c))
		})
	}
}

// TestBadFiles loads testdata/bad and compares the whole error, and the
// remarks, with the .want file beside each.
func TestBadFiles(t *testing.T) {
	for _, path := range configFiles(t, "bad") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			c, ws, err := Load(path, nil, nil)
			if err == nil || c != nil {
				t.Fatalf("loaded %v, error %v", c, err)
			}
			if e := ErrorOf(err); e == nil || e.ExitCode() != 2 {
				t.Fatalf("error %#v has no exit code 2", err)
			}
			compare(t, path, err.Error()+"\n"+warningText(ws))
		})
	}
}

func configFiles(t *testing.T, kind string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", kind, "*.cfg"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files: %v", err)
	}
	return paths
}

func compare(t *testing.T, path, got string) {
	t.Helper()
	wantPath := strings.TrimSuffix(path, ".cfg") + ".want"
	if *rewrite {
		if err := os.WriteFile(wantPath, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(wantPath)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s\n--- got\n%s--- want\n%s", path, got, want)
	}
}

func warningText(ws []Warning) string {
	var b strings.Builder
	for _, w := range ws {
		b.WriteString("warning: " + w.String() + "\n")
	}
	return b.String()
}

// summary prints the fields the good files are about.
func summary(c *Config) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("distributed %v, role %v, client %s:%d", c.Distributed(), c.Quorum.Role(), c.ClientPortAddress, c.ClientPort)
	line("jute.maxbuffer %d+%d, oversized up to %d", c.MaxBufferBytes, c.MaxBufferExtraBytes, c.OversizedRequestBytesMax)
	line("snapCount %d, preAlloc %d, snapSize %d, logSize %d, forceSync %v, trustEmpty %v, compression %q",
		c.SnapCount, c.PreAllocBytes, c.SnapSizeLimitBytes, c.TxnLogSizeLimitBytes, c.ForceSync, c.SnapshotTrustEmpty, c.SnapshotCompression)
	line("purge keeps %d every %v; log behind the checkpoint %d; checkpoint every %d",
		c.AutopurgeSnapRetainCount, c.AutopurgeInterval, c.Log.RetainBytes, c.Checkpoint.LogBytes)
	line("words %q, skipACL %v, extended types %v, log level %s", c.FourLetterWords, c.Auth.SkipACL, c.ExtendedTypesEnabled, c.LogLevel)
	for _, name := range sortedKeys(c.Properties) {
		line("property %s=%s", name, c.Properties[name])
	}
	b.WriteString("conf:\n" + c.Text(Running{ClientPort: c.ClientPort}))
	return strings.TrimSuffix(b.String(), "\n") + "\n"
}

func TestUnreadableFileIsInvalidConfiguration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "absent.cfg")
	_, _, err := Load(path, nil, nil)
	if e := ErrorOf(err); !errors.Is(err, fs.ErrNotExist) || e == nil || len(e.Faults) != 1 || e.Faults[0].Origin.File != path {
		t.Errorf("error %v, want the file's alone", err)
	}
	if _, _, err := Load(t.TempDir(), nil, nil); ErrorOf(err) == nil {
		t.Errorf("a directory: error %v", err)
	}
}

func TestEndlessFileIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "big.cfg")
	if err := os.WriteFile(path, make([]byte, fileBytesMax+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Load(path, nil, nil); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("error %v", err)
	}
}
