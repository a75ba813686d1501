package members

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/quorate/quorate/zab/quorum"
)

func TestMemberRoundTrip(t *testing.T) {
	for text, want := range map[string]string{
		"h:1:2":                    "h:1:2:participant",
		"h:1:2:OBSERVER;3":         "h:1:2:observer;0.0.0.0:3",
		"[::1]:1:2;[::]:3":         "[::1]:1:2:participant;[::]:3",
		"b:1:2|a:3:4:observer;c:5": "a:3:4|b:1:2:observer;c:5",
		" h:1:2 ; 3":               "h:1:2:participant;0.0.0.0:3",
	} {
		got, err := ParseMember(1, text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		again, err := ParseMember(1, got.String())
		if err != nil || again.String() != got.String() {
			t.Errorf("%q prints %q, which reads as %q, %v", text, got.String(), again.String(), err)
		}
		if got.String() != want {
			t.Errorf("%q prints %q, want %q", text, got.String(), want)
		}
	}
}

func TestBadMembers(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 "is not host:quorumPort",
		"h":                                "is not host:quorumPort",
		"h:1":                              "is not host:quorumPort",
		"h:1:2:3:4":                        "is not host:quorumPort",
		"h:0:2":                            "quorum port",
		"h:1:65536":                        "election port",
		"h:1:-2":                           "election port",
		"h:1:1":                            "both 1",
		":1:2":                             "no host",
		"h:1:2:":                           "no role",
		"h:1:2:leader":                     "neither participant nor observer",
		"h:1:2;":                           "client port",
		"h:1:2;:3":                         "no host before",
		"h:1:2;a:b:3":                      "not [host:]port",
		"[::1:1:2":                         "no closing bracket",
		"[::1]x:1:2":                       "other than a colon",
		"a:1:2:observer|b:1:2:participant": "different roles",
		"h:1:2|":                           "is not host:quorumPort",
	} {
		if m, err := ParseMember(1, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; want an error about %q", text, m, err, want)
		}
	}
}

func TestAddressesToDial(t *testing.T) {
	m, err := ParseMember(7, "[2001:db8::1]:2888:3888|a.example:1:2:observer;127.0.0.1:2181")
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%v %v %s %s", m.QuorumAddrs(), m.ElectionAddrs(), m.ClientAddr(), m.Role)
	if want := "[[2001:db8::1]:2888 a.example:1] [[2001:db8::1]:3888 a.example:2] 127.0.0.1:2181 observer"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestTextIsWhatZooKeeperWrites(t *testing.T) {
	l := List{
		Members: []Member{
			{ID: 1, Addresses: []Address{{"h1", 2888, 3888}}, ClientHost: "0.0.0.0", ClientPort: 2181},
			{ID: 2, Addresses: []Address{{"h2", 2888, 3888}}},
			{ID: 3, Addresses: []Address{{"h3", 2888, 3888}}, Role: Observer},
		},
		Version: 0x1_0000_00ab,
	}
	want := "server.1=h1:2888:3888:participant;0.0.0.0:2181\nserver.2=h2:2888:3888:participant\n" +
		"server.3=h3:2888:3888:observer\nversion=1000000ab"
	if got := l.Text(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	l.Groups, l.Weights = map[int64][]int64{2: {2}, 1: {1}}, map[int64]int64{2: 0, 1: 5}
	if got := l.Text(); !strings.Contains(got, "observer\ngroup.1=1\ngroup.2=2\nweight.1=5\nweight.2=0\nversion=") {
		t.Errorf("groups and weights are printed as %q", got)
	}
}

func TestParseIsIndifferentToOrderAndBlanks(t *testing.T) {
	want, err := Parse("server.1=a:1:2:participant;0.0.0.0:3\nserver.2=b:1:2:participant\ngroup.1=1:2\nweight.1=5\nversion=1f")
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse("# a comment\r\nversion : 1F\r\n\r\nweight.1 5\n! one more\n  group.1 = 1:2\nserver.2=b\\:1\\:2\r\nserver.1=a:1:2;3\n")
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestParseReportsEveryFaultWithItsLine(t *testing.T) {
	_, err := Parse("server.1=a:1:2\nserver.1=b:1:2\nserver.x=b:1:2\nclientPort=5\nserver.-3=h:1:2\nversion=-1\ngroup.1=a\nweight.1=-1\nserver.4=h:1")
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"line 2: server 1 is listed twice", "line 3: \"server.x\"", "line 4: \"clientPort\"", "line 5: ",
		"line 6: the version", "line 7: ", "line 8: the weight", "line 9: server.4: ",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
	if _, err := Parse(strings.Repeat("#\n", TextBytesMax)); err == nil {
		t.Error("a text without end is read")
	}
}

func TestVerifier(t *testing.T) {
	const three = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\nserver.4=d:1:2:observer\n"
	for _, c := range []struct {
		text   string
		quorum []int64
		none   []int64
	}{
		{three, []int64{1, 3}, []int64{2, 4}},
		{three + "group.1=1:2:3\nweight.1=3", []int64{1}, []int64{2, 3}},
		{three + "group.1=1:2:3\ngroup.2=9", []int64{1, 2, 9}, []int64{1, 2, 3}},
	} {
		l, err := Parse(c.text)
		if err != nil {
			t.Fatal(err)
		}
		v, err := l.Verifier()
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if !v.IsQuorum(in(c.quorum)) || v.IsQuorum(in(c.none)) {
			t.Errorf("%q: %v must be a quorum and %v must not", c.text, c.quorum, c.none)
		}
	}
}

func in(ids []int64) func(int64) bool {
	return func(id int64) bool {
		for _, i := range ids {
			if i == id {
				return true
			}
		}
		return false
	}
}

func TestListsWithoutAQuorum(t *testing.T) {
	for text, want := range map[string]error{
		"version=0":                                              ErrNoParticipant,
		"server.1=a:1:2:observer":                                ErrNoParticipant,
		"server.1=a:1:2\ngroup.1=1\nweight.1=0":                  quorum.ErrNoWeight,
		"server.1=a:1:2\ngroup.1=1:1":                            quorum.ErrTwoGroups,
		"server.1=a:1:2\nweight.1=1":                             quorum.ErrNoGroup,
		"server.1=a:1:2\nserver.2=b:1:2\ngroup.1=2":              nil,
		"server.1=a:1:2\nserver.2=b:1:2:observer\ngroup.1=1:2\n": nil,
	} {
		l, err := Parse(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if _, err = l.Verifier(); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}

// FuzzParse: what is read prints as a text that reads the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", "version=ff", "server.1=h:1:2:participant;0.0.0.0:3\nserver.2=[::1]:1:2|b:3:4:observer\nversion=100000000",
		"server.1=a:1:2\nserver.2=b:1:2\ngroup.1=1:2\nweight.1=5\nversion=0", "server.1 = h:1:2\\:", "group.9=:\n", "a=b",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, err := Parse(text)
		if err != nil {
			return
		}
		_, _ = l.Verifier()
		again, err := Parse(l.Text())
		if err != nil {
			t.Fatalf("%q prints %q, which does not read: %v", text, l.Text(), err)
		}
		if again.Text() != l.Text() || !reflect.DeepEqual(again, l) {
			t.Fatalf("%q reads as %+v, prints %q, and reads as %+v", text, l, l.Text(), again)
		}
	})
}
