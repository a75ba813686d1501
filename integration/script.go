package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A Script is a conversation with one server, written down with its answers.
//
// A file holds blank lines, # comments, directives, and steps. A directive is
// "row: name" (the feature that the script shows), "server: k=v ..." (options
// of the server it needs), "fresh" (the server has never been written to) or
// "not: 3.8 reason" (a kind of server that the script is not for).
// A step is a line "NAME request" and, indented below it, the answers:
//
//	A create /a "x"
//	  ok z2 "/a"
//	B delete /a 7
//	  -103 z3
//	A exists /a
//	  ok z3 {...}
//
// A and B are sessions, made when they are first named. An answer begins with
// ok or the error code and the zxid in the reply header: zN is the Nth
// transaction since the script began (making a session is one). Notifications
// that arrived before an answer stand above it:
//
//	event z3 changed "/a"
//
// The answers are those documented for ZooKeeper 3.9. Lines that begin with a
// tag stand instead of them for one kind of server, all lines of the answer
// with the same tag, and "why:" must follow:
//
//	[quorate] eof
//	why: ...
//
// Beside the requests (encoders in request.go) a step may be
//
//	A connect [timeout=MS] [old] [readonly] [last=ZXID] [as=B] [badpass|nopass] [id=N]
//	A tcp                  open a socket and no session
//	A drop                 close the socket, keep the session
//	A resume [...]         attach to A's session again, words as for connect
//	A send REQUEST         do not wait for the answer
//	A recv N               the next N answers
//	A xid N REQUEST        with this xid; the answer's xid is shown if another
//	A wait                 the next frame, which no request caused
//	A frame FIELDS...      any bytes behind their length
//	A bytes FIELDS...      any bytes
//	A eof                  everything until the server closes
//	word WORD              a four-letter word on its own socket
type Script struct {
	Name    string
	Rows    []string
	Options Options
	Fresh   bool
	Not     map[Flavor]string // kinds of server it is not for, with the reason
	Steps   []*Step
	lines   []scriptLine
}

// Step is one request and its answers by tag; the answers without a tag are
// under "".
type Step struct {
	Line    int
	Text    string
	Answers map[string][]string
	Why     bool
}

// scriptLine is a line of the file that is no answer, for rewriting.
type scriptLine struct {
	text string
	step *Step // nil unless the line is a step's request
}

// tags are the kinds of server that answers may be tagged with; zookeeper is
// every Java server.
var tags = []string{"zookeeper", string(ZooKeeper38), string(ZooKeeper39), string(Quorate)}

// ParseScript reads a script's text.
func ParseScript(name, text string) (*Script, error) {
	s := &Script{Name: name, Options: Options{}, Not: map[Flavor]string{}}
	var last *Step
	for i, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		err := s.parseLine(i+1, line, &last)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, i+1, err)
		}
	}
	for _, st := range s.Steps {
		if len(st.Answers) > 1 && !st.Why {
			return nil, fmt.Errorf("%s:%d: a tagged answer needs a line that begins with why", name, st.Line)
		}
	}
	return s, nil
}

func (s *Script) parseLine(number int, line string, last **Step) error {
	trimmed := strings.TrimSpace(line)
	key, value, _ := strings.Cut(trimmed, ": ")
	switch {
	case trimmed == "" || strings.HasPrefix(line, "#"):
		s.lines = append(s.lines, scriptLine{text: line})
	case strings.HasPrefix(line, "  "):
		if *last == nil {
			return errors.New("an answer before the first request")
		}
		return (*last).parseAnswer(trimmed)
	case key == "row":
		s.Rows = append(s.Rows, value)
		s.lines = append(s.lines, scriptLine{text: line})
	case key == "server":
		for _, w := range strings.Fields(value) {
			k, v, ok := strings.Cut(w, "=")
			if !ok {
				return fmt.Errorf("option %q is not key=value", w)
			}
			s.Options[k] = v
		}
		s.lines = append(s.lines, scriptLine{text: line})
	case key == "not":
		flavor, reason, ok := strings.Cut(value, " ")
		if !ok || !slices.Contains(tags, flavor) {
			return fmt.Errorf("no kind of server and reason in %q", line)
		}
		s.Not[Flavor(flavor)] = reason
		s.lines = append(s.lines, scriptLine{text: line})
	case trimmed == "fresh":
		s.Fresh = true
		s.lines = append(s.lines, scriptLine{text: line})
	default:
		*last = &Step{Line: number, Text: trimmed, Answers: map[string][]string{}}
		s.Steps = append(s.Steps, *last)
		s.lines = append(s.lines, scriptLine{text: line, step: *last})
	}
	return nil
}

func (st *Step) parseAnswer(line string) error {
	tag := ""
	if rest, ok := strings.CutPrefix(line, "["); ok {
		name, answer, ok := strings.Cut(rest, "] ")
		if !ok || !slices.Contains(tags, name) {
			return fmt.Errorf("no such tag in %q", line)
		}
		tag, line = name, answer
	}
	if strings.HasPrefix(line, "why: ") {
		st.Why = true
		tag = "why"
	}
	st.Answers[tag] = append(st.Answers[tag], line)
	return nil
}

// Want returns the answers that a kind of server must give. A 3.8 server sends
// no zxid in notifications.
func (st *Step) Want(f Flavor) []string {
	answers, ok := st.Answers[string(f)]
	if !ok && f.Java() {
		answers, ok = st.Answers["zookeeper"]
	}
	if !ok {
		answers = st.Answers[""]
	}
	if f != ZooKeeper38 {
		return answers
	}
	out := slices.Clone(answers)
	for i, a := range out {
		if words := strings.SplitN(a, " ", 3); len(words) == 3 && words[0] == "event" {
			out[i] = "event z-1 " + words[2]
		}
	}
	return out
}

// rewrite returns the script's text with the answers of one run in the place
// of the untagged ones.
func (s *Script) rewrite(got map[*Step][]string) string {
	var b strings.Builder
	for _, l := range s.lines {
		b.WriteString(l.text + "\n")
		if l.step == nil {
			continue
		}
		for _, a := range got[l.step] {
			b.WriteString("  " + a + "\n")
		}
		for _, tag := range append(slices.Clone(tags), "why") {
			for _, a := range l.step.Answers[tag] {
				if tag != "why" {
					a = "[" + tag + "] " + a
				}
				b.WriteString("  " + a + "\n")
			}
		}
	}
	return b.String()
}

// LoadScripts reads every script below a directory.
func LoadScripts(dir string) ([]*Script, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return nil, err
	}
	var out []*Script
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			return nil, err
		}
		s, err := ParseScript(strings.TrimSuffix(filepath.Base(p), ".txt"), string(text))
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}
