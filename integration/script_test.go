package integration

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const scriptDir = "testdata/scripts"

// TestScripts holds every conversation of testdata/scripts with every kind of
// server and compares the answers with those that are written down. Since the
// same text is compared with each, two servers that pass answer alike, field
// by field, but for the answers tagged with a reason.
//
// -rewrite with -flavor 3.9 puts ZooKeeper's answers into the files.
func TestScripts(t *testing.T) {
	scripts, err := LoadScripts(scriptDir)
	if err != nil {
		t.Fatal(err)
	}
	if len(scripts) == 0 {
		t.Fatal("no scripts")
	}
	eachFlavor(t, func(t *testing.T, f Flavor) {
		for _, s := range scripts {
			if reason, not := s.Not[f]; not {
				t.Logf("%s is not for %s: %s", s.Name, f, reason)
				continue
			}
			t.Run(s.Name, func(t *testing.T) { runScript(t, f, s) })
		}
	})
}

func runScript(t *testing.T, f Flavor, s *Script) {
	var server *Server
	if s.Fresh {
		server = newServer(t, f, s.Options)
	} else {
		server = pool.borrow(t, f, s.Options)
	}
	r, err := newRunner(server.Addr, s.Fresh)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Errorf("clean up: %v", err)
		}
	}()
	got := map[*Step][]string{}
	for _, st := range s.Steps {
		answers, err := r.step(st.Text)
		if err != nil {
			t.Fatalf("%s.txt:%d: %s: %v (after %q)", s.Name, st.Line, st.Text, err, answers)
		}
		got[st] = answers
		if want := st.Want(f); !rewriting(f) && !slices.Equal(answers, want) {
			t.Errorf("%s.txt:%d: %s\n got:  %s\n want: %s", s.Name, st.Line, st.Text,
				strings.Join(answers, "\n       "), strings.Join(want, "\n       "))
		}
	}
	if rewriting(f) && !t.Failed() {
		if err := os.WriteFile(filepath.Join(scriptDir, s.Name+".txt"), []byte(s.rewrite(got)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func rewriting(f Flavor) bool { return *rewriteFlag && f == ZooKeeper39 }

func TestScriptFormat(t *testing.T) {
	text := "# why it is\nrow: a / b\nserver: k=v l=w\n\nA create /a \"x y\"\n  ok z1\n  event z1 changed \"/a\"\n  [quorate] eof\n  why: because\n"
	s, err := ParseScript("x", text)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.rewrite(map[*Step][]string{s.Steps[0]: s.Steps[0].Answers[""]}); got != text {
		t.Errorf("written back:\n%s\nwant:\n%s", got, text)
	}
	for f, want := range map[Flavor][]string{
		Quorate:     {"eof"},
		ZooKeeper39: {"ok z1", `event z1 changed "/a"`},
		ZooKeeper38: {"ok z1", `event z-1 changed "/a"`},
	} {
		if got := s.Steps[0].Want(f); !slices.Equal(got, want) {
			t.Errorf("want of %s: %q, want %q", f, got, want)
		}
	}
	if got := splitWords(`A create "/a b" "\"x" null`); !slices.Equal(got, []string{"A", "create", `"/a b"`, `"\"x"`, "null"}) {
		t.Errorf("words: %q", got)
	}
	for _, bad := range []string{"  ok\n", "A x\n  [nobody] ok\n", "A x\n  ok\n  [quorate] eof\n", "server: k\n"} {
		if _, err := ParseScript("x", bad); err == nil {
			t.Errorf("no error for %q", bad)
		}
	}
}
