package shell

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/quorate/quorate/wire"
)

// command is one of the shell's commands.
type command struct {
	usage  string
	syntax syntax
	// online commands need a session.
	online bool
	run    func(*Shell, *arguments) error
	// legacy is the option that one word too many stands for, as in scripts
	// written for the shells of before 3.5: "delete /a 3" is "delete -v 3 /a".
	legacy string
}

// commandTable lists the commands by name, with zkCli's usage lines.
func commandTable() map[string]command {
	plain := func(usage string, least int, run func(*Shell, *arguments) error) command {
		return command{usage: usage, syntax: syntax{least: least}, online: true, run: run}
	}
	flags := func(usage string, least int, run func(*Shell, *arguments) error, names ...string) command {
		return command{usage: usage, syntax: syntax{least: least, flags: names}, online: true, run: run}
	}
	table := map[string]command{
		"addauth":              plain("scheme auth", 1, (*Shell).addAuth),
		"addWatch":             {usage: "[-m mode] path # mode is PERSISTENT or PERSISTENT_RECURSIVE, the default", syntax: syntax{values: []string{"m"}, least: 1}, online: true, run: (*Shell).addWatch},
		"close":                {usage: "", syntax: syntax{}, online: false, run: (*Shell).closeSession},
		"config":               flags("[-c] [-w] [-s]", 0, (*Shell).config, "c", "w", "s"),
		"connect":              {usage: "host:port", syntax: syntax{}, online: false, run: (*Shell).reconnect},
		"create":               {usage: "[-s] [-e] [-c] [-t ttl] path [data] [acl]", syntax: syntax{flags: []string{"s", "e", "c"}, values: []string{"t"}, least: 1}, online: true, run: (*Shell).create},
		"delete":               {usage: "[-v version] path", syntax: syntax{values: []string{"v"}, least: 1}, online: true, run: (*Shell).deleteNode},
		"deleteall":            {usage: "path [-b batch size]", syntax: syntax{values: []string{"b"}, least: 1}, online: true, run: (*Shell).deleteAll},
		"delquota":             flags("[-n|-b|-N|-B] path", 1, (*Shell).delQuota, "n", "b", "N", "B"),
		"get":                  flags("[-s] [-w] [-b] [-x] path", 1, (*Shell).get, "s", "w", "b", "x"),
		"getAcl":               flags("[-s] path", 1, (*Shell).getACL, "s"),
		"getAllChildrenNumber": plain("path", 1, (*Shell).getAllChildrenNumber),
		"getEphemerals":        plain("[path]", 0, (*Shell).getEphemerals),
		"history":              {usage: "", syntax: syntax{}, online: false, run: (*Shell).showHistory},
		"listquota":            plain("path", 1, (*Shell).listQuota),
		"ls":                   flags("[-s] [-w] [-R] path", 1, (*Shell).list, "s", "w", "R"),
		"printwatches":         {usage: "on|off", syntax: syntax{}, online: false, run: (*Shell).setPrintWatches},
		"quit":                 {usage: "", syntax: syntax{}, online: false, run: (*Shell).quit},
		"reconfig":             {usage: "[-s] [-v version] [[-file path] | [-members serverID=host:port1:port2;port3[,...]*]] | [-add serverId=host:port1:port2;port3[,...]]* [-remove serverId[,...]*]", syntax: reconfigSyntax, online: true, run: (*Shell).reconfig},
		"redo":                 {usage: "cmdno", syntax: syntax{least: 1}, online: false, run: (*Shell).redo},
		"removewatches":        flags("path [-c|-d|-p|-r|-a] [-l]", 1, (*Shell).removeWatches, "c", "d", "p", "r", "a", "l"),
		"set":                  {usage: "path data [-s] [-v version] [-b]", syntax: syntax{flags: []string{"s", "b"}, values: []string{"v"}, least: 2}, online: true, run: (*Shell).set},
		"setAcl":               {usage: "[-s] [-v version] [-R] path acl", syntax: syntax{flags: []string{"s", "R"}, values: []string{"v"}, least: 2}, online: true, run: (*Shell).setACL},
		"setquota":             {usage: "-n|-b|-N|-B val path", syntax: syntax{values: []string{"n", "b", "N", "B"}, least: 1}, online: true, run: (*Shell).setQuota},
		"stat":                 flags("[-w] path", 1, (*Shell).stat, "w"),
		"sync":                 plain("path", 1, (*Shell).sync),
		"version":              {usage: "", syntax: syntax{}, online: false, run: (*Shell).showVersion},
		"whoami":               plain("", 0, (*Shell).whoAmI),
	}
	for name, option := range map[string]string{"get": "w", "ls": "w", "stat": "w", "delete": "v", "set": "v", "setAcl": "v"} {
		cmd := table[name]
		cmd.legacy = option
		table[name] = cmd
	}
	return table
}

