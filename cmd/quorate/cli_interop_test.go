package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// debianClasspath is where Debian's package zookeeper puts its jars.
const debianClasspath = "/etc/zookeeper/conf_example:/usr/share/java/zookeeper.jar"

// javaScript are commands on which zkCli.sh of 3.8 and ours agree to the
// letter. Between them they touch every command of the shell that does not
// depend on the version.
const javaScript = `create /q
create -s /q/s-
create -s -e /q/e-
create -c /q/c data
create /q
create /nope/x
create q
create /q/
create /q/acl "two words" digest:bob:abc=:rw,world:anyone:r
get /q
get /q/acl
get -s /q/acl
get /nope
ls /q
ls -s /q
ls -R /q
ls /nope
stat /q
stat /nope
set /q/c v1
set -s /q/c v2
set -v 0 /q/c v3
set /nope x
delete /q
delete -v 9 /q/c
delete /nope
getAcl /q/acl
getAcl -s /q
getAcl /nope
setAcl -s /q/c world:anyone:cdrwa
setAcl -v 0 /q/c world:anyone:cdrw
setAcl -R /q/c world:anyone:cdrwa
addauth digest bob:pw
create /q/auth d auth::cdrwa
getAcl /q/auth
sync /q
getAllChildrenNumber /q
getAllChildrenNumber /nope
getEphemerals /q
create /q/quota
setquota -n 2 /q/quota
setquota -b 100 /q/quota
setquota -N 5 /q/quota
setquota -n 3 /nope
create /q/quota/x
setquota -n 3 /q/quota/x
delquota -n /q/quota
delquota /q/quota
delquota /q/quota
removewatches /none
addWatch -m PERSISTENT /q/c
removewatches /q/c
history
redo 0
redo 999
printwatches
config
deleteall /q/quota
nonsense
close
`

// TestCLIMatchesZkCli feeds the same lines to Debian's zkCli.sh and to ours,
// one after the other against Debian's server, and compares stdout, stderr and
// the exit code. Events come when they come and are left
// out, as is what must differ: times, ids, zxids and lists of commands.
func TestCLIMatchesZkCli(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Java processes")
	}
	java := needJava(t)
	server := startJavaServer(t, java)
	var javaOut, javaErr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), java, "-XX:TieredStopAtLevel=1", "-Dzookeeper.root.logger=OFF,CONSOLE", "-Dorg.slf4j.simpleLogger.defaultLogLevel=off",
		"-cp", debianClasspath, "org.apache.zookeeper.ZooKeeperMain", "-server", server)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(javaScript), &javaOut, &javaErr
	javaCode := 0
	if err := cmd.Run(); err != nil {
		javaCode = cmd.ProcessState.ExitCode()
	}
	tidy := "addauth digest bob:pw\ndeleteall /q\n"
	if code := execute(newRootCmd(), []string{"cli", "-server", server}, strings.NewReader(tidy), io.Discard, os.Stderr); code != 0 {
		t.Fatal("what zkCli left could not be deleted")
	}
	var out, errs bytes.Buffer
	code := execute(newRootCmd(), []string{"cli", "-server", server}, strings.NewReader(javaScript), &out, &errs)

	if code != javaCode {
		t.Errorf("exit code %d, zkCli's %d", code, javaCode)
	}
	compareLines(t, "stdout", comparable(out.String()), comparable(javaOut.String()))
	compareLines(t, "stderr", comparable(errs.String()), comparable(javaErr.String()))
}

func compareLines(t *testing.T, stream string, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		g, w := "(end)", "(end)"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Errorf("%s, line %d: %q, zkCli prints %q", stream, i+1, g, w)
			return
		}
	}
}

var (
	eventLines = regexp.MustCompile(`(?m)^(WATCHER::|WatchedEvent .*)\n`) // zkCli may print others between them
	differing  = regexp.MustCompile(`(?m)^(.time = |.Zxid = 0x|ephemeralOwner = 0x|Connecting to |\d+ - (printwatches|history)).*$`)
	noise      = regexp.MustCompile(`(?m)^(SLF4J|log4j|\d{4}-\d\d-\d\d |\t|ZooKeeper -server ).*\n`)
)

// comparable drops what two shells may print differently.
func comparable(text string) []string {
	text = eventLines.ReplaceAllString(text, "")
	text = noise.ReplaceAllString(text, "")
	text = differing.ReplaceAllString(text, "$1")
	var lines []string
	for _, line := range strings.Split(text, "\n") {
		if line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

func needJava(t *testing.T) string {
	t.Helper()
	java, err := exec.LookPath("java")
	if _, jar := os.Stat("/usr/share/java/zookeeper.jar"); err != nil || jar != nil {
		if os.Getenv("QUORATE_INTEROP") == "required" {
			t.Fatalf("Debian's zookeeper and a JRE are required: %v, %v", err, jar)
		}
		t.Skip("needs Debian's packages zookeeper and default-jre-headless")
	}
	return java
}

// startJavaServer runs Debian's ZooKeeper standalone until the test ends.
func startJavaServer(t *testing.T, java string) string {
	t.Helper()
	dir, port := t.TempDir(), strconv.Itoa(freePort(t))
	file := filepath.Join(dir, "zoo.cfg")
	text := fmt.Sprintf("tickTime=2000\ndataDir=%s\nclientPort=%s\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n", dir, port)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, java, "-XX:TieredStopAtLevel=1", "-cp", debianClasspath, "org.apache.zookeeper.server.quorum.QuorumPeerMain", file)
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = cmd.Wait()
	})
	go func() { // keep the pipe from filling up
		for lines := bufio.NewScanner(log); lines.Scan(); {
		}
	}()
	address := "127.0.0.1:" + port
	for t.Context().Err() == nil {
		if serves(address) {
			return address
		}
		time.Sleep(50 * time.Millisecond) // it says nowhere else that it serves
	}
	t.Fatal("ZooKeeper did not start")
	return ""
}

// serves asks with a four-letter word: the port is open before the server
// takes sessions.
func serves(address string) bool {
	link, err := net.Dial("tcp", address)
	if err != nil {
		return false
	}
	defer link.Close()
	_ = link.SetDeadline(time.Now().Add(5 * time.Second)) // somebody else may have the port
	if _, err := link.Write([]byte("srvr")); err != nil {
		return false
	}
	answer, _ := io.ReadAll(link)
	return bytes.Contains(answer, []byte("Mode: "))
}
