//go:build linux

package ensemble

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quorate/quorate/integration"
)

// ForTest lays out an ensemble for a test and starts it. At the end of the test
// everything is killed, and the logs are checked; when it failed, the ends of
// the logs are shown. With QUORATE_LOGS=dir everything that is on disk is copied
// there.
func ForTest(t testing.TB, s Spec) *Ensemble {
	t.Helper()
	e := LaidOut(t, s)
	if err := e.Start(); err != nil {
		t.Fatal(err)
	}
	return e
}

// LaidOut is [ForTest] without the start.
func LaidOut(t testing.TB, s Spec) *Ensemble {
	t.Helper()
	for _, k := range s.kinds() {
		integration.NeedPeer(t, "a server of the kind "+string(k), integration.Available(k))
	}
	dir := t.TempDir()
	e, err := New(dir, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Check(); err != nil {
			t.Error(err)
		}
		e.Close()
		if t.Failed() {
			t.Log(e.LastLines(15))
		}
		keep(t, dir)
	})
	return e
}

// keep copies the directory of a test to where QUORATE_LOGS says.
func keep(t testing.TB, dir string) {
	root := os.Getenv("QUORATE_LOGS")
	if root == "" {
		return
	}
	to := filepath.Join(root, strings.NewReplacer("/", "_", " ", "_").Replace(t.Name()))
	_ = os.RemoveAll(to)
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Log("keep the logs:", err)
		return
	}
	t.Log("the directories of the members are in", to)
}
