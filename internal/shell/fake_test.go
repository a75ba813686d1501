package shell

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/quorate/quorate/wire"
)

// fakeNode is a znode of fakeClient.
type fakeNode struct {
	data []byte
	acl  []wire.ACL
	stat wire.Stat
	seq  int
}

// fakeClient is a Client over a map. It knows enough of ZooKeeper's rules to
// exercise every command; whatever else they do is the server's.
type fakeClient struct {
	nodes   map[string]*fakeNode
	zxid    int64
	watches map[string]bool // one-time, data and exist
	state   string
	onEvent func(Event)
	ids     []wire.ClientInfo
	calls   []string // requests that only leave a trace
	fail    error    // what every request returns, when set
}

func newFakeClient(onEvent func(Event)) *fakeClient {
	c := &fakeClient{
		nodes: map[string]*fakeNode{}, watches: map[string]bool{}, state: "CONNECTED", onEvent: onEvent,
		ids: []wire.ClientInfo{{AuthScheme: "ip", User: "127.0.0.1"}},
	}
	for _, path := range []string{"/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"} {
		c.nodes[path] = &fakeNode{acl: openACL}
	}
	c.nodes["/zookeeper/config"].data = []byte("server.1=a:1:2:participant;0.0.0.0:2181\nserver.2=b:1:2:observer;b:2182\nversion=1a")
	onEvent(Event{State: "SyncConnected", Type: "None", Zxid: -1})
	return c
}

func (c *fakeClient) State() string { return c.state }

func (c *fakeClient) Close() {
	wasOpen := alive(c.state)
	c.state = "CLOSED"
	if wasOpen {
		c.onEvent(Event{State: "Closed", Type: "None", Zxid: -1})
	}
}

func (c *fakeClient) node(path string) (*fakeNode, error) {
	if c.fail != nil {
		return nil, c.fail
	}
	if n := c.nodes[path]; n != nil {
		return n, nil
	}
	return nil, wire.ErrNoNode
}

func parentOf(path string) string { return cmp.Or(path[:strings.LastIndexByte(path, '/')], "/") }

func (c *fakeClient) fire(path, event string) {
	if c.watches[path] {
		delete(c.watches, path)
		c.onEvent(Event{State: "SyncConnected", Type: event, Path: path, Zxid: c.zxid})
	}
}

func (c *fakeClient) Create(path string, data []byte, acl []wire.ACL, flags int32, ttl int64) (string, error) {
	parent, err := c.node(parentOf(path))
	if err != nil {
		return "", err
	}
	if parent.stat.EphemeralOwner != 0 {
		return "", wire.ErrNoChildrenForEphemerals
	}
	sequential := flags == wire.FlagPersistentSequential || flags == wire.FlagEphemeralSequential || flags == wire.FlagPersistentSequentialTTL
	if sequential {
		path += fmt.Sprintf("%010d", parent.seq)
	}
	if c.nodes[path] != nil {
		return "", wire.ErrNodeExists
	}
	c.zxid++
	n := &fakeNode{data: data, acl: acl, stat: wire.Stat{Czxid: c.zxid, Mzxid: c.zxid, Pzxid: c.zxid, DataLength: int32(len(data))}}
	if flags == wire.FlagEphemeral || flags == wire.FlagEphemeralSequential {
		n.stat.EphemeralOwner = 0x1234
	}
	if flags >= wire.FlagContainer {
		c.calls = append(c.calls, fmt.Sprintf("create %s flags %d ttl %d", path, flags, ttl))
	}
	parent.seq++
	parent.stat.NumChildren++
	parent.stat.Cversion++
	c.nodes[path] = n
	c.fire(path, "NodeCreated")
	return path, nil
}

func (c *fakeClient) Delete(path string, version int32) error {
	n, err := c.node(path)
	switch {
	case err != nil:
		return err
	case path == "/":
		return wire.ErrBadArguments
	case version != -1 && version != n.stat.Version:
		return wire.ErrBadVersion
	case n.stat.NumChildren > 0:
		return wire.ErrNotEmpty
	}
	c.zxid++
	c.nodes[parentOf(path)].stat.NumChildren--
	delete(c.nodes, path)
	c.fire(path, "NodeDeleted")
	return nil
}

func (c *fakeClient) DeleteAll(paths []string) error {
	c.calls = append(c.calls, "multi "+strings.Join(paths, " "))
	for _, path := range paths {
		if err := c.Delete(path, -1); err != nil {
			return err
		}
	}
	return nil
}

