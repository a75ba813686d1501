package lint

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strings"
	"testing"
)

// purePackages compute and never act: whoever calls them owns the goroutine
// and tells them the time.
var purePackages = []string{"zab", "zab/quorum", "zab/members", "znode", "session", "watch", "wire", "internal/replica"}

// impureFiles are the files of pure packages that may act, with the reason.
var impureFiles = map[string]string{
	"znode/store*.go":      "Pebble below the tree works in the background",
	"znode/checkpoint*.go": "a checkpoint is written behind the requests",
}

// clock are the names of package time that read a clock or wait for one.
var clock = []string{"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "Tick", "NewTimer", "NewTicker"}

func mayAct(file string) bool {
	for pattern := range impureFiles {
		if ok, err := path.Match(pattern, file); ok && err == nil {
			return true
		}
	}
	return false
}

// pureComplaints finds go statements and clocks in pure production files.
func pureComplaints(files []goFile) []string {
	var out []string
	for _, f := range files {
		if f.test || !slices.Contains(purePackages, f.pkg) || mayAct(f.path) {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				out = append(out, fmt.Sprintf("%s: a pure package starts no goroutine", f.line(n)))
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clock, n.Sel.Name) {
					out = append(out, fmt.Sprintf("%s: time.%s in a pure package: take the time as an argument", f.line(n), n.Sel.Name))
				}
			}
			return true
		})
	}
	return out
}

// fixmeComplaints finds notes that say the work is not done. The word is put
// together here so that this file does not hold it.
func fixmeComplaints(files []goFile) []string {
	word := "FIX" + "ME"
	var out []string
	for _, f := range files {
		for _, g := range f.ast.Comments {
			for _, c := range g.List {
				if strings.Contains(c.Text, word) {
					out = append(out, fmt.Sprintf("%s: a leftover %s", f.line(c), word))
				}
			}
		}
	}
	return out
}

func TestPurePackagesOnlyCompute(t *testing.T) { report(t, pureComplaints(tree(t))) }

func TestNoLeftovers(t *testing.T) { report(t, fixmeComplaints(tree(t))) }

func TestPureComplains(t *testing.T) {
	spawn := "package x\nfunc f() { go f() }\n"
	now := "package x\nimport \"time\"\nvar t = time.Now()\n"
	wantComplaint(t, pureComplaints([]goFile{snippet(t, "zab/a.go", spawn)}), "starts no goroutine")
	wantComplaint(t, pureComplaints([]goFile{snippet(t, "znode/tree.go", now)}), "time.Now")
	report(t, pureComplaints([]goFile{
		snippet(t, "znode/store.go", spawn), snippet(t, "internal/server/a.go", now), snippet(t, "zab/a_test.go", spawn),
	}))
	wantComplaint(t, fixmeComplaints([]goFile{snippet(t, "x/a.go", "package x\n// FIX"+"ME later\n")}), "leftover")
}
