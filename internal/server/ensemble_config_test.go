package server

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quorate/quorate/zab/members"
)

func parsedList(t *testing.T, text string) members.List {
	t.Helper()
	l, err := members.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestEnsembleOfTheCore(t *testing.T) {
	l := parsedList(t, "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\nserver.9=d:1:2:observer\nversion=1f")
	e, err := zabEnsemble(&l)
	if err != nil {
		t.Fatal(err)
	}
	if e.Version != 0x1f || string(e.Text) != l.Text() || !slices.Equal(e.Observers, []int64{9}) {
		t.Errorf("%+v", e)
	}
	if !slices.Equal(e.Quorum.Voters(), []int64{1, 2, 3}) {
		t.Errorf("voters %v", e.Quorum.Voters())
	}
}

func TestEnsembleConfigReportsEveryFault(t *testing.T) {
	c := EnsembleConfig{List: parsedList(t, "server.1=a:1:2:observer"), MyID: 4, CommitLogCount: -1, HoldClients: -1}
	err := c.validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"no server of the list is a participant", "server 4 is not in the list", "initLimit is 0", "commitLogCount", "holdClientsMs"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
}

func TestListenAddresses(t *testing.T) {
	c := EnsembleConfig{List: parsedList(t, "server.1=a:1:2|b:1:3\nserver.2=c:1:2"), MyID: 1}
	if election, quorum := c.listenAddrs(); fmt.Sprint(election, quorum) != "[a:2 b:3] [a:1 b:1]" {
		t.Errorf("%v %v", election, quorum)
	}
	c.ListenOnAllIPs = true
	if election, quorum := c.listenAddrs(); fmt.Sprint(election, quorum) != "[:2 :3] [:1]" {
		t.Errorf("%v %v on all addresses", election, quorum)
	}
	if got := c.self().Addresses[0].Host; got != "a" {
		t.Errorf("asking has changed the list: %q", got)
	}
}