func (c *fakeClient) Exists(path string, watch bool) (wire.Stat, error) {
	if watch {
		c.watches[path] = true
	}
	n, err := c.node(path)
	if err != nil {
		return wire.Stat{}, err
	}
	return n.stat, nil
}

func (c *fakeClient) Get(path string, watch bool) ([]byte, wire.Stat, error) {
	n, err := c.node(path)
	if err != nil {
		return nil, wire.Stat{}, err
	}
	c.watches[path] = c.watches[path] || watch
	return n.data, n.stat, nil
}

func (c *fakeClient) Set(path string, data []byte, version int32) (wire.Stat, error) {
	n, err := c.node(path)
	if err != nil {
		return wire.Stat{}, err
	}
	if version != -1 && version != n.stat.Version {
		return wire.Stat{}, wire.ErrBadVersion
	}
	c.zxid++
	n.data, n.stat.Mzxid, n.stat.DataLength = data, c.zxid, int32(len(data))
	n.stat.Version++
	c.fire(path, "NodeDataChanged")
	return n.stat, nil
}

func (c *fakeClient) Children(path string, _ bool) ([]string, wire.Stat, error) {
	n, err := c.node(path)
	if err != nil {
		return nil, wire.Stat{}, err
	}
	var names []string
	for other := range c.nodes {
		if other != "/" && parentOf(other) == path {
			names = append(names, other[strings.LastIndexByte(other, '/')+1:])
		}
	}
	slices.Sort(names)
	slices.Reverse(names) // a server promises no order
	return names, n.stat, nil
}

func (c *fakeClient) ACL(path string) ([]wire.ACL, wire.Stat, error) {
	n, err := c.node(path)
	if err != nil {
		return nil, wire.Stat{}, err
	}
	return n.acl, n.stat, nil
}

func (c *fakeClient) SetACL(path string, acl []wire.ACL, version int32) (wire.Stat, error) {
	n, err := c.node(path)
	switch {
	case err != nil:
		return wire.Stat{}, err
	case version != -1 && version != n.stat.Aversion:
		return wire.Stat{}, wire.ErrBadVersion
	case acl[0].ID.Scheme == "bogus":
		return wire.Stat{}, wire.ErrInvalidACL
	}
	n.acl = acl
	n.stat.Aversion++
	return n.stat, nil
}

func (c *fakeClient) AddAuth(scheme string, auth []byte) error {
	if scheme != "digest" {
		c.state = "AUTH_FAILED"
		c.onEvent(Event{State: "AuthFailed", Type: "None", Zxid: -1})
		return wire.ErrAuthFailed
	}
	user, _, _ := strings.Cut(string(auth), ":")
	c.ids = append(c.ids, wire.ClientInfo{AuthScheme: scheme, User: user})
	return nil
}

func (c *fakeClient) Sync(path string) error {
	if path == "/broken" {
		return wire.ErrSessionMoved
	}
	return c.fail
}

func (c *fakeClient) AddWatch(path string, recursive bool) error {
	c.calls = append(c.calls, fmt.Sprintf("addWatch %s %v", path, recursive))
	return c.fail
}

func (c *fakeClient) RemoveWatches(path string, kind wire.WatcherType, local bool) error {
	if path == "/none" {
		return wire.ErrNoWatcher
	}
	c.calls = append(c.calls, fmt.Sprintf("removeWatches %s %d %v", path, kind, local))
	return c.fail
}

func (c *fakeClient) Ephemerals(prefix string) (paths []string, err error) {
	for path, n := range c.nodes {
		if n.stat.EphemeralOwner != 0 && strings.HasPrefix(path, prefix) {
			paths = append(paths, path)
		}
	}
	return paths, c.fail
}

func (c *fakeClient) AllChildrenNumber(path string) (n int32, err error) {
	if _, err := c.node(path); err != nil {
		return 0, err
	}
	for other := range c.nodes {
		if other != path && strings.HasPrefix(other, strings.TrimSuffix(path, "/")+"/") {
			n++
		}
	}
	return n, nil
}

func (c *fakeClient) WhoAmI() ([]wire.ClientInfo, error) { return c.ids, c.fail }

func (c *fakeClient) Config(watch bool) ([]byte, wire.Stat, error) {
	return c.Get(configPath, watch)
}

func (c *fakeClient) Reconfig(joining, leaving, members string, version int64) ([]byte, wire.Stat, error) {
	if leaving == "9" {
		return nil, wire.Stat{}, wire.ErrReconfigDisabled
	}
	c.calls = append(c.calls, fmt.Sprintf("reconfig %q %q %q %d", joining, leaving, members, version))
	return []byte("server.1=x\nversion=2"), wire.Stat{}, nil
}

var errOdd = errors.New("something odd")
