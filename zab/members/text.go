package members

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// TextBytesMax is the longest text that Parse looks at. A list of a thousand
// servers has a tenth of it.
const TextBytesMax = 1 << 20

// Text is the list as ZooKeeper stores, sends and prints it: one line for each
// server, group and weight, then the version, without a newline at the end.
// ZooKeeper has the lines in the order of a hash map, so two texts of one list
// may differ.
func (l *List) Text() string {
	var b strings.Builder
	for i := range l.Members {
		fmt.Fprintf(&b, "server.%d=%s\n", l.Members[i].ID, l.Members[i].String())
	}
	for _, id := range sortedKeys(l.Groups) {
		members := make([]string, len(l.Groups[id]))
		for i, sid := range l.Groups[id] {
			members[i] = strconv.FormatInt(sid, 10)
		}
		fmt.Fprintf(&b, "group.%d=%s\n", id, strings.Join(members, ":"))
	}
	for _, id := range sortedKeys(l.Weights) {
		fmt.Fprintf(&b, "weight.%d=%d\n", id, l.Weights[id])
	}
	fmt.Fprintf(&b, "version=%x", uint64(l.Version))
	return b.String()
}

// Parse reads such a text, from a peer, a file or a request. Order, blanks,
// comments and line ends do not matter; a key that is none of the four is an
// error, as it is for ZooKeeper. Every fault is reported, with its line; the
// list is empty then. Whether a quorum can be formed is Verifier's business.
func Parse(text string) (List, error) {
	if len(text) > TextBytesMax {
		return List{}, fmt.Errorf("a member list of %d bytes; at most %d are read", len(text), TextBytesMax)
	}
	var l List
	var errs []error
	n := 0
	for line := range strings.Lines(text) {
		n++
		if err := l.parseLine(strings.TrimSpace(line)); err != nil {
			errs = append(errs, fmt.Errorf("line %d: %w", n, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return List{}, err
	}
	return l, nil
}

func (l *List) parseLine(line string) error {
	if line == "" || line[0] == '#' || line[0] == '!' {
		return nil
	}
	key, value := cutProperty(line)
	if key == "version" {
		v, err := strconv.ParseUint(value, 16, 63)
		if err != nil {
			return fmt.Errorf("the version %q is not a hexadecimal number of 63 bits", value)
		}
		l.Version = int64(v)
		return nil
	}
	kind, number, _ := strings.Cut(key, ".")
	id, err := strconv.ParseInt(number, 10, 64)
	switch kind {
	case "server", "group", "weight":
		if err != nil || id < 0 {
			return fmt.Errorf("%q does not end in a number of 0 or more", key)
		}
	}
	switch kind {
	case "server":
		m, err := ParseMember(id, value)
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		return l.Add(m)
	case "group":
		return l.AddGroup(id, value)
	case "weight":
		return l.AddWeight(id, value)
	}
	return fmt.Errorf("%q is none of server.N, group.N, weight.N and version", key)
}

// cutProperty cuts a line as java.util.Properties does: at the first of =, :
// and blank, of which one = or : belongs to the cut together with the blanks
// around it. A backslash only protects what follows it.
func cutProperty(line string) (key, value string) {
	i := strings.IndexAny(line, "=: \t\f")
	if i < 0 {
		return line, ""
	}
	value = strings.TrimLeft(line[i:], " \t\f")
	if value != "" && (value[0] == '=' || value[0] == ':') {
		value = strings.TrimLeft(value[1:], " \t\f")
	}
	return line[:i], strings.ReplaceAll(value, `\`, "")
}

func sortedKeys[V any](m map[int64]V) []int64 {
	keys := make([]int64, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
