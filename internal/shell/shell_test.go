package shell

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/wire"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the expected output in testdata")

// runScript runs lines against a fake and returns the transcript: each command
// behind "> ", then its stdout, its stderr with "! " before every line, and
// its exit code when that is not 0.
func runScript(t *testing.T, lines []string) string {
	t.Helper()
	t.Setenv("TZ", "UTC")
	time.Local = time.UTC
	var out, errs, transcript bytes.Buffer
	var fake *fakeClient
	sh, err := New(Config{
		Servers: "h:1", Stdout: &out, Stderr: &errs, Version: "3.9.5-test",
		Connect: func(_ string, onEvent func(Event)) (Client, error) {
			fake = newFakeClient(onEvent)
			return fake, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		out.Reset()
		errs.Reset()
		sh.history = append(sh.history, line)
		fake.calls = nil
		sh.execute(splitLine(line))
		fmt.Fprintf(&transcript, "> %s\n%s", line, out.String())
		for _, complaint := range strings.SplitAfter(errs.String(), "\n") {
			if complaint != "" {
				transcript.WriteString("! " + complaint)
			}
		}
		for _, call := range fake.calls {
			transcript.WriteString("# " + call + "\n")
		}
		if sh.exit != 0 {
			fmt.Fprintf(&transcript, "exit %d\n", sh.exit)
		}
	}
	return transcript.String()
}

// TestScripts runs testdata/*.txt. A line that begins with "> " is a command,
// one with "// " a remark, the rest is what is expected; -rewrite renews that.
func TestScripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var commands []string
			var want strings.Builder
			remarks := map[int]string{} // by the number of the next command
			for _, line := range strings.SplitAfter(string(text), "\n") {
				if remark, ok := strings.CutPrefix(line, "// "); ok {
					remarks[len(commands)] += "// " + remark
					continue
				}
				if command, ok := strings.CutPrefix(line, "> "); ok {
					commands = append(commands, strings.TrimSuffix(command, "\n"))
				}
				want.WriteString(line)
			}
			got := runScript(t, commands)
			if *rewrite {
				writeScript(t, path, got, remarks)
				return
			}
			if got != want.String() {
				t.Errorf("%s: got\n%s", path, firstDifference(got, want.String()))
			}
		})
	}
}

func firstDifference(got, want string) string {
	g, w := strings.SplitAfter(got, "\n"), strings.SplitAfter(want, "\n")
	command := ""
	for i := range max(len(g), len(w)) {
		at := func(lines []string) string {
			if i < len(lines) {
				return lines[i]
			}
			return "(end)\n"
		}
		if strings.HasPrefix(at(w), "> ") {
			command = at(w)
		}
		if at(g) != at(w) {
			return fmt.Sprintf("after %s got  %swant %s", command, at(g), at(w))
		}
	}
	return "no difference"
}

func writeScript(t *testing.T, path, transcript string, remarks map[int]string) {
	t.Helper()
	var out strings.Builder
	n := 0
	for _, line := range strings.SplitAfter(transcript, "\n") {
		if strings.HasPrefix(line, "> ") {
			out.WriteString(remarks[n])
			n++
		}
		out.WriteString(line)
	}
	if err := os.WriteFile(path, []byte(out.String()+remarks[n]), 0o644); err != nil {
		t.Fatal(err)
	}
}

