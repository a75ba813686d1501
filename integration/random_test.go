package integration

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// generator makes random requests of a script over few paths, so that they
// meet: errors, watches and conflicts are as common as successes.
type generator struct {
	*rand.Rand
	sessions []string
}

func pick[T any](g *generator, from ...T) T { return from[g.IntN(len(from))] }

func (g *generator) path() string {
	return pick(g, "/a", "/a", "/b", "/a/x", "/a/x", "/a/y", "/b/x", "/a/x/deep", "/none", "/", "/a/", "bad", "/zookeeper/quota")
}

func (g *generator) data() string { return pick(g, "null", `""`, `"x"`, `"some data"`, "fill:300") }

func (g *generator) version() string { return pick(g, "-1", "-1", "0", "1", "2", "3", "-2") }

func (g *generator) acl() string {
	return pick(g, "", "", "", "", " acl=world:anyone:r", " acl=world:anyone:cdrw", " acl=auth::cdrwa",
		" acl=ip:127.0.0.1:cdrwa", " acl=digest:bob:ikIaKsbtGweaHnb/jKn7OHqbunM=:cdrwa,world:anyone:r", " acl=empty", " acl=foo:x:r")
}

func (g *generator) mode() string { return pick(g, "", "", "", " ephemeral", " seq", " ephseq") }

func (g *generator) create() string {
	path := g.path()
	mode := g.mode()
	if strings.HasSuffix(mode, "seq") {
		path = pick(g, "/a/s-", "/b/", "/a/x/s-", "/none/s-")
	}
	return fmt.Sprintf("%s %s %s%s%s", pick(g, "create", "create", "create2", "createContainer"), path, g.data(), mode, g.acl())
}

func (g *generator) write() string {
	switch g.IntN(7) {
	case 0, 1, 2:
		return g.create()
	case 3:
		return fmt.Sprintf("delete %s %s", g.path(), g.version())
	case 4, 5:
		return fmt.Sprintf("setData %s %s %s", g.path(), g.data(), g.version())
	default:
		list := strings.TrimPrefix(g.acl(), " acl=")
		if list == "" {
			list = "open"
		}
		return fmt.Sprintf("setACL %s %s %s", g.path(), list, g.version())
	}
}

// multi makes a multi of what a multi may hold.
func (g *generator) multi() string {
	var parts []string
	for range 1 + g.IntN(4) {
		part := g.write()
		if strings.HasPrefix(part, "setACL") || strings.HasPrefix(part, "createContainer") {
			part = fmt.Sprintf("check %s %s", g.path(), g.version())
		}
		parts = append(parts, part)
	}
	return "multi " + strings.Join(parts, " ; ")
}

func (g *generator) read() string {
	watch := pick(g, "", "", " watch")
	switch g.IntN(9) {
	case 0, 1:
		return "exists " + g.path() + watch
	case 2, 3:
		return "getData " + g.path() + watch
	case 4:
		return pick(g, "getChildren ", "getChildren2 ") + g.path() + watch
	case 5:
		return pick(g, "getACL ", "getAllChildrenNumber ", "getEphemerals ", "sync ") + g.path()
	case 6:
		return fmt.Sprintf("multiRead getData %s ; getChildren %s ; getData %s", g.path(), g.path(), g.path())
	case 7:
		return "whoAmI"
	default:
		return "ping"
	}
}

func (g *generator) watch() string {
	p := pick(g, "/", "/a", "/a/x", "/none")
	switch g.IntN(5) {
	case 0:
		return fmt.Sprintf("addWatch %s %d", p, g.IntN(2))
	case 1:
		return fmt.Sprintf("removeWatches %s %d", p, 1+g.IntN(5))
	case 2:
		return fmt.Sprintf("checkWatches %s %d", p, 1+g.IntN(5))
	case 3:
		return fmt.Sprintf("setWatches z%d data=%s exist=%s child=%s", g.IntN(20), g.path(), g.path(), g.path())
	default:
		return fmt.Sprintf("setWatches2 z%d five data=%s persistent=%s recursive=%s", g.IntN(20), g.path(), p, p)
	}
}