// failed words the error of a request on a path.
func failed(err error, path string) error {
	if err == nil {
		return nil
	}
	return errors.New(describe(err, path))
}

// version reads the option -v; -1 means any.
func (a *arguments) version() (int32, error) {
	text, ok := a.values["v"]
	if !ok {
		return -1, nil
	}
	v, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("the version %q is not a number", text)
	}
	return int32(v), nil
}

// showStat prints a Stat when -s was given.
func (s *Shell) showStat(args *arguments, stat *wire.Stat) {
	if args.has("s") {
		s.mu.Lock()
		defer s.mu.Unlock()
		printStat(s.cfg.Stdout, stat)
	}
}

// openACL lets anyone do everything.
var openACL = []wire.ACL{{Perms: wire.PermAll, ID: wire.ID{Scheme: "world", ID: "anyone"}}}

func (s *Shell) create(args *arguments) error {
	flags, ttl, err := createMode(args)
	if err != nil {
		return err
	}
	path := args.word(0)
	if err := checkNewPath(path, args.has("s")); err != nil {
		return err
	}
	var data []byte
	if len(args.words) > 1 {
		data = []byte(args.word(1))
	}
	acl := openACL
	if len(args.words) > 2 {
		if acl, err = parseACL(args.word(2)); err != nil {
			return err
		}
	}
	created, err := s.client.Create(path, data, acl, flags, ttl)
	if err != nil {
		return failed(err, path)
	}
	s.errorf("Created %s\n", created)
	return nil
}

// ttlMax is the largest TTL that ephemeralOwner has room for, in milliseconds.
const ttlMax = 1<<40 - 1

// createMode turns the options of create into flags and a TTL.
func createMode(args *arguments) (flags int32, ttl int64, err error) {
	sequential, ephemeral, container := args.has("s"), args.has("e"), args.has("c")
	switch {
	case container && (sequential || ephemeral):
		return 0, 0, errors.New("-c cannot be combined with -s or -e: a container is neither sequential nor ephemeral")
	case args.has("t") && (ephemeral || container):
		return 0, 0, errors.New("-t cannot be combined with -e or -c: neither an ephemeral nor a container has a TTL")
	case container:
		flags = wire.FlagContainer
	case args.has("t"):
		return ttlMode(args, sequential)
	case ephemeral:
		flags = wire.FlagEphemeral
	}
	if sequential {
		flags |= wire.FlagPersistentSequential
	}
	return flags, -1, nil
}

func ttlMode(args *arguments, sequential bool) (flags int32, ttl int64, err error) {
	ttl, err = strconv.ParseInt(args.values["t"], 10, 64)
	if err != nil || ttl <= 0 || ttl > ttlMax {
		return 0, 0, fmt.Errorf("the TTL %q is not a number of milliseconds from 1 to %d", args.values["t"], int64(ttlMax))
	}
	if sequential {
		return wire.FlagPersistentSequentialTTL, ttl, nil
	}
	return wire.FlagPersistentTTL, ttl, nil
}

func (s *Shell) deleteNode(args *arguments) error {
	version, err := args.version()
	if err != nil {
		return err
	}
	path := args.word(0)
	if err := checkPath(path); err != nil {
		return err
	}
	return failed(s.client.Delete(path, version), path)
}

func (s *Shell) deleteAll(args *arguments) error {
	path, batch := args.word(0), 1000
	if text, ok := args.values["b"]; ok {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return fmt.Errorf("the batch size %q is not a number of 1 or more", text)
		}
		batch = n
	}
	if err := checkPath(path); err != nil {
		return err
	}
	paths, err := s.subtree(path)
	if err != nil {
		return err
	}
	slices.Reverse(paths) // children before their parents
	for group := range slices.Chunk(paths, batch) {
		if err := s.client.DeleteAll(group); err != nil {
			s.errorf("Failed to delete some node(s) in the subtree!\n")
			return failed(err, path)
		}
	}
	return nil
}

