//go:build linux

package operate

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/integration/ensemble"
)

func TestMain(m *testing.M) {
	code := m.Run()
	integration.RemoveBuild()
	os.Exit(code)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// same is an ensemble of one kind.
func same(k ensemble.Kind, voters, observers int) ensemble.Spec {
	return ensemble.Spec{Voters: slices.Repeat([]ensemble.Kind{k}, voters), Observers: slices.Repeat([]ensemble.Kind{k}, observers)}
}

// client is a session on one member, that ends with the test.
func client(t *testing.T, m *ensemble.Member) *zk.Conn {
	t.Helper()
	c, events, err := zk.Connect([]string{m.Addr()}, 30*time.Second, zk.WithLogInfo(false))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	for e := range events {
		if e.State == zk.StateHasSession {
			return c
		}
	}
	t.Fatal("no session")
	return nil
}

// shapes turn what differs from run to run into one text.
var shapes = []struct {
	what *regexp.Regexp
	to   string
}{
	{regexp.MustCompile(`[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d \S+ \d{4}`), "DATE"},
	{regexp.MustCompile(`0x[0-9a-f]+`), "HEX"},
	{regexp.MustCompile(`version: .*`), "version: V"},
	{regexp.MustCompile(`(data(?:Log)?Dir=).*`), "${1}DIR"},
	{regexp.MustCompile(`lop=[A-Z0-9]+`), "lop=OP"},
	{regexp.MustCompile(`\[[0-9a-f]+\]`), "[OPS]"},
	{regexp.MustCompile(`-?\d+(\.\d+)*`), "#"},
}

// shape is an answer without what differs, each line once, sorted, as servers list
// sessions in any order.
func shape(text string) string {
	for _, s := range shapes {
		text = s.what.ReplaceAllString(text, s.to)
	}
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return strings.Join(slices.Compact(lines), "\n")
}

// asked is what the members of an ensemble answer, by role and word.
type asked map[string]map[string]string

var allWords = []string{"srvr", "stat", "cons", "conf", "dump", "isro", "ruok", "dirs", "wchs", "wchc", "wchp", "hash", "gtmk", "crst", "srst"}

// ask has a client on every member, with an ephemeral and a watch, and then asks
// every member for all words.
func ask(t *testing.T, k ensemble.Kind) (words asked, metrics map[string][]string) {
	t.Helper()
	e := ensemble.ForTest(t, same(k, 3, 1))
	for _, m := range e.Members {
		check(t, m.AwaitSynced())
		c := client(t, m)
		path := fmt.Sprintf("/of%d", m.ID)
		_, err := c.Create(path, []byte("x"), zk.FlagEphemeral, zk.WorldACL(zk.PermAll))
		check(t, err)
		_, _, _, err = c.GetW(path)
		check(t, err)
	}
	for _, m := range e.Members {
		check(t, m.AwaitSynced()) // all have seen all sessions
	}
	words, metrics = asked{}, map[string][]string{}
	for _, m := range e.Members {
		st, err := m.State()
		check(t, err)
		words[st.Mode] = map[string]string{}
		for _, w := range allWords {
			text, err := ensemble.Word(m.Addr(), w)
			check(t, err)
			words[st.Mode][w] = shape(text)
		}
		figures, err := m.Monitor()
		check(t, err)
		metrics[st.Mode] = slices.Collect(maps.Keys(figures))
	}
	return words, metrics
}

// perKey is a metric of one learner or one namespace: which there are depends on the
// run.
var perKey = regexp.MustCompile(`^zk_(?:[a-z0-9]+_)?(?:\d+|of\d+|zookeeper|n)_|per_namespace$`)

// TestWordsOfEveryRole: the members of an ensemble answer each word in the form in
// which ZooKeeper's do, and mntr has every key that theirs has.
func TestWordsOfEveryRole(t *testing.T) {
	ours, our := ask(t, integration.Quorate)
	theirs, their := ask(t, integration.ZooKeeper38)
	for _, mode := range []string{"leader", "follower", "observer"} {
		for _, w := range allWords {
			if got, want := ours[mode][w], theirs[mode][w]; got != want {
				t.Errorf("%s of a %s:\n%s\nof ZooKeeper:\n%s", w, mode, got, want)
			}
		}
		if len(their[mode]) < 100 {
			t.Errorf("ZooKeeper's %s has %d metrics", mode, len(their[mode]))
		}
		for _, key := range their[mode] {
			if !slices.Contains(our[mode], key) && !perKey.MatchString(key) {
				t.Errorf("a %s has no %s", mode, key)
			}
		}
	}
}
