package lint

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// docComplaints wants exactly one production file of each package to hold its
// package comment. A package of tests alone is spared.
func docComplaints(files []goFile) []string {
	docs := map[string][]string{}
	var pkgs []string
	for _, f := range files {
		if f.test {
			continue
		}
		if _, seen := docs[f.pkg]; !seen {
			docs[f.pkg], pkgs = nil, append(pkgs, f.pkg)
		}
		if f.ast.Doc != nil {
			docs[f.pkg] = append(docs[f.pkg], f.path)
		}
	}
	slices.Sort(pkgs)
	var out []string
	for _, p := range pkgs {
		if len(docs[p]) != 1 {
			out = append(out, fmt.Sprintf("package %s has %d package comments, want one: %s", p, len(docs[p]), strings.Join(docs[p], ", ")))
		}
	}
	return out
}

func TestOnePackageComment(t *testing.T) { report(t, docComplaints(tree(t))) }

func TestPackageCommentComplains(t *testing.T) {
	with, without := "// Package x is.\npackage x\n", "package x\n"
	wantComplaint(t, docComplaints([]goFile{snippet(t, "x/a.go", without)}), "has 0 package comments")
	wantComplaint(t, docComplaints([]goFile{snippet(t, "x/a.go", with), snippet(t, "x/b.go", with)}), "has 2 package comments")
	report(t, docComplaints([]goFile{snippet(t, "x/a.go", with), snippet(t, "x/b.go", without), snippet(t, "y/y_test.go", without)}))
}
