package lint

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
)

// arrow says what the production files of the packages that match pkg (a
// path.Match pattern) may import of this module.
type arrow struct {
	pkg string
	may []string
	why string
}

// arrows is the import policy. The first row that matches a package counts; a
// package that no row matches fails, so that a new one is placed on purpose.
var arrows = []arrow{
	{"cmd/*", []string{"conf", "internal/*"}, "flags, configuration, constructors, Run, exit code; nothing else"},
	{"conf", []string{"zab/members"}, "settings are plain values that constructors read; the list of members is one that servers send each other too"},
	{"wire", nil, "bytes of the client protocol are everyone's, so they depend on nobody"},
	{"session", nil, "ids, timeouts and expiry are arithmetic on ticks"},
	{"watch", []string{"wire"}, "a watch table knows paths and connections, not trees or sockets"},
	{"znode", []string{"wire"}, "the tree applies transactions; who proposed them is not its business"},
	{"zab/quorum", nil, "majorities, weights and groups are arithmetic"},
	{"zab/members", []string{"zab/quorum"}, "a list of members is text and says how votes are counted"},
	{"zab/zxids", nil, "a zxid is arithmetic on 64 bits"},
	{"zab", []string{"zab/quorum", "zab/zxids"}, "the protocol sees a transaction as opaque bytes"},
	{"zab/txnlog", []string{"zab/zxids"}, "the log stores entries in order of their zxids, whoever proposed them"},
	{"zab/transport", []string{"zab"}, "sockets between servers carry the core's messages"},
	{"zab/zabtest", []string{"zab", "zab/quorum"}, "drives several cores from text"},
	{
		"internal/replica",
		[]string{"zab", "znode", "session", "watch", "wire"},
		"the deterministic whole is stepped by events and owns no socket, disk or clock",
	},
	{
		"internal/server",
		[]string{"internal/replica", "zab", "zab/members", "zab/transport", "zab/txnlog", "znode", "wire"},
		"the runtime puts hands on the replica; settings reach it as its own Config",
	},
	{
		"internal/sim",
		[]string{"internal/replica", "zab", "zab/quorum", "znode", "session", "watch", "wire"},
		"the simulator replaces disk, network and clock, so it must not reach the real ones",
	},
	{"internal/sysmon", nil, "Go's scheduler knows no servers"},
	{"internal/lint", nil, "rules read sources, they do not link them"},
	{"internal/bench", []string{"wire", "internal/sysmon"}, "a load generator is a client: it knows the protocol, not the server"},
	{"internal/shell", []string{"wire"}, "the command shell is a client: it knows the protocol, not the server"},
	{"internal/bench/table", []string{"internal/bench"}, "writes what was measured; how is the business of others"},
	{"internal/bench/floor", []string{"wire"}, "answers what a load generator asks, and knows no server"},
	{"internal/bench/compare", []string{"internal/bench", "internal/bench/floor", "internal/bench/table"}, "runs two servers and prints a table of both"},
	{"internal/shell", []string{"wire"}, "a shell is a client: it knows the protocol, not the server"},
	{"integration", []string{"wire"}, "tests from outside speak bytes to built binaries"},
	{
		"integration/figures",
		[]string{"wire", "integration", "integration/ensemble", "internal/bench", "internal/bench/floor", "internal/bench/table"},
		"the load generator is a client from outside too",
	},
	{"integration/*", []string{"wire", "integration", "integration/*"}, "tests from outside speak bytes to built binaries"},
}

// ban keeps an import path, and all below it, to the packages named.
type ban struct {
	path string
	only []string
	why  string
}

var bans = []ban{
	{"github.com/spf13/viper", []string{"conf"}, "settings are read in one place"},
	{"github.com/cockroachdb/pebble", []string{"znode"}, "the store behind the tree may be replaced"},
	{
		"go.uber.org/zap",
		[]string{"cmd/*", "internal/server", "zab/transport", "zab/txnlog"},
		"pure code returns events; the runtime logs them",
	},
	{
		"net",
		[]string{"cmd/*", "conf", "internal/server", "zab/transport", "internal/bench", "internal/bench/compare", "internal/bench/floor", "internal/lint", "integration", "integration/*"},
		"sockets are the runtime's and the tools'",
	},
	{
		"github.com/go-zookeeper/zk",
		[]string{"cmd/*", "integration", "integration/*"},
		"a stock client belongs to tools and tests from outside",
	},
	{"github.com/anishathalye/porcupine", []string{"internal/sim", "integration", "integration/*"}, "checks histories in tests"},
}