// subtree lists a znode and all below it, parents before their children.
func (s *Shell) subtree(root string) ([]string, error) {
	paths := []string{root}
	for i := 0; i < len(paths); i++ {
		children, _, err := s.client.Children(paths[i], false)
		if errors.Is(err, wire.ErrNoNode) && i > 0 {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, failed(err, paths[i])
		}
		for _, child := range children {
			paths = append(paths, join(paths[i], child))
		}
	}
	return paths, nil
}

func join(parent, child string) string { return strings.TrimSuffix(parent, "/") + "/" + child }

func (s *Shell) get(args *arguments) error {
	path := args.word(0)
	if err := checkPath(path); err != nil {
		return err
	}
	data, stat, err := s.client.Get(path, args.has("w"))
	if err != nil {
		return failed(err, path)
	}
	s.showData(args, data)
	s.showStat(args, &stat)
	return nil
}

func (s *Shell) showData(args *arguments, data []byte) {
	switch {
	case data == nil:
		s.printf("null\n")
	case args.has("x"):
		s.mu.Lock()
		printHexdump(s.cfg.Stdout, data)
		s.mu.Unlock()
	case args.has("b"):
		s.printf("%s\n", base64.StdEncoding.EncodeToString(data))
	default:
		s.printf("%s\n", data)
	}
}

func (s *Shell) set(args *arguments) error {
	path, data := args.word(0), []byte(args.word(1))
	version, err := args.version()
	if err != nil {
		return err
	}
	if args.has("b") {
		if data, err = base64.StdEncoding.DecodeString(args.word(1)); err != nil {
			return fmt.Errorf("the data is not base64: %w", err)
		}
	}
	if err := checkPath(path); err != nil {
		return err
	}
	stat, err := s.client.Set(path, data, version)
	if err != nil {
		return failed(err, path)
	}
	s.showStat(args, &stat)
	return nil
}

func (s *Shell) list(args *arguments) error {
	path := args.word(0)
	if err := checkPath(path); err != nil {
		return err
	}
	if args.has("R") {
		return s.listSubtree(path)
	}
	children, stat, err := s.client.Children(path, args.has("w"))
	if err != nil {
		return failed(err, path)
	}
	slices.Sort(children)
	s.printf("%s\n", list(children))
	s.showStat(args, &stat)
	return nil
}

// listSubtree prints every path: the children of a znode, sorted, before the
// children of the first of them.
func (s *Shell) listSubtree(root string) error {
	pending := []string{root}
	for len(pending) > 0 {
		path := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		children, _, err := s.client.Children(path, false)
		if errors.Is(err, wire.ErrNoNode) && path != root {
			continue // deleted meanwhile
		}
		if err != nil {
			return failed(err, path)
		}
		if path == root {
			s.printf("%s\n", root)
		}
		slices.Sort(children)
		for i, child := range children {
			children[i] = join(path, child)
			s.printf("%s\n", children[i])
		}
		slices.Reverse(children)
		pending = append(pending, children...)
	}
	return nil
}

func (s *Shell) stat(args *arguments) error {
	path := args.word(0)
	if err := checkPath(path); err != nil {
		return err
	}
	stat, err := s.client.Exists(path, args.has("w"))
	if err != nil {
		return failed(err, path)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	printStat(s.cfg.Stdout, &stat)
	return nil
}

func (s *Shell) sync(args *arguments) error {
	path := args.word(0)
	if err := checkPath(path); err != nil {
		return err
	}
	err := s.client.Sync(path)
	var code wire.Code
	switch {
	case err == nil:
		s.printf("Sync is OK\n")
		return nil
	case errors.As(err, &code):
		s.printf("Sync has failed. rc=%d\n", int32(code))
		return errSilent
	}
	return failed(err, path)
}

func (s *Shell) getAllChildrenNumber(args *arguments) error {
	path := args.word(0)
	if err := checkPath(path); err != nil {
		return err
	}
	n, err := s.client.AllChildrenNumber(path)
	if err != nil {
		return failed(err, path)
	}
	s.printf("%d\n", n)
	return nil
}

func (s *Shell) getEphemerals(args *arguments) error {
	prefix := "/"
	if len(args.words) > 0 {
		prefix = args.word(0)
	}
	if err := checkPath(prefix); err != nil {
		return err
	}
	paths, err := s.client.Ephemerals(prefix)
	if err != nil {
		return failed(err, prefix)
	}
	slices.Sort(paths)
	s.printf("%s\n", list(paths))
	return nil
}
