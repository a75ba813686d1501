package integration

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// shownBy tells, for every feature of ZooKeeper that a standalone server can
// show and no script names in a "row:", which test shows it.
var shownBy = map[string]string{
	"handshake / session id layout":                "TestSessionIDs",
	"handshake / connection limits":                "TestConnectionLimits",
	"handshake / sessionless sockets dropped":      "TestSessionlessSockets",
	"handshake / clientPortAddress, IPv6":          "TestClientPortAddress",
	"framing / raised packet limit":                "TestRaisedPacketLimit",
	"framing / pipelining, a thousand requests":    "TestPipelinedThousand",
	"session / renewal":                            "TestPingsKeepASession",
	"session / full restart":                       "TestSessionsSurviveRestart",
	"system / chroot":                              "TestKazoo",
	"watch / reconnect end to end, stock client":   "TestJavaClient",
	"quota / metrics":                              "TestQuotaMetrics",
	"storage / durability":                         "TestKill",
	"storage / reads Java data directories":        "TestMoveFromJavaAndBack",
	"limits / outstanding and request throttle":    "TestRequestThrottle",
	"limits / throttled op error":                  "TestThrottledOp",
	"4lw / whitelist, ruok, isro":                  "TestWhitelist",
	"4lw / srvr, stat":                             "TestFourLetterWords",
	"4lw / conf, envi, dirs":                       "TestFourLetterWords",
	"4lw / cons, dump":                             "TestFourLetterWords",
	"4lw / mntr":                                   "TestFourLetterWords",
	"4lw / srst, crst":                             "TestFourLetterWords",
	"4lw / wchs, wchc, wchp":                       "TestFourLetterWords",
	"4lw / hash, gtmk, stmk":                       "TestFourLetterWords",
	"cli / node commands":                          "TestShell",
	"cli / ACL and quota commands":                 "TestShell",
	"cli / other commands":                         "TestShell",
	"cli / exit codes":                             "TestShellExitCodes",
	"ops / start-up errors":                        "TestStartErrors",
	"clients / Java and Curator":                   "TestCurator",
	"clients / kazoo":                              "TestKazoo",
	"clients / go-zookeeper/zk":                    "TestGoClient",
	"clients / C client":                           "TestCShell",
	"every pair of errors":                         "TestOrderOfChecks",
	"random requests, every field of every answer": "TestRandomConversations",
}

// standalone are the features, by the names of the scripts' rows, that a
// standalone server must show.
var standalone = strings.Split(strings.TrimSpace(`
handshake / new session
handshake / old clients without the readOnly byte
handshake / timeout negotiation
handshake / re-attach with id and password
handshake / unknown or expired session
handshake / wrong password
handshake / client ahead of server
handshake / second attach on one server
framing / bad lengths and garbage
framing / pipelining, FIFO, xids echoed
framing / unparsable body
framing / unknown opcode
framing / reply zxid, failed writes count
session / ping
session / expiry
session / close
create / persistent, op 1 and op 15
create / ephemeral
create / sequential
create / sequential counter
create / container (19)
create / TTL (21), plain and sequential
create / TTL refusals
create / errors
create / null data kept null
paths / validation
delete / plain, conditional, refused
delete / deleteContainer (20) from a client
read / exists (3)
read / getData (4)
read / getChildren (8) and getChildren2 (12)
read / getAllChildrenNumber (104)
read / getEphemerals (103)
read / whoAmI (107)
read / sync (9)
write / setData (5), conditional
write / setACL (7), getACL (6)
multi / commit
multi / abort
multi / one zxid, ops see each other
multi / create2, container, TTL inside
multi / malformed
multi / multiRead (22)
Stat / cversion counts creates and deletes
Stat / pzxid
Stat / ephemeralOwner of containers and TTL nodes
Stat / fresh system nodes
watch / data
watch / exists on a missing node
watch / child
watch / delete notifies once
watch / event before data, own event before own reply
watch / deduplicated per connection
watch / silent operations
watch / persistent (addWatch 0)
watch / persistent recursive (addWatch 1)
watch / removeWatches (18), checkWatches (17)
watch / ephemeral, container and TTL removal
watch / events of a multi
watch / zxid in the notification
watch / hidden from clients without READ
watch / re-registration (setWatches 101)
watch / re-registration of persistent (105)
watch / reconnect end to end
acl / permission per op
acl / digest and `+"`auth`"+` expansion
acl / ip and CIDR
acl / invalid ACL
acl / exists needs READ
acl / getACL masks hashes
acl / refused authentication
acl / super digest
acl / skipACL=yes
acl / digest switch and hash choice
acl / credentials belong to the connection
auth / SASL failures
auth / ensemble name
quota / soft limits, listing, removal
quota / hard limits
quota / stats node kept
system / protected nodes
reconfig / errors
limits / large requests
`), "\n")

// TestEveryFeatureIsShown: each feature of the list has a script, each script
// shows a feature of the list, and each test that is named exists.
func TestEveryFeatureIsShown(t *testing.T) {
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
			if !slices.Contains(standalone, r) {
				t.Errorf("%s.txt shows %q, which is no feature of the list", s.Name, r)
			}
		}
		if len(s.Steps) < 2 {
			t.Errorf("%s.txt has %d steps", s.Name, len(s.Steps))
		}
		for _, st := range s.Steps {
			if len(st.Answers) == 0 && expectsAnswer(st.Text) {
				t.Errorf("%s.txt:%d: %s has no answer", s.Name, st.Line, st.Text)
			}
		}
	}
	for _, r := range standalone {
		if !rows[r] {
			t.Errorf("no script shows %q", r)
		}
	}
	tests := testNames(t)
	for _, feature := range slices.Sorted(maps.Keys(shownBy)) {
		if !tests[shownBy[feature]] {
			t.Errorf("%s: there is no %s", feature, shownBy[feature])
		}
	}
}

// expectsAnswer tells whether a step brings anything back.
func expectsAnswer(step string) bool {
	words := splitWords(step)
	return !slices.Contains([]string{"drop", "tcp", "send", "frame", "bytes"}, words[1])
}

// testNames returns the tests of this package.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	paths, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, p := range paths {
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && strings.HasPrefix(fn.Name.Name, "Test") {
				names[fn.Name.Name] = true
			}
		}
	}
	return names
}