// banExceptions are imports below a banned path that hold no such power.
var banExceptions = map[string]string{
	"net/netip": "addresses as values",
	"net/url":   "text",
}

// stdOnly packages import nothing beyond the standard library.
var stdOnly = []string{"wire", "session", "zab/quorum", "zab/members", "zab"}

func matchAny(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(p, pkg)
		return ok && err == nil
	})
}

// isStandard reports whether an import path is the standard library's: only
// other modules have a dot in the first element.
func isStandard(p string) bool {
	first, _, _ := strings.Cut(p, "/")
	return !strings.Contains(first, ".")
}

// isOurs reports whether an import path, already without the module's name, is
// a package of this module.
func isOurs(p string, pkgs map[string]bool) bool { return pkgs[p] }

// arrowComplaints checks the production files against arrows, bans and
// stdOnly.
func arrowComplaints(files []goFile, pkgs map[string]bool) []string {
	var out []string
	for _, f := range files {
		if f.test {
			continue
		}
		row := slices.IndexFunc(arrows, func(a arrow) bool { return matchAny([]string{a.pkg}, f.pkg) })
		if row < 0 {
			out = append(out, fmt.Sprintf("%s: package %s has no row in arrows: say what it may import and why", f.path, f.pkg))
			continue
		}
		for _, imp := range f.imports() {
			out = append(out, importComplaints(f, arrows[row], imp, pkgs)...)
		}
	}
	return out
}

func importComplaints(f goFile, row arrow, imp string, pkgs map[string]bool) []string {
	if isOurs(imp, pkgs) {
		if !matchAny(row.may, imp) {
			return []string{fmt.Sprintf("%s: %s may not import %s: %s", f.path, f.pkg, imp, row.why)}
		}
		return nil
	}
	var out []string
	if !isStandard(imp) && slices.Contains(stdOnly, f.pkg) {
		out = append(out, fmt.Sprintf("%s: %s imports %s, but stays on the standard library", f.path, f.pkg, imp))
	}
	for _, b := range bans {
		under := imp == b.path || strings.HasPrefix(imp, b.path+"/")
		if _, fine := banExceptions[imp]; under && !fine && !matchAny(b.only, f.pkg) {
			out = append(out, fmt.Sprintf("%s: %s is for %s alone: %s", f.path, imp, strings.Join(b.only, ", "), b.why))
		}
	}
	return out
}

func packages(files []goFile) map[string]bool {
	pkgs := map[string]bool{}
	for _, f := range files {
		pkgs[f.pkg] = true
	}
	return pkgs
}

func TestImportArrows(t *testing.T) {
	files := tree(t)
	report(t, arrowComplaints(files, packages(files)))
}

func TestEveryArrowHasAReason(t *testing.T) {
	for _, a := range arrows {
		if a.why == "" {
			t.Errorf("arrows: %s has no reason", a.pkg)
		}
	}
	for _, b := range bans {
		if b.why == "" {
			t.Errorf("bans: %s has no reason", b.path)
		}
	}
}

func TestArrowsComplain(t *testing.T) {
	pkgs := map[string]bool{"wire": true, "znode": true, "zab": true, "conf": true, "internal/server": true}
	for _, c := range []struct{ file, imp, want string }{
		{"wire/a.go", module + "/znode", "wire may not import znode"},
		{"zab/a.go", module + "/wire", "zab may not import wire"},
		{"internal/server/a.go", module + "/conf", "internal/server may not import conf"},
		{"session/a.go", "golang.org/x/sys/unix", "stays on the standard library"},
		{"znode/a.go", "net", "net is for"},
		{"znode/a.go", "net/http", "net/http is for"},
		{"watch/a.go", "go.uber.org/zap/zapcore", "pure code returns events"},
		{"internal/server/a.go", "github.com/cockroachdb/pebble/v2", "for znode alone"},
		{"newcomer/a.go", "fmt", "no row in arrows"},
	} {
		f := snippet(t, c.file, fmt.Sprintf("package x\nimport _ %q\n", c.imp))
		wantComplaint(t, arrowComplaints([]goFile{f}, pkgs), c.want)
	}
	for _, c := range []struct{ file, imp string }{
		{"znode/a.go", module + "/wire"},
		{"znode/store.go", "github.com/cockroachdb/pebble/v2"},
		{"wire/a_test.go", "net"},
		{"watch/a.go", "net/netip"},
		{"cmd/quorate/a.go", module + "/conf"},
	} {
		f := snippet(t, c.file, fmt.Sprintf("package x\nimport _ %q\n", c.imp))
		report(t, arrowComplaints([]goFile{f}, pkgs))
	}
}
