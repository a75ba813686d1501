//go:build linux

package crash

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// program is the variable that makes this binary change files in a directory.
const program = "CRASH_PROGRAM"

func TestMain(m *testing.M) {
	Main()
	if dir := os.Getenv(program); dir != "" {
		if err := change(dir); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// change does everything that is a step.
func change(dir string) error {
	in := func(name string) string { return filepath.Join(dir, name) }
	f, err := os.Create(in("a"))
	if err != nil {
		return err
	}
	done := make(chan error)
	go func() { // on another thread, perhaps
		_, err := f.WriteString("one")
		done <- err
	}()
	return errors.Join(
		<-done, f.Sync(), f.Truncate(1), f.Close(),
		os.Rename(in("a"), in("b")), os.Mkdir(in("c"), 0o755), os.Link(in("b"), in("d")), os.Remove(in("b")),
	)
}

// A program dies at each of its steps in turn: what it did before is there, the
// step and what would have come is not.
func TestEveryStep(t *testing.T) {
	Need(t)
	steps := []string{"make a", "write a", "cut a", "rename a", "make c", "link b", "remove b"}
	left := []string{"", "a:", "a:one", "a:o", "b:o", "b:o c", "b:o c d:o", "c d:o"}
	for at := range len(steps) + 2 {
		dir := t.TempDir()
		o := Order{Dir: filepath.Join(dir, "data"), At: at, Steps: filepath.Join(dir, "steps")}
		if err := os.Mkdir(o.Dir, 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), program+"="+o.Dir)
		if err := o.wrap(cmd); err != nil {
			t.Fatal(err)
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		did, want := steps, left[len(steps)]
		if at > 0 && at <= len(steps) {
			did, want = steps[:at], left[at-1]
		}
		if got, err := readSteps(o.Steps); err != nil || !slices.Equal(got, did) {
			t.Errorf("died at %d: the steps are %q, not %q, %v", at, got, did, err)
		}
		if got := show(t, o.Dir); got != want {
			t.Errorf("died at %d: %q is left, not %q", at, got, want)
		}
	}
}

// show lists a directory with what is in the files.
func show(t *testing.T, dir string) string {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range all {
		text := e.Name()
		if !e.IsDir() {
			b, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			text += ":" + string(b)
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}
