package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Which error wins when a request has several faults. Every request is put
// together from choices, each of which may bring faults; the answer must be
// the code of the first fault in the documented order. All combinations are
// tried, so every pair of faults that can meet does.

// fault is a reason to refuse, with the error code of the answer.
type fault struct {
	name string
	code int
}

// choice is one way to fill in a part of a request.
type choice struct {
	text   string
	faults []string
}

// ordered describes one request.
type ordered struct {
	format string // of the request's words; %s for each part in turn
	order  []fault
	parts  [][]choice
	multi  bool // the answer is the result of a multi's only operation
}

func just(text string) choice { return choice{text: text} }

func with(text string, faults ...string) choice { return choice{text, faults} }

// orderTree is what the requests meet. A has made it; B, who asks, is nobody.
var orderTree = []string{
	`A create /ok`, `A create /ok/there "x"`, `A create /ok/parent`, `A create /ok/parent/child`,
	`A create /no "x"`, `A create /no/there "x"`, `A create /no/parent`, `A create /no/parent/child`,
	`A create /eph "x" ephemeral`, `A create /ephno "x" ephemeral`,
	`A create /full "x"`, `A create /full/there "x"`,
	`A create /fullno "x"`, `A create /fullno/there "x"`,
	`A create /zookeeper/quota/full null`,
	`A create /zookeeper/quota/full/zookeeper_limits "count=-1,bytes=-1=;byteHardLimit=2;countHardLimit=2"`,
	`A create /zookeeper/quota/full/zookeeper_stats "count=0,bytes=0"`,
	`A create /zookeeper/quota/fullno null`,
	`A create /zookeeper/quota/fullno/zookeeper_limits "count=-1,bytes=-1=;byteHardLimit=2;countHardLimit=2"`,
	`A create /zookeeper/quota/fullno/zookeeper_stats "count=0,bytes=0"`,
	`A setACL /no/there ip:10.0.0.1:cdrwa`, `A setACL /no/parent ip:10.0.0.1:cdrwa`, `A setACL /no ip:10.0.0.1:cdrwa`,
	`A setACL /ephno ip:10.0.0.1:cdrwa`,
	`A setACL /fullno/there ip:10.0.0.1:cdrwa`, `A setACL /fullno ip:10.0.0.1:cdrwa`,
}

var (
	aclChoices     = []choice{just("acl=open"), with("acl=empty", "acl"), with("acl=foo:bar:r", "acl")}
	flagChoices    = []choice{just("flags=0"), just("flags=1"), with("flags=9", "flags")}
	versionChoices = []choice{with("9", "version"), with("-2", "version"), just("0")}
	// newPaths are paths to create.
	newPaths = []choice{
		just("/ok/new"), with("bad", "slash"), with(`"/ok/n\x00"`, "slash"), with(`"bad\x01"`, "slash", "path"),
		with(`"/ok/n\x01"`, "path"), with("/ok/n/", "noParent", "path"), with("/ok/there", "exists"),
		with("/none/x", "noParent"), with(`"/none/\x01"`, "noParent", "path"),
		with("/no/new", "denied"), with(`"/no/n\x01"`, "denied", "path"), with("/no/there", "denied", "exists"),
		with("/eph/x", "ephemeral"), with(`"/eph/\x01"`, "ephemeral", "path"),
		with("/ephno/x", "denied", "ephemeral"),
		with("/full/new", "quota"), with(`"/full/\x01"`, "quota", "path"), with("/full/there", "quota", "exists"),
		with("/fullno/new", "denied", "quota"), with("/fullno/there", "denied", "quota", "exists"),
	}
	createOrder = []fault{
		{"flags", -8},
		{"ttlOff", -6},
		{"ttl", -8},
		{"slash", -8},
		{"acl", -114},
		{"noParent", -101},
		{"denied", -102},
		{"path", -8},
		{"exists", -110},
		{"ephemeral", -108},
		{"quota", -125},
	}
	// nodes are paths to read or write, by the permission that is missing.
	nodes = []choice{
		just("/ok/there"), with("/none", "noNode"), with("/no/there", "denied"), with("/no", "denied"), with("/no/none", "noNode"),
	}
	readOrder = []fault{{"noNode", -101}, {"denied", -102}}
)

