//go:build linux

package main

import (
	"os"
	"strings"
	"testing"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/integration/ensemble"
)

func TestMain(m *testing.M) {
	code := m.Run()
	integration.RemoveBuild()
	os.Exit(code)
}

// TestRehearsal replaces three Java servers and puts them back.
func TestRehearsal(t *testing.T) {
	spec := ensemble.Spec{Voters: []ensemble.Kind{integration.ZooKeeper38}}
	integration.NeedPeer(t, "Debian's ZooKeeper", spec.Available())
	_, err := os.Stat("/usr/lib/python3/dist-packages/kazoo")
	integration.NeedPeer(t, "Debian's python3-kazoo", err)
	var out strings.Builder
	err = rehearse(t.Context(), plan{
		java: integration.ZooKeeper38, dir: t.TempDir(), order: orderLeaderLast,
		servers: 3, nodes: 2000, writes: 200, seed: 1, out: &out,
	})
	t.Log("\n" + out.String())
	if err != nil {
		t.Fatal(err)
	}
}