// next returns one step.
func (g *generator) next() string {
	who := pick(g, g.sessions...) + " "
	switch n := g.IntN(100); {
	case n < 45:
		return who + g.write()
	case n < 55:
		return who + g.multi()
	case n < 85:
		return who + g.read()
	case n < 95:
		return who + g.watch()
	case n < 97:
		// One name for each session: in which order Java puts several into a list
		// that says auth is a matter of hashes.
		name := "bob"
		if who == "B " {
			name = "al"
		}
		return who + `auth digest "` + name + `:pw"`
	default:
		return who + pick(g, "resume", "resume timeout=20000", "resume old")
	}
}

// sortEvents orders notifications of one zxid by their text: where one
// transaction removes several nodes, their order is nobody's promise.
func sortEvents(lines []string) []string {
	key := func(l string) string {
		words := strings.SplitN(l, " ", 3)
		if words[0] != "event" || words[1] == "z-1" {
			return ""
		}
		return words[1]
	}
	out := slices.Clone(lines)
	for i := 0; i < len(out); {
		j := i + 1
		for j < len(out) && key(out[i]) != "" && key(out[j]) == key(out[i]) {
			j++
		}
		slices.Sort(out[i:j])
		i = j
	}
	return out
}

// randomSteps is how many requests each seed makes.
const randomSteps = 400

// seeds returns how many random conversations are held: QUORATE_SEEDS in a
// long run.
func seeds() int {
	if n, err := strconv.Atoi(os.Getenv("QUORATE_SEEDS")); err == nil {
		return n
	}
	return 12
}

// TestRandomConversations sends the same random requests to ZooKeeper 3.9 and
// to Quorate and compares every field of every answer and notification.
// QUORATE_SEED replays one.
func TestRandomConversations(t *testing.T) {
	zookeeper := pool.borrow(t, ZooKeeper39, nil)
	quorate := pool.borrow(t, Quorate, nil)
	first := rand.Uint64() >> 1
	n, tally := seeds(), map[string]int{}
	if s, err := strconv.ParseUint(os.Getenv("QUORATE_SEED"), 10, 64); err == nil {
		first, n = s, 1
	}
	for i := range n {
		seed := first + uint64(i)
		if !converse(t, zookeeper, quorate, seed, tally) {
			t.Fatalf("QUORATE_SEED=%d replays it", seed)
		}
	}
	t.Logf("%d requests in %d conversations, first seed %d: %v", n*randomSteps, n, first, tally)
	// Answers of every kind must have been compared for this to mean much.
	for _, kind := range []string{"ok", "event", "-101", "-102", "-103", "-110", "-8"} {
		if tally[kind] < n {
			t.Errorf("only %d times %s in %d conversations", tally[kind], kind, n)
		}
	}
}

// converse holds one random conversation with both servers.
func converse(t *testing.T, zookeeper, quorate *Server, seed uint64, tally map[string]int) bool {
	t.Helper()
	g := &generator{rand.New(rand.NewPCG(seed, 0)), []string{"A", "B", "C"}}
	var both [2]*runner
	for i, s := range []*Server{zookeeper, quorate} {
		r, err := newRunner(s.Addr, false)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for _, start := range []string{"A connect", "B connect", "C connect"} {
			if _, err := r.step(start); err != nil {
				t.Fatal(err)
			}
		}
		both[i] = r
	}
	var history []string
	for range randomSteps {
		step := g.next()
		history = append(history, step)
		var got [2][]string
		for i, r := range both {
			answers, err := r.step(step)
			if err != nil {
				t.Fatalf("seed %d: %s: %v", seed, step, err)
			}
			got[i] = sortEvents(answers)
		}
		for _, l := range got[0] {
			kind, _, _ := strings.Cut(l, " ")
			tally[kind]++
		}
		if !slices.Equal(got[0], got[1]) {
			t.Errorf("seed %d: %s\n ZooKeeper: %s\n Quorate:   %s\nafter\n%s", seed, step, strings.Join(got[0], "\n            "),
				strings.Join(got[1], "\n            "), strings.Join(history[max(0, len(history)-40):], "\n"))
			return false
		}
	}
	return true
}
