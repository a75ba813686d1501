package lint

import (
	"fmt"
	"go/ast"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// markdown is one Markdown file of the repository.
type markdown struct {
	path string
	text string
}

var (
	fence    = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	codeSpan = regexp.MustCompile("`([^`\n]+)`")
	heading  = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	symbol   = regexp.MustCompile(`^([a-z][a-z0-9]*)\.([A-Z]\w*)(?:\.([A-Za-z]\w*))?(?:\(\))?$`)
	pathLike = regexp.MustCompile(`^[\w.][\w./*-]*$`)
)

// knowledge is what Markdown may name.
type knowledge struct {
	symbols map[string]bool                            // "pkg.Name" and "pkg.Type.Name", by package name
	names   map[string]bool                            // package names
	top     map[string]bool                            // names of files and directories at the root
	exists  func(p string) bool                        // path from the root, glob allowed
	heads   func(file string) (map[string]bool, error) // anchors of a Markdown file
}

// markdownComplaints checks local links, paths and symbols of one file. Fenced
// blocks are examples and are left alone.
func markdownComplaints(m markdown, k knowledge) []string {
	var out []string
	text := fence.ReplaceAllString(m.text, "")
	for _, l := range link.FindAllStringSubmatch(text, -1) {
		if c := linkComplaint(m, l[1], k); c != "" {
			out = append(out, m.path+": "+c)
		}
	}
	for _, s := range codeSpan.FindAllStringSubmatch(text, -1) {
		if c := spanComplaint(s[1], k); c != "" {
			out = append(out, m.path+": "+c)
		}
	}
	return out
}

func linkComplaint(m markdown, target string, k knowledge) string {
	if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
		return ""
	}
	file, anchor, _ := strings.Cut(target, "#")
	full := m.path
	if file != "" {
		full = path.Join(path.Dir(m.path), file)
		if !k.exists(full) {
			return fmt.Sprintf("link to %s, which does not exist", full)
		}
	}
	if anchor == "" || !strings.HasSuffix(full, ".md") {
		return ""
	}
	heads, err := k.heads(full)
	if err != nil || !heads[anchor] {
		return fmt.Sprintf("link to a heading #%s that %s does not have", anchor, full)
	}
	return ""
}

// spanComplaint checks inline code that looks like a path below the root or
// like a symbol of one of our packages; anything else is none of its business.
func spanComplaint(span string, k knowledge) string {
	if s := symbol.FindStringSubmatch(span); s != nil && k.names[s[1]] {
		name := s[1] + "." + s[2]
		if s[3] != "" {
			name += "." + s[3]
		}
		if !k.symbols[name] {
			return fmt.Sprintf("`%s` names nothing that is declared", span)
		}
		return ""
	}
	first, rest, slash := strings.Cut(span, "/")
	if slash && rest != "" && pathLike.MatchString(span) && k.top[first] && !k.exists(strings.TrimSuffix(span, "/")) {
		return fmt.Sprintf("`%s` is no path of the repository", span)
	}
	return ""
}

// anchors returns the anchors of a Markdown text as GitHub makes them.
func anchors(text string) map[string]bool {
	out := map[string]bool{}
	for _, h := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		kept := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r > 127:
				return r
			}
			return -1
		}, strings.ToLower(strings.TrimSpace(h[1])))
		out[kept] = true
	}
	return out
}

// declared collects the symbols of production code.
func declared(files []goFile) (symbols, names map[string]bool) {
	symbols, names = map[string]bool{}, map[string]bool{}
	for _, f := range files {
		if f.test {
			continue
		}
		pkg := f.ast.Name.Name
		names[pkg] = true
		for _, d := range f.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				_, rest, _ := strings.Cut(functionName(f, d), ".")
				symbols[pkg+"."+rest] = true
			case *ast.GenDecl:
				declareSpecs(symbols, pkg, d)
			}
		}
	}
	delete(names, "main")
	return symbols, names
}

func declareSpecs(symbols map[string]bool, pkg string, d *ast.GenDecl) {
	for _, s := range d.Specs {
		switch s := s.(type) {
		case *ast.ValueSpec:
			for _, n := range s.Names {
				symbols[pkg+"."+n.Name] = true
			}
		case *ast.TypeSpec:
			symbols[pkg+"."+s.Name.Name] = true
			for _, f := range typeMembers(s.Type) {
				symbols[pkg+"."+s.Name.Name+"."+f] = true
			}
		}
	}
}

// typeMembers returns the fields of a struct or the methods of an interface.
func typeMembers(t ast.Expr) []string {
	var list *ast.FieldList
	switch t := t.(type) {
	case *ast.StructType:
		list = t.Fields
	case *ast.InterfaceType:
		list = t.Methods
	}
	if list == nil {
		return nil
	}
	var out []string
	for _, f := range list.List {
		for _, n := range f.Names {
			out = append(out, n.Name)
		}
	}
	return out
}

func loadKnowledge(t *testing.T) knowledge {
	t.Helper()
	symbols, names := declared(tree(t))
	top := map[string]bool{}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		top[e.Name()] = true
	}
	return knowledge{
		symbols: symbols, names: names, top: top,
		exists: func(p string) bool {
			found, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(p)))
			return err == nil && len(found) > 0
		},
		heads: func(file string) (map[string]bool, error) {
			b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
			return anchors(string(b)), err
		},
	}
}

func TestMarkdownNamesWhatExists(t *testing.T) {
	k := loadKnowledge(t)
	err := walk(func(p string) error {
		if !strings.HasSuffix(p, ".md") {
			return nil
		}
		b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(p)))
		if err == nil {
			report(t, markdownComplaints(markdown{p, string(b)}, k))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestMarkdownComplains(t *testing.T) {
	k := knowledge{
		symbols: map[string]bool{"wire.Op": true, "wire.Reader.Int": true},
		names:   map[string]bool{"wire": true},
		top:     map[string]bool{"wire": true, "docs": true},
		exists:  func(p string) bool { return slices.Contains([]string{"wire/op.go", "docs/a.md"}, p) },
		heads:   func(string) (map[string]bool, error) { return anchors("# One Way, two\n```\n# not\n```\n"), nil },
	}
	for text, want := range map[string]string{
		"see `wire.Gone`":       "names nothing",
		"see `wire.Reader.Far`": "names nothing",
		"see `wire/gone.go`":    "no path of the repository",
		"see [a](b.md)":         "link to docs/b.md",
		"see [a](a.md#not)":     "heading #not",
		"see [a](../wire/x.go)": "link to wire/x.go",
	} {
		wantComplaint(t, markdownComplaints(markdown{"docs/x.md", text}, k), want)
	}
	fine := "`wire.Op` `wire.Reader.Int` `wire/op.go` [a](a.md#one-way-two) [w](https://x.org/y) `zk.Conn` `a/b`\n```\n`wire.Gone`\n```\n"
	report(t, markdownComplaints(markdown{"docs/x.md", fine}, k))
}
