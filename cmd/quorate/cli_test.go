package main

import (
	"bytes"
	"context"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestCLIFlags(t *testing.T) {
	f, err := parseCLIFlags(strings.Fields("-server a:1,b/app -timeout 5000 -r -waitforconnection create -s /a -server x"))
	if err != nil {
		t.Fatal(err)
	}
	if f.servers != "a:1,b/app" || f.timeout != 5*time.Second || !f.readOnly || !f.wait {
		t.Errorf("flags %+v", f)
	}
	if got := strings.Join(f.command, " "); got != "create -s /a -server x" {
		t.Errorf("command %q", got)
	}
	f, err = parseCLIFlags([]string{"--server", "c"})
	if err != nil || f.servers != "c" || f.timeout != 30*time.Second || len(f.command) != 0 {
		t.Errorf("flags %+v, %v", f, err)
	}
	for _, bad := range []string{"-nonsense ls /", "-server", "-timeout x", "-timeout 0", "-timeout 9999999999", "-client-configuration file"} {
		code, stdout, stderr := invoke(t, newRootCmd(), append([]string{"cli"}, strings.Fields(bad)...)...)
		if code != exitUsage || stdout != "" || !strings.HasPrefix(stderr, "quorate: ") {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q", bad, code, stdout, stderr)
		}
	}
	for _, help := range []string{"-h", "--help", "-help"} {
		if code, stdout, _ := invoke(t, newRootCmd(), "cli", help); code != 0 || !strings.Contains(stdout, "-waitforconnection") {
			t.Errorf("%s: exit code %d, stdout %q", help, code, stdout)
		}
	}
}

func TestConnectStrings(t *testing.T) {
	for text, want := range map[string]string{
		"localhost":        "localhost:2181",
		"h:1,h2 , [::1]:3": "h:1 h2:2181 [::1]:3",
		"h:1/app/x":        "h:1 under /app/x",
		"h:1/":             "h:1",
		"::1":              "[::1]:2181",
		"[fd00::1],h/x":    "[fd00::1]:2181 h:2181 under /x",
		"":                 "refused",
		"h,,g":             "refused",
		"h/app/":           "refused",
		"h/a//b":           "refused",
	} {
		servers, chroot, err := splitConnectString(text)
		got := strings.Join(servers, " ")
		if chroot != "" {
			got += " under " + chroot
		}
		if err != nil {
			got = "refused"
		}
		if got != want {
			t.Errorf("%q: %q, want %q (%v)", text, got, want, err)
		}
	}
}

// freePort returns a port of 127.0.0.1 that nobody listened on a moment ago.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// startOwnServer runs `quorate server` in this process until the test ends,
// and returns its address.
func startOwnServer(t *testing.T, sets ...string) string {
	t.Helper()
	port, dir := strconv.Itoa(freePort(t)), t.TempDir()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	started := make(chan struct{})
	out := &onceWritten{written: started}
	go func() {
		sets := append([]string{"clientPort=" + port, "dataDir=" + dir, "quorate.logLevel=error"}, sets...)
		ended <- runServer(ctx, out, &bytes.Buffer{}, "", sets)
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	select {
	case <-started:
	case err := <-ended:
		ended <- err
		t.Fatalf("the server did not start: %v", err)
	}
	return "127.0.0.1:" + port
}

// onceWritten tells of the first write.
type onceWritten struct {
	written chan struct{}
	told    bool
}

func (w *onceWritten) Write(p []byte) (int, error) {
	if !w.told {
		w.told = true
		close(w.written)
	}
	return len(p), nil
}

// TestCLIAgainstOwnServer runs single commands as a script would.
func TestCLIAgainstOwnServer(t *testing.T) {
	server := startOwnServer(t)
	for _, step := range []struct {
		command        []string
		code           int
		stdout, stderr string
	}{
		{[]string{"create", "/a", "some data"}, 0, "", "Created /a\n"},
		{[]string{"create", "/a"}, 1, "", "Node already exists: /a\n"},
		{[]string{"create", "-s", "/a/n-"}, 0, "", "Created /a/n-0000000000\n"},
		{[]string{"get", "/a"}, 0, "some data\n", ""},
		{[]string{"get", "/none"}, 1, "", "Node does not exist: /none\n"},
		{[]string{"set", "-v", "5", "/a", "x"}, 1, "", "version No is not valid : /a\n"},
		{[]string{"ls", "-R", "/a"}, 0, "/a\n/a/n-0000000000\n", ""},
		{[]string{"getAllChildrenNumber", "/a"}, 0, "1\n", ""},
		{[]string{"whoami"}, 0, "Auth scheme: User\nip: 127.0.0.1\n", ""},
		{[]string{"getEphemerals"}, 0, "[]\n", ""},
		{[]string{"sync", "/a"}, 0, "Sync is OK\n", ""},
		{[]string{"deleteall", "/a"}, 0, "", ""},
		{[]string{"ls", "/"}, 0, "[zookeeper]\n", ""},
	} {
		code, stdout, stderr := invoke(t, newRootCmd(), append([]string{"cli", "-server", server}, step.command...)...)
		banner := "Connecting to " + server + "\n\nWATCHER::\n\nWatchedEvent state:SyncConnected type:None path:null zxid: -1\n"
		if code != step.code || stdout != banner+step.stdout || stderr != step.stderr {
			t.Errorf("%q: exit code %d, stdout %q, stderr %q", step.command, code, stdout, stderr)
		}
	}
	code, _, stderr := invoke(t, newRootCmd(), "cli", "-server", server, "nonsense")
	if code != 127 || !strings.HasSuffix(stderr, "Command not found: Command not found nonsense\n") {
		t.Errorf("unknown command: exit code %d, stderr %q", code, stderr)
	}
}

func TestCLIWithoutAServer(t *testing.T) {
	nobody := "127.0.0.1:" + strconv.Itoa(freePort(t))
	code, _, stderr := invoke(t, newRootCmd(), "cli", "-server", nobody, "get", "/x")
	if code != 1 || stderr != "KeeperErrorCode = ConnectionLoss for /x\n" {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
	code, _, stderr = invoke(t, newRootCmd(), "cli", "-server", nobody, "-timeout", "300", "-waitforconnection", "get", "/x")
	if code != 1 || !strings.Contains(stderr, "no connection to "+nobody) {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
}