// newTestShell returns a shell on a fake, with what it printed.
func newTestShell(t *testing.T, prompt bool) (*Shell, *fakeClient, *bytes.Buffer, *bytes.Buffer) {
	t.Helper()
	var out, errs bytes.Buffer
	var fake *fakeClient
	sh, err := New(Config{
		Servers: "h:1,h:2", Stdout: &out, Stderr: &errs, Prompt: prompt,
		Connect: func(_ string, onEvent func(Event)) (Client, error) {
			fake = newFakeClient(onEvent)
			return fake, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return sh, fake, &out, &errs
}

const connected = "\nWATCHER::\n\nWatchedEvent state:SyncConnected type:None path:null zxid: -1\n"

func TestOneCommandEndsTheSessionInSilence(t *testing.T) {
	sh, fake, out, errs := newTestShell(t, false)
	if code := sh.Once([]string{"create", "/a b", "two words"}); code != ExitOK {
		t.Errorf("exit code %d", code)
	}
	if want := "Connecting to h:1,h:2\n" + connected; out.String() != want {
		t.Errorf("stdout %q, want %q", out, want)
	}
	if errs.String() != "Created /a b\n" {
		t.Errorf("stderr %q", errs)
	}
	if fake.state != "CLOSED" || string(fake.nodes["/a b"].data) != "two words" {
		t.Errorf("session %s, node %v", fake.state, fake.nodes["/a b"])
	}
}

func TestInteractiveEndsWithTheCodeOfTheLastCommand(t *testing.T) {
	for _, tc := range []struct {
		input string
		want  int
	}{
		{"", 0},
		{"ls /\n", 0},
		{"nonsense\n", 127},
		{"nonsense\nls /\n", 0},
		{"ls /none", 1}, // the last line may lack its newline
		{"ls /none\n\n\n", 1},
		{"ls /none\nquit\nls /\n", 1},
	} {
		sh, _, out, _ := newTestShell(t, false)
		if code := sh.Interact(strings.NewReader(tc.input)); code != tc.want {
			t.Errorf("%q: exit code %d, want %d", tc.input, code, tc.want)
		}
		if !strings.Contains(out.String(), "Welcome to ZooKeeper!\nJLine support is disabled\n") {
			t.Errorf("%q: no welcome in %q", tc.input, out)
		}
	}
}

func TestPromptShowsServerStateAndNumber(t *testing.T) {
	sh, _, out, _ := newTestShell(t, true)
	sh.Interact(strings.NewReader("ls /\nclose\nquit\n"))
	for _, want := range []string{"[zk: h:1,h:2(CONNECTED) 0] [zookeeper]\n", "[zk: h:1,h:2(CONNECTED) 1] ", "[zk: h:1,h:2(CLOSED) 2] "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %q", want, out)
		}
	}
}

func TestLostConnectionIsWordedAsZkCliDoes(t *testing.T) {
	sh, fake, _, errs := newTestShell(t, false)
	for _, tc := range []struct {
		err  error
		want string
	}{
		{ErrConnectionLoss, "KeeperErrorCode = ConnectionLoss for /x\n"},
		{wire.ErrThrottledOp, "KeeperErrorCode = Op throttled due to high load for /x\n"},
		{wire.ErrNotReadOnly, "Not a read-only call: /x\n"},
		{wire.ErrQuotaExceeded, "Quota has exceeded : /x\n"},
		{fmt.Errorf("wrapped: %w", wire.ErrNoAuth), "Insufficient permission : /x\n"},
		{errOdd, "something odd\n"},
	} {
		errs.Reset()
		fake.fail = tc.err
		sh.execute([]string{"get", "/x"})
		if errs.String() != tc.want || sh.exit != ExitFailed {
			t.Errorf("%v: stderr %q, exit %d; want %q", tc.err, errs, sh.exit, tc.want)
		}
	}
}

func TestWaitForConnection(t *testing.T) {
	var out bytes.Buffer
	cfg := Config{Servers: "h", Stdout: &out, Stderr: &out, WaitForConnection: time.Minute}
	cfg.Connect = func(_ string, onEvent func(Event)) (Client, error) { return newFakeClient(onEvent), nil }
	if _, err := New(cfg); err != nil {
		t.Error(err)
	}
	silent := newFakeClient(func(Event) {})
	cfg.Connect = func(string, func(Event)) (Client, error) { return silent, nil }
	cfg.WaitForConnection = time.Millisecond
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "no connection to h") || silent.state != "CLOSED" {
		t.Errorf("error %v, state %s", err, silent.state)
	}
	cfg.Connect = func(string, func(Event)) (Client, error) { return nil, errOdd }
	if _, err := New(cfg); !errors.Is(err, errOdd) {
		t.Errorf("error %v", err)
	}
}

func TestSplitLine(t *testing.T) {
	for line, want := range map[string]string{
		"":                         "",
		"  ls  /  ":                "ls|/",
		`set /a "b c" 'd "e'`:      `set|/a|b c|d "e`,
		`create /a ""`:             "create|/a|",
		`get '/a`:                  "get|/a",
		`set /a it's`:              "set|/a|it's",
		"a\tb":                     "a|b",
		`set /a {"k":"v"}`:         `set|/a|{"k":"v"}`,
		`'/a b''/c'`:               "/a b|/c",
		`set /a '{"k": "v w"}' -s`: `set|/a|{"k": "v w"}|-s`,
	} {
		if got := strings.Join(splitLine(line), "|"); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

func FuzzExecute(f *testing.F) {
	for _, line := range []string{"create -s -e /a 'b c' world:anyone:r", "setquota -n 5 /a", "ls -R /", "redo 0", "get -xs /a", "-", "create /a -- -s"} {
		f.Add(line)
	}
	f.Fuzz(func(_ *testing.T, line string) {
		var out bytes.Buffer
		sh, err := New(Config{Stdout: &out, Stderr: &out, Connect: func(_ string, onEvent func(Event)) (Client, error) {
			return newFakeClient(onEvent), nil
		}})
		if err != nil {
			panic(err)
		}
		sh.Interact(strings.NewReader(line + "\n" + line))
	})
}

func TestQuotasAreOutOfReachOfAChroot(t *testing.T) {
	sh, fake, _, errs := newTestShell(t, false)
	sh.servers = "h:1/app"
	for _, line := range []string{"setquota -n 1 /zookeeper", "listquota /zookeeper", "delquota /zookeeper"} {
		errs.Reset()
		sh.execute(splitLine(line))
		if sh.exit != ExitFailed || !strings.Contains(errs.String(), "chroot") {
			t.Errorf("%s: exit %d, stderr %q", line, sh.exit, errs)
		}
	}
	if len(fake.nodes) != 4 {
		t.Errorf("nodes were made: %v", fake.nodes)
	}
}
