package integration

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// feature is a line of testdata/features.txt: what ZooKeeper can do, and what shows
// that Quorate can.
type feature struct {
	name   string
	by     []string
	notYet string
}

// loadFeatures reads testdata/features.txt.
func loadFeatures(t *testing.T) []feature {
	t.Helper()
	text, err := os.ReadFile("testdata/features.txt")
	if err != nil {
		t.Fatal(err)
	}
	features, err := parseFeatures(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return features
}

func parseFeatures(text string) (features []feature, err error) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, shown, ok := strings.Cut(line, " = ")
		by, notYet, _ := strings.Cut(shown, "not yet:")
		f := feature{name: name, notYet: strings.TrimSpace(notYet)}
		for b := range strings.SplitSeq(by, ",") {
			if b = strings.TrimSpace(b); b != "" {
				f.by = append(f.by, b)
			}
		}
		if !ok || len(f.by) == 0 && f.notYet == "" {
			return nil, fmt.Errorf("%q says neither what shows it nor why not yet", line)
		}
		if slices.ContainsFunc(features, func(o feature) bool { return o.name == name }) {
			return nil, fmt.Errorf("%q is there twice", name)
		}
		features = append(features, f)
	}
	return features, nil
}

// featureRows is how many rows the table of ZooKeeper's features has. None may get lost.
const featureRows = 176

// TestEveryFeatureIsShown: what testdata/features.txt names for a feature is there, and
// no script shows what the table has not.
func TestEveryFeatureIsShown(t *testing.T) {
	features := loadFeatures(t)
	if len(features) != featureRows {
		t.Errorf("%d features, of %d", len(features), featureRows)
	}
	code, err := readModule("..")
	if err != nil {
		t.Fatal(err)
	}
	rows := scriptRows(t)
	for _, f := range features {
		if slices.Contains(f.by, "script") != rows[f.name] {
			t.Errorf("%s: a script shows it: %v, and the table says the contrary", f.name, rows[f.name])
		}
		delete(rows, f.name)
		for _, by := range f.by {
			if err := code.shows(f.name, by); err != nil {
				t.Errorf("%s: %v", f.name, err)
			}
		}
	}
	for r := range rows {
		t.Errorf("a script shows %q, which is no feature of the table", r)
	}
}

// scriptRows returns the rows that the scripts show.
func scriptRows(t *testing.T) map[string]bool {
	t.Helper()
	scripts, err := LoadScripts(scriptDir)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	for _, s := range scripts {
		if len(s.Rows) == 0 {
			t.Errorf("%s.txt names no row", s.Name)
		}
		for _, r := range s.Rows {
			rows[r] = true
		}
	}
	return rows
}

// TestScriptsAreWhole: a script is a conversation, and every request that is answered
// has its answer there.
func TestScriptsAreWhole(t *testing.T) {
	scripts, err := LoadScripts(scriptDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scripts {
		if len(s.Steps) < 2 {
			t.Errorf("%s.txt has %d steps", s.Name, len(s.Steps))
		}
		for _, st := range s.Steps {
			if len(st.Answers) == 0 && expectsAnswer(st.Text) {
				t.Errorf("%s.txt:%d: %s has no answer", s.Name, st.Line, st.Text)
			}
		}
	}
}

// expectsAnswer tells whether a step brings anything back.
func expectsAnswer(step string) bool {
	words := splitWords(step)
	return !slices.Contains([]string{"drop", "tcp", "send", "frame", "bytes"}, words[1])
}

// module is what the tests of a module are: their names, each behind its package's
// directory, and the texts in the tests of integration/quorum.
type module struct {
	tests map[string]bool
	rows  map[string]bool
}

// shows reports an error unless what a feature is said to be shown by is there.
func (m *module) shows(name, by string) error {
	switch {
	case by == "script": // looked at already
	case by == "quorum":
		if !m.rows[name] {
			return errors.New("integration/quorum plays no row of this name")
		}
	case !m.tests[by]:
		return fmt.Errorf("there is no test %s", by)
	}
	return nil
}

// readModule parses the tests below root.
func readModule(root string) (*module, error) {
	m := &module{tests: map[string]bool{}, rows: map[string]bool{}}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		m.add(filepath.ToSlash(dir), file)
		return err
	})
	return m, err
}

func (m *module) add(dir string, file *ast.File) {
	for _, d := range file.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") {
			m.tests[dir+"."+fn.Name.Name] = true
		}
	}
	if dir != "integration/quorum" {
		return
	}
	ast.Inspect(file, func(n ast.Node) bool {
		field, ok := n.(*ast.KeyValueExpr)
		if !ok {
			return true
		}
		key, _ := field.Key.(*ast.Ident)
		if value, ok := field.Value.(*ast.BasicLit); ok && key != nil && key.Name == "name" {
			if text, err := strconv.Unquote(value.Value); err == nil {
				m.rows[text] = true
			}
		}
		return true
	})
}

// TestFeatureTableComplains: the table's own rules can be broken, and that is seen.
func TestFeatureTableComplains(t *testing.T) {
	for _, bad := range []string{"a / b", "a / b =", "a / b = ", "a / b = not yet: ", "a / b = script\na / b = quorum"} {
		if got, err := parseFeatures(bad); err == nil {
			t.Errorf("%q: %+v", bad, got)
		}
	}
	got, err := parseFeatures("# x\n\na / b = script, p.TestX, not yet: with, commas\n")
	if err != nil || len(got) != 1 || got[0].name != "a / b" || !slices.Equal(got[0].by, []string{"script", "p.TestX"}) || got[0].notYet != "with, commas" {
		t.Errorf("%+v, %v", got, err)
	}
	m, err := readModule("..")
	if err != nil {
		t.Fatal(err)
	}
	if m.shows("quorum / observers", "quorum") != nil || m.shows("x", "integration.TestFeatureTableComplains") != nil {
		t.Error("what is there is not found")
	}
	for _, by := range []string{"quorum", "integration.TestNope", "TestFeatureTableComplains", "internal/server.TestFeatureTableComplains"} {
		if m.shows("x / y", by) == nil {
			t.Errorf("%s is found", by)
		}
	}
}
