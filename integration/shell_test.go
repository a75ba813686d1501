package integration

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// shellMarker is what the shell's version command prints; a version command
// after each command tells where its output ends.
const shellMarker = "ZooKeeper CLI version: "

// shell returns the command line of zkCli.sh: Debian's script, or the class it
// starts with the jars of 3.9.
func shell(t *testing.T, f Flavor) []string {
	t.Helper()
	if f == ZooKeeper38 {
		script, err := executable("/usr/share/zookeeper/bin/zkCli.sh")
		if _, java := executable("java"); java != nil {
			err = java
		}
		NeedPeer(t, "zkCli.sh", err)
		return []string{script}
	}
	cp, err := classPath(f)
	NeedPeer(t, "ZooKeeper "+string(f)+"'s shell", err)
	return []string{
		"java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=off",
		"-cp", cp, "org.apache.zookeeper.ZooKeeperMain",
	}
}

// shellEnv silences the log of Debian's script, which goes to the same place
// as the answers.
var shellEnv = []string{"JVMFLAGS=-Dzookeeper.root.logger=OFF,CONSOLE -XX:+UseSerialGC -XX:TieredStopAtLevel=1"}

// runShell says commands to one zkCli.sh and returns what each printed, on
// either output, and the watch events in order: those come when they come.
func runShell(t *testing.T, f Flavor, addr string, commands []string) (outputs []string, events []string) {
	t.Helper()
	line := append(shell(t, f), "-server", addr)
	cmd := exec.Command(line[0], line[1:]...)
	var script strings.Builder
	for _, c := range commands {
		script.WriteString(c + "\nversion\n")
	}
	cmd.Stdin = strings.NewReader("version\n" + script.String() + "quit\n")
	cmd.Env = append(os.Environ(), shellEnv...)
	p, err := StartProcess("zkCli.sh", "", cmd)
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	blocks, current := []string{}, ""
	for l := range strings.Lines(p.Output()) {
		switch {
		case strings.HasPrefix(l, shellMarker):
			blocks, current = append(blocks, current), ""
		case strings.HasPrefix(l, "WatchedEvent "):
			events = append(events, strings.TrimSpace(l))
		case strings.TrimSpace(l) == "" || l == "WATCHER::\n" || strings.HasPrefix(l, "SLF4J: "):
		default:
			current += l
		}
	}
	if len(blocks) != len(commands)+1 {
		t.Fatalf("zkCli.sh answered %d of %d commands\n%s", len(blocks)-1, len(commands), p.Output())
	}
	return blocks[1:], events
}

var (
	shellDate    = regexp.MustCompile(`[A-Z][a-z]{2} [A-Z][a-z]{2} \d+ [\d:]+ [A-Z]+ \d{4}`)
	shellSession = regexp.MustCompile(`0x[1-9a-f][0-9a-f]{14,15}`)
)

// shellList is a list of paths, which getEphemerals prints in no order.
var shellList = regexp.MustCompile(`\[/[^\]\n]*\]`)

// maskShell hides dates and session ids, and sorts what has no order; zxids
// stay, since every run begins with a new server.
func maskShell(command, s string) string {
	if command == "whoami" {
		lines := strings.SplitAfter(s, "\n")
		slices.Sort(lines)
		return strings.Join(lines, "")
	}
	s = shellList.ReplaceAllStringFunc(s, func(list string) string {
		names := strings.Split(strings.Trim(list, "[]"), ", ")
		slices.Sort(names)
		return "[" + strings.Join(names, ", ") + "]"
	})
	return shellSession.ReplaceAllString(shellDate.ReplaceAllString(s, "<date>"), "<session>")
}

// recordedShellCommands make the shell send the requests that no other client
// of the recording sends.
var recordedShellCommands = []string{
	`create /s one`, `create -e /s/e x`, `create -c /s/c x`, `create -t 100000 /s/t x`, `ls -s /s`, `ls -R /`,
	`getEphemerals /s`, `getAllChildrenNumber /`, `whoami`, `addauth digest bob:pw`, `setAcl /s auth::cdrwa`,
	`getAcl -s /s`, `sync /s`, `config`, `reconfig -add server.2=127.0.0.1:1:2;3`, `addWatch -m PERSISTENT /s`,
	`removewatches /s`, `setquota -n 10 /s`, `listquota /s`, `delquota /s`, `deleteall /s`,
}

