package shell

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/quorate/quorate/wire"
)

func (s *Shell) getACL(args *arguments) error {
	path := args.word(0)
	if err := checkPath(path); err != nil {
		return err
	}
	acl, stat, err := s.client.ACL(path)
	if err != nil {
		return failed(err, path)
	}
	for _, entry := range acl {
		s.printf("'%s,'%s\n: %s\n", entry.ID.Scheme, entry.ID.ID, permLetters(entry.Perms))
	}
	s.showStat(args, &stat)
	return nil
}

func (s *Shell) setACL(args *arguments) error {
	path := args.word(0)
	version, err := args.version()
	if err != nil {
		return err
	}
	acl, err := parseACL(args.word(1))
	if err != nil {
		return err
	}
	if err := checkPath(path); err != nil {
		return err
	}
	paths := []string{path}
	if args.has("R") {
		if paths, err = s.subtree(path); err != nil {
			return err
		}
	}
	for _, p := range paths {
		stat, err := s.client.SetACL(p, acl, version)
		if err != nil {
			return failed(err, p)
		}
		s.showStat(args, &stat)
	}
	return nil
}

func (s *Shell) addAuth(args *arguments) error {
	var auth []byte
	if len(args.words) > 1 {
		auth = []byte(args.word(1))
	}
	return failed(s.client.AddAuth(args.word(0), auth), "")
}

func (s *Shell) whoAmI(*arguments) error {
	ids, err := s.client.WhoAmI()
	if err != nil {
		return failed(err, "")
	}
	lines := make([]string, len(ids))
	for i, id := range ids {
		lines[i] = id.AuthScheme + ": " + id.User + "\n"
	}
	slices.Sort(lines)
	s.printf("Auth scheme: User\n%s", strings.Join(lines, ""))
	return nil
}

func (s *Shell) addWatch(args *arguments) error {
	recursive := true
	switch mode := args.values["m"]; mode {
	case "", "PERSISTENT_RECURSIVE":
	case "PERSISTENT":
		recursive = false
	default:
		return fmt.Errorf("the mode %q is neither PERSISTENT nor PERSISTENT_RECURSIVE", mode)
	}
	path := args.word(0)
	if err := checkPath(path); err != nil {
		return err
	}
	return failed(s.client.AddWatch(path, recursive), path)
}

func (s *Shell) removeWatches(args *arguments) error {
	path := args.word(0)
	if err := checkPath(path); err != nil {
		return err
	}
	kind := wire.WatcherAny
	for flag, t := range map[string]wire.WatcherType{
		"c": wire.WatcherChildren, "d": wire.WatcherData, "p": wire.WatcherPersistent, "r": wire.WatcherPersistentRecursive,
	} {
		if !args.has(flag) {
			continue
		}
		if kind != wire.WatcherAny || args.has("a") {
			return errUsage
		}
		kind = t
	}
	return failed(s.client.RemoveWatches(path, kind, args.has("l")), path)
}

func (s *Shell) config(args *arguments) error {
	data, stat, err := s.client.Config(args.has("w"))
	if err != nil {
		return failed(err, configPath)
	}
	text := string(data)
	if args.has("c") {
		text = clientConfig(text)
	}
	s.printf("%s\n", text)
	s.showStat(args, &stat)
	return nil
}

// clientConfig is what a client needs of a configuration: its version and the
// client addresses, "<version> <host:port,...>".
func clientConfig(config string) string {
	version, addresses := "", []string{}
	for _, line := range strings.Split(config, "\n") {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if key == "version" {
			version = value
		}
		if _, client, ok := strings.Cut(value, ";"); ok && strings.HasPrefix(key, "server.") {
			addresses = append(addresses, client)
		}
	}
	return version + " " + strings.Join(addresses, ",")
}

var reconfigSyntax = syntax{flags: []string{"s"}, values: []string{"v", "file", "members", "add", "remove"}}

func (s *Shell) reconfig(args *arguments) error {
	version := int64(-1)
	if text, ok := args.values["v"]; ok {
		v, err := strconv.ParseInt(text, 16, 64)
		if err != nil {
			return fmt.Errorf("the version %q is not a hexadecimal number", text)
		}
		version = v
	}
	joining, leaving := strings.ToLower(args.values["add"]), strings.ToLower(args.values["remove"])
	members, err := newMembers(args)
	if err != nil {
		return err
	}
	if (members == "") == (joining == "" && leaving == "") {
		return errUsage // nothing to do, or two ways at once
	}
	config, stat, err := s.client.Reconfig(joining, leaving, members, version)
	if err != nil {
		return failed(err, "")
	}
	s.printf("Committed new configuration:\n%s\n", config)
	s.showStat(args, &stat)
	return nil
}

// newMembers is the whole list for a reconfiguration that replaces it: that of
// -members, or the server lines of -file.
func newMembers(args *arguments) (string, error) {
	path := args.values["file"]
	if path == "" {
		return strings.ToLower(args.values["members"]), nil
	}
	if args.has("members") {
		return "", errUsage
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	var members []string
	for _, line := range strings.Split(string(text), "\n") {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "server.") {
			members = append(members, strings.ToLower(line))
		}
	}
	if len(members) == 0 {
		return "", errors.New(path + " has no server lines")
	}
	return strings.Join(members, ","), nil
}
