package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/quorate/quorate"

// goFile is one parsed Go file of the module.
type goFile struct {
	path string // slash-separated, from the module's root
	pkg  string // its directory, "." for the root
	test bool
	ast  *ast.File
	fset *token.FileSet
}

// imports returns the import paths, those of the module without its name.
func (f goFile) imports() []string {
	var out []string
	for _, s := range f.ast.Imports {
		p, err := strconv.Unquote(s.Path.Value)
		if err != nil {
			continue
		}
		out = append(out, strings.TrimPrefix(p, module+"/"))
	}
	return out
}

// line returns where a node begins, as path:line.
func (f goFile) line(n ast.Node) string {
	return f.path + ":" + strconv.Itoa(f.fset.Position(n.Pos()).Line)
}

// root is the module's directory, seen from this package's tests.
const root = "../.."

// skipDir tells which directories hold nothing of ours.
func skipDir(name string) bool {
	return name != "." && name != ".ci" && strings.HasPrefix(name, ".") ||
		name == "testdata" || name == "data" || name == "bin"
}

// walk calls visit with the slash path of every file under the root.
func walk(visit func(p string) error) error {
	return filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if skipDir(d.Name()) && rel != "." {
				return filepath.SkipDir
			}
			return nil
		}
		return visit(filepath.ToSlash(rel))
	})
}

var loadTree = sync.OnceValues(func() ([]goFile, error) {
	var files []goFile
	err := walk(func(p string) error {
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		src, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(p)))
		if err != nil {
			return err
		}
		f, err := parse(p, string(src))
		if err == nil {
			files = append(files, f)
		}
		return err
	})
	return files, err
})

// parse reads one source under the path it has, or pretends to have.
func parse(p, src string) (goFile, error) {
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, p, src, parser.ParseComments)
	return goFile{path: p, pkg: path.Dir(p), test: strings.HasSuffix(p, "_test.go"), ast: tree, fset: fset}, err
}

// tree returns all Go files of the module.
func tree(t *testing.T) []goFile {
	t.Helper()
	files, err := loadTree()
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 5 {
		t.Fatalf("only %d Go files under %s: the rules would check nothing", len(files), root)
	}
	return files
}

// snippet parses a source that a rule is tried on.
func snippet(t *testing.T, p, src string) goFile {
	t.Helper()
	f, err := parse(p, src)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// report fails the test with every complaint.
func report(t *testing.T, complaints []string) {
	t.Helper()
	for _, c := range complaints {
		t.Error(c)
	}
}

// wantComplaint fails the test unless exactly one complaint holds the text.
func wantComplaint(t *testing.T, complaints []string, text string) {
	t.Helper()
	if len(complaints) != 1 || !strings.Contains(complaints[0], text) {
		t.Errorf("got complaints %q, want one with %q", complaints, text)
	}
}
