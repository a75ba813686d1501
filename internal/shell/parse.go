package shell

import (
	"fmt"
	"slices"
	"strings"
)

// splitLine cuts a line into words at blanks; '...' and "..." hold a word
// together when they begin it. A quote that is never closed is dropped.
func splitLine(line string) []string {
	var words []string
	for {
		line = strings.TrimLeft(line, " \t\r\n")
		if line == "" {
			return words
		}
		if quote := line[0]; quote == '"' || quote == '\'' {
			line = line[1:]
			if end := strings.IndexByte(line, quote); end >= 0 {
				words, line = append(words, line[:end]), line[end+1:]
			}
			continue
		}
		end := strings.IndexAny(line, " \t\r\n")
		if end < 0 {
			return append(words, line)
		}
		words, line = append(words, line[:end]), line[end:]
	}
}

// arguments are the words of one command, options apart.
type arguments struct {
	flags  map[string]bool
	values map[string]string
	words  []string // what is no option, in order
}

// has reports whether an option was given.
func (a *arguments) has(flag string) bool { return a.flags[flag] }

// word returns a positional argument, or "" when there is none.
func (a *arguments) word(i int) string {
	if i < len(a.words) {
		return a.words[i]
	}
	return ""
}

// syntax is which options a command takes: flags stand alone, values are
// followed by one word.
type syntax struct {
	flags, values []string
	// least is how many positional arguments there must be.
	least int
}

// parse sorts words into options and positional arguments. Options may stand
// anywhere, single letters may be joined ("-sw"), a negative number is no
// option, and behind "--" nothing is.
func (s syntax) parse(words []string) (*arguments, error) {
	a := &arguments{flags: map[string]bool{}, values: map[string]string{}}
	for i := 0; i < len(words); i++ {
		name := strings.TrimPrefix(words[i], "-")
		switch {
		case words[i] == "--":
			a.words = append(a.words, words[i+1:]...)
			return a, nil
		case name == words[i] || name == "" || name[0] >= '0' && name[0] <= '9':
			a.words = append(a.words, words[i])
		case slices.Contains(s.values, name):
			if i++; i == len(words) {
				return nil, fmt.Errorf("option -%s needs a value", name)
			}
			a.flags[name], a.values[name] = true, words[i]
		case s.allFlags(name, a):
		default:
			return nil, fmt.Errorf("unknown option %s", words[i])
		}
	}
	return a, nil
}

// allFlags takes a flag, or several single letters at once.
func (s syntax) allFlags(name string, a *arguments) bool {
	if slices.Contains(s.flags, name) {
		a.flags[name] = true
		return true
	}
	for _, letter := range name {
		if !slices.Contains(s.flags, string(letter)) {
			return false
		}
	}
	for _, letter := range name {
		a.flags[string(letter)] = true
	}
	return true
}

// checkPath refuses what no server would take, before it is sent.
func checkPath(path string) error {
	switch {
	case path == "" || path[0] != '/':
		return fmt.Errorf("Path must start with / character") //nolint:revive,staticcheck // zkCli's words
	case path == "/":
		return nil
	case strings.HasSuffix(path, "/"):
		return fmt.Errorf("Path must not end with / character") //nolint:revive,staticcheck // zkCli's words
	}
	for _, component := range strings.Split(path[1:], "/") {
		switch component {
		case "":
			return fmt.Errorf("the path %q has an empty name between two slashes", path)
		case ".", "..":
			return fmt.Errorf("the path %q has a relative name, %s", path, component)
		}
	}
	return nil
}

// checkNewPath is checkPath for a znode to be created; the name of a sequential
// one may be empty, because the server appends to it.
func checkNewPath(path string, sequential bool) error {
	if sequential {
		path += "1"
	}
	return checkPath(path)
}
