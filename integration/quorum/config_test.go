//go:build linux

package quorum

import (
	"fmt"
	"os/exec"
	"strings"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/integration/ensemble"
	"github.com/quorate/quorate/wire"
)

// configRows are what an ensemble tells of its configuration.
var configRows = []row{
	{name: "system / config node", calm: true, play: configNode, want: `
		zkCli.sh config: server.1=H:Q:E:participant server.2=H:Q:E:participant server.3=H:Q:E:participant server.4=H:Q:E:observer version=0
		the leader's node: the same, version -1, ACL world:anyone:r
		the follower's node: the same, version -1, ACL world:anyone:r
		the observer's node: the same, version -1, ACL world:anyone:r
		set as nobody: -102
		delete: -8`},
}

// withoutPorts puts letters for the addresses of members into a configuration.
func (s *scene) withoutPorts(config string) string {
	for _, m := range s.e.Members {
		a := m.Address
		config = strings.ReplaceAll(config, fmt.Sprintf("%s:%d:%d:", a.Host, a.Quorum, a.Election), "H:Q:E:")
	}
	return strings.Join(strings.Fields(config), " ")
}

// zkCli runs one command of Debian's shell and returns what it prints.
func (s *scene) zkCli(m *ensemble.Member, command ...string) string {
	s.Helper()
	out, complaints, code := s.runCli(m, command...)
	if code != 0 {
		s.Fatalf("zkCli.sh %q: exit code %d: %s%s", command, code, out, complaints)
	}
	return out
}

// runCli is zkCli for a command that may fail.
func (s *scene) runCli(m *ensemble.Member, command ...string) (out, complaints string, code int) {
	s.Helper()
	const script = "/usr/share/zookeeper/bin/zkCli.sh"
	_, err := exec.LookPath(script)
	integration.NeedPeer(s, "zkCli.sh", err)
	env := []string{"JVMFLAGS=-Dzookeeper.root.logger=OFF,CONSOLE -XX:+UseSerialGC -XX:TieredStopAtLevel=1"}
	out, complaints, code, err = integration.RunCommand("", env, "", script, append([]string{"-server", m.Addr()}, command...)...)
	s.must(err)
	return out, complaints, code
}

func configNode(s *scene) {
	out := s.zkCli(s.followers()[0], "config")
	at := strings.Index(out, "server.1=")
	if at < 0 {
		s.Fatalf("zkCli.sh config: %q", out)
	}
	out = s.withoutPorts(out[at:])
	s.see("zkCli.sh config: %s", out)
	for _, r := range s.roles() {
		c := s.connect(r.m)
		data, st, err := c.Get("/zookeeper/config", false)
		s.must(err)
		same := "the same"
		if text := s.withoutPorts(string(data)); text != out {
			same = text
		}
		tree, err := integration.ReadTree(r.m.Addr())
		s.must(err)
		s.see("the %s's node: %s, version %d, ACL %s", r.name, same, st.Version, strings.Trim(tree["/zookeeper/config"].ACL, "[]"))
	}
	c := s.connect(s.followers()[0])
	_, err := c.Set("/zookeeper/config", nil, -1)
	s.see("set as nobody: %s", said(err))
	_, _, err = c.Call(wire.OpSync, wire.AppendString(nil, "/"))
	s.must(err)
	s.see("delete: %s", said(c.Delete("/zookeeper/config", -1)))
}