// shellFile holds what the shell of one version prints, command by command: a
// "$ " line, then its output with dates and sessions masked, at last the watch
// events. The two versions know other commands, and 3.8's prints no zxids of
// events.
func shellFile(client Flavor) string { return "testdata/shell-" + string(client) + ".txt" }

type shellCase struct{ command, output string }

func loadShellCases(t *testing.T, client Flavor) (cases []shellCase, events []string) {
	t.Helper()
	b, err := os.ReadFile(shellFile(client))
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(string(b)) {
		switch {
		case strings.HasPrefix(l, "#"):
		case strings.HasPrefix(l, "$ "):
			cases = append(cases, shellCase{command: strings.TrimSpace(l[2:])})
		case strings.HasPrefix(l, "WatchedEvent "):
			events = append(events, strings.TrimSpace(l))
		case len(cases) > 0:
			cases[len(cases)-1].output += l
		}
	}
	return cases, events
}

// TestShell runs every command of the shell of ZooKeeper 3.8 and 3.9 against
// every server, and compares all that is printed.
func TestShell(t *testing.T) {
	for _, client := range []Flavor{ZooKeeper39, ZooKeeper38} {
		t.Run("shell "+string(client), func(t *testing.T) {
			eachFlavor(t, func(t *testing.T, f Flavor) { testShell(t, client, f) })
		})
	}
}

func testShell(t *testing.T, client, f Flavor) {
	cases, events := loadShellCases(t, client)
	s := newServer(t, f, Options{"extendedTypesEnabled": "true", "reconfigEnabled": "false"})
	var commands []string
	for _, c := range cases {
		commands = append(commands, strings.ReplaceAll(c.command, "$ADDR", s.Addr))
	}
	got, gotEvents := runShell(t, client, s.Addr, commands)
	for i, c := range cases {
		got[i] = maskShell(c.command, got[i])
	}
	if rewriting(f) {
		rewriteShell(t, client, cases, got, gotEvents)
		return
	}
	for i, c := range cases {
		if got[i] != c.output {
			t.Errorf("$ %s\n got:\n%s want:\n%s", c.command, got[i], c.output)
		}
	}
	if f == ZooKeeper38 { // sends no zxid with a notification
		events = withoutZxids(events)
		gotEvents = withoutZxids(gotEvents)
	}
	if !slices.Equal(gotEvents, events) {
		t.Errorf("events\n got:\n%s\n want:\n%s", strings.Join(gotEvents, "\n"), strings.Join(events, "\n"))
	}
}

var eventZxid = regexp.MustCompile(` zxid: -?\d+`)

func withoutZxids(events []string) []string {
	out := make([]string, len(events))
	for i, e := range events {
		out[i] = eventZxid.ReplaceAllString(e, "")
	}
	return out
}

func rewriteShell(t *testing.T, client Flavor, cases []shellCase, got, events []string) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "# What zkCli.sh of ZooKeeper %s prints. See shell_test.go.\n", client)
	for i, c := range cases {
		fmt.Fprintf(&b, "$ %s\n%s", c.command, got[i])
	}
	for _, e := range events {
		b.WriteString(e + "\n")
	}
	if err := os.WriteFile(shellFile(client), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestShellExitCodes runs single commands, whose exit code scripts look at.
func TestShellExitCodes(t *testing.T) {
	eachFlavor(t, func(t *testing.T, f Flavor) {
		s := pool.borrow(t, f, nil)
		line := append(shell(t, ZooKeeper39), "-server", s.Addr)
		for _, c := range []struct {
			command        string
			code           int
			stdout, stderr string
		}{
			{"create /exit x", 0, "", "Created /exit"},
			{"get /exit", 0, "x", ""},
			{"get /none", 1, "", "Node does not exist: /none"},
			{"nonsense", 127, "", "Command not found: Command not found nonsense"},
			{"delete /exit", 0, "", ""},
		} {
			args := append(line[1:len(line):len(line)], strings.Fields(c.command)...)
			stdout, stderr, code, err := RunCommand("", nil, "", line[0], args...)
			if err != nil || code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) {
				t.Errorf("%s: exit code %d, %v, want %d, %q and %q\n%s%s", c.command, code, err, c.code, c.stdout, c.stderr, stdout, stderr)
			}
		}
	})
}
