package lint

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// storySpan is a package and a test of it, as a table of stories names them.
var storySpan = regexp.MustCompile("`([\\w/]+)`: `((?:Test|Fuzz)\\w+)`")

// storyComplaints checks the table of bugs in zab/DESIGN.md: tests it names exist, and all stories of bugs are in it.
func storyComplaints(table string, bugs []string, tests func(dir string) string) []string {
	var out []string
	for _, m := range storySpan.FindAllStringSubmatch(table, -1) {
		if !strings.Contains(tests(m[1]), "func "+m[2]+"(") {
			out = append(out, fmt.Sprintf("%s has no test %s", m[1], m[2]))
		}
	}
	for _, b := range bugs {
		if !strings.Contains(table, "`zab/testdata/"+b+"`") {
			out = append(out, "no row has the story "+b)
		}
	}
	return out
}

// testText is all test files of a directory.
func testText(dir string) string {
	var all strings.Builder
	files, _ := filepath.Glob(filepath.Join(root, dir, "*_test.go"))
	for _, f := range files {
		b, _ := os.ReadFile(f)
		all.Write(b)
	}
	return all.String()
}

func TestEveryBugHasItsStory(t *testing.T) {
	table, err := os.ReadFile(filepath.Join(root, "zab/DESIGN.md"))
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(root, "zab/testdata/bug_*.txt"))
	var bugs []string
	for _, f := range files {
		bugs = append(bugs, filepath.Base(f))
	}
	if len(bugs) == 0 || !storySpan.Match(table) {
		t.Fatal("nothing to check")
	}
	for _, c := range storyComplaints(string(table), bugs, testText) {
		t.Error(c)
	}
	broken := storyComplaints("`zab`: `TestNo` `zab`: `TestYes`", []string{"bug_1.txt"}, func(string) string { return "func TestYes(" })
	if len(broken) != 2 {
		t.Errorf("of two mistakes it finds %q", broken)
	}
}