var orders = map[string]ordered{
	"create":          {"create %s %s %s", createOrder, [][]choice{newPaths, aclChoices, flagChoices}, false},
	"create2":         {"create2 %s %s %s", createOrder, [][]choice{newPaths, aclChoices, flagChoices}, false},
	"createContainer": {"createContainer %s %s %s", createOrder, [][]choice{newPaths, aclChoices, flagChoices}, false},
	"create in multi": {"multi create %s %s", createOrder, [][]choice{newPaths, aclChoices}, true},
	"createTTL, types off": {
		"createTTL %s %s %s", createOrder,
		[][]choice{newPaths, aclChoices, {
			with("flags=9 ms=5", "flags"), with("flags=5 ms=5", "ttlOff"), with("flags=5 ms=0", "ttlOff", "ttl"),
			with("flags=6 ms=5", "ttlOff"), with("flags=0 ms=5", "ttl"),
		}},
		false,
	},
	"delete": {
		"delete %s %s",
		[]fault{{"path", -8}, {"noParent", -101}, {"denied", -102}, {"noNode", -101}, {"version", -103}, {"children", -111}},
		[][]choice{{
			just("/ok/there"), with("bad", "path"), with(`"/ok/\x00"`, "path"), with("/zookeeper", "path"), with("/", "path"),
			with(`"/none/\x00"`, "path", "noParent"), with("/none/x", "noParent"), with("/no/there", "denied"),
			with("/no/none", "denied", "noNode"), with("/no/parent", "denied", "children"), with("/ok/none", "noNode"),
			with("/ok/parent", "children"), with("/zookeeper/none", "noNode"),
		}, versionChoices},
		false,
	},
	"setData": {
		"setData %s %s %s",
		[]fault{{"path", -8}, {"noNode", -101}, {"denied", -102}, {"quota", -125}, {"version", -103}},
		[][]choice{{
			just("/ok/there"), with("bad", "path"), with(`""`, "path"), with("/none/", "path", "noNode"), with("/none", "noNode"),
			with("/no/there", "denied"), with("/full/there", "full"), with("/fullno/there", "denied", "full"),
		}, {just(`"y"`), with(`"long data"`, "grows")}, versionChoices},
		false,
	},
	"setACL": {
		"setACL %s %s %s",
		[]fault{{"path", -8}, {"acl", -114}, {"noNode", -101}, {"denied", -102}, {"version", -103}},
		[][]choice{{
			just("/ok/there"), with("bad", "path"), with("/none/", "path", "noNode"), with("/none", "noNode"), with("/no/there", "denied"),
		}, {just("open"), with("empty", "acl"), with("auth::r", "acl")}, versionChoices},
		false,
	},
	"check": {
		"multi check %s %s",
		[]fault{{"path", -8}, {"noNode", -101}, {"denied", -102}, {"version", -103}},
		[][]choice{{
			just("/ok/there"), with("bad", "path"), with("/none/", "path", "noNode"), with("/none", "noNode"), with("/no/there", "denied"),
		}, versionChoices},
		true,
	},
	"getData":              {"getData %s", readOrder, [][]choice{nodes}, false},
	"getChildren":          {"getChildren %s", readOrder, [][]choice{nodes}, false},
	"getChildren2":         {"getChildren2 %s", readOrder, [][]choice{nodes}, false},
	"getAllChildrenNumber": {"getAllChildrenNumber %s", readOrder, [][]choice{nodes}, false},
	"getACL":               {"getACL %s", readOrder, [][]choice{nodes}, false},
	"exists": {
		"exists %s",
		[]fault{{"nul", -8}, {"denied", -102}, {"noNode", -101}},
		[][]choice{append(slices.Clone(nodes), with(`"/no\x00"`, "nul"), with(`"/none\x00"`, "nul", "noNode"))},
		false,
	},
}

// combinations calls try with every choice of parts.
func combinations(parts [][]choice, chosen []choice, try func([]choice)) {
	if len(parts) == 0 {
		try(chosen)
		return
	}
	for _, c := range parts[0] {
		combinations(parts[1:], append(chosen[:len(chosen):len(chosen)], c), try)
	}
}

// expected returns the code of the first fault of a request, 0 for none.
func (o ordered) expected(chosen []choice) int {
	var faults []string
	for _, c := range chosen {
		faults = append(faults, c.faults...)
	}
	// A node that is full refuses only data that is longer than what it holds.
	if slices.Contains(faults, "full") && slices.Contains(faults, "grows") {
		faults = append(faults, "quota")
	}
	for _, f := range o.order {
		if slices.Contains(faults, f.name) {
			return f.code
		}
	}
	return 0
}

func TestOrderOfChecks(t *testing.T) {
	eachFlavor(t, func(t *testing.T, f Flavor) {
		s := pool.borrow(t, f, Options{"enforceQuota": "true"})
		r, err := newRunner(s.Addr, false)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for _, line := range orderTree {
			if got, err := r.step(line); err != nil || !strings.HasPrefix(got[0], "ok") {
				t.Fatalf("%s: %q %v", line, got, err)
			}
		}
		for name, o := range orders {
			if name == "exists" && f == ZooKeeper38 {
				continue // 3.8 does not ask for READ
			}
			t.Run(name, func(t *testing.T) { o.run(t, r) })
		}
	})
}

// run tries every faulty combination. Those without a fault would change the
// tree, and are other tests' business.
func (o ordered) run(t *testing.T, r *runner) {
	tried := 0
	combinations(o.parts, nil, func(chosen []choice) {
		want := o.expected(chosen)
		if want == 0 {
			return
		}
		tried++
		words := make([]any, len(chosen))
		for i, c := range chosen {
			words[i] = c.text
		}
		line := "B " + fmt.Sprintf(o.format, words...)
		got, err := r.step(line)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		prefix, suffix := fmt.Sprintf("%d z", want), ""
		if o.multi {
			prefix, suffix = "ok z", fmt.Sprintf("[err %d]", want)
		}
		if len(got) != 1 || !strings.HasPrefix(got[0], prefix) || !strings.HasSuffix(got[0], suffix) {
			t.Errorf("%s\n got:  %q\n want: %d", line, got, want)
		}
	})
	if tried < 2 {
		t.Errorf("%d requests with faults", tried)
	}
}
