package lint

import (
	"fmt"
	"go/ast"
	"testing"
)

// linesMax is how long a function of production code may be, from its first
// line to its last.
const linesMax = 70

// longFunctions is a ratchet: functions that are longer than linesMax, with
// the length they had when they were let in. They may shrink, never grow, and
// leave the list when they fit. No new one enters without a reason in review.
var longFunctions = map[string]int{}

// functionName returns "pkg.Name" or "pkg.Type.Name".
func functionName(f goFile, d *ast.FuncDecl) string {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return f.pkg + "." + d.Name.Name
	}
	typ := d.Recv.List[0].Type
	for {
		switch x := typ.(type) {
		case *ast.StarExpr:
			typ = x.X
		case *ast.IndexExpr:
			typ = x.X
		case *ast.IndexListExpr:
			typ = x.X
		case *ast.Ident:
			return f.pkg + "." + x.Name + "." + d.Name.Name
		default:
			return f.pkg + "." + d.Name.Name
		}
	}
}

// lengthComplaints compares every production function with its bound.
func lengthComplaints(files []goFile, ratchet map[string]int) []string {
	var out []string
	seen := map[string]bool{}
	for _, f := range files {
		if f.test {
			continue
		}
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			name := functionName(f, fn)
			lines := f.fset.Position(fn.End()).Line - f.fset.Position(fn.Pos()).Line + 1
			bound, listed := ratchet[name]
			seen[name] = listed
			switch {
			case listed && lines <= linesMax:
				out = append(out, fmt.Sprintf("%s: %s fits in %d lines now: take it off the ratchet", f.line(fn), name, linesMax))
			case lines > max(linesMax, bound):
				out = append(out, fmt.Sprintf("%s: %s has %d lines, at most %d", f.line(fn), name, lines, max(linesMax, bound)))
			}
		}
	}
	for name := range ratchet {
		if !seen[name] {
			out = append(out, fmt.Sprintf("%s is on the ratchet but nowhere in the tree", name))
		}
	}
	return out
}

func TestFunctionLength(t *testing.T) { report(t, lengthComplaints(tree(t), longFunctions)) }

func TestLengthComplains(t *testing.T) {
	body := func(n int) string {
		s := "package x\ntype T[A any] struct{}\nfunc (t *T[A]) f() {\n"
		for range n - 2 {
			s += "\t_ = 1\n"
		}
		return s + "}\n"
	}
	long := []goFile{snippet(t, "x/a.go", body(linesMax+1))}
	wantComplaint(t, lengthComplaints(long, nil), "x.T.f has 71 lines")
	report(t, lengthComplaints(long, map[string]int{"x.T.f": linesMax + 1}))
	wantComplaint(t, lengthComplaints([]goFile{snippet(t, "x/a.go", body(linesMax+2))}, map[string]int{"x.T.f": linesMax + 1}), "at most 71")
	fits := []goFile{snippet(t, "x/a.go", body(linesMax))}
	report(t, lengthComplaints(fits, nil))
	wantComplaint(t, lengthComplaints(fits, map[string]int{"x.T.f": linesMax + 1}), "take it off")
	wantComplaint(t, lengthComplaints(fits, map[string]int{"x.gone": 80}), "nowhere in the tree")
}
