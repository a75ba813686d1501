package shell

import (
	"fmt"

	"github.com/quorate/quorate/wire"
)

// configPath is where the ensemble keeps its configuration.
const configPath = "/zookeeper/config"

// replied decodes a reply and reports what is wrong with it.
func replied(reply []byte, err error, decode func(*wire.Reader)) error {
	if err != nil {
		return err
	}
	r := wire.NewReader(reply)
	decode(&r)
	if err := r.Err(); err != nil {
		return fmt.Errorf("the server's reply is malformed: %w", err)
	}
	return nil
}

// Create implements Client.
func (c *Conn) Create(path string, data []byte, acl []wire.ACL, flags int32, ttl int64) (created string, err error) {
	op := wire.OpCreate
	switch flags {
	case wire.FlagContainer:
		op = wire.OpCreateContainer
	case wire.FlagPersistentTTL, wire.FlagPersistentSequentialTTL:
		op = wire.OpCreateTTL
	}
	req := wire.CreateRequest{Path: c.full(path), Data: data, ACL: wire.AppendACLs(nil, acl), Flags: flags, TTL: ttl}
	reply, err := c.ask(op, req.Append(nil, op), nil)
	err = replied(reply, err, func(r *wire.Reader) { created = r.String() })
	return cutChroot(c.cfg.Chroot, created), err
}

// Delete implements Client.
func (c *Conn) Delete(path string, version int32) error {
	_, err := c.ask(wire.OpDelete, wire.PathVersion{Path: c.full(path), Version: version}.Append(nil), nil)
	return err
}

// DeleteAll implements Client by one multi.
func (c *Conn) DeleteAll(paths []string) error {
	var body []byte
	for _, path := range paths {
		body = wire.MultiHeader{Op: wire.OpDelete, Err: -1}.Append(body)
		body = wire.PathVersion{Path: c.full(path), Version: -1}.Append(body)
	}
	reply, err := c.ask(wire.OpMulti, wire.MultiEnd.Append(body), nil)
	var failed wire.Code
	err = replied(reply, err, func(r *wire.Reader) { failed = multiFailure(r) })
	if err == nil {
		err = codeError(failed)
	}
	return err
}

// multiFailure finds the result that made a multi fail; OK when none did. The
// operations before the culprit report 0, those after it a code that only says
// that they were not tried.
func multiFailure(r *wire.Reader) wire.Code {
	for r.Err() == nil {
		var h wire.MultiHeader
		h.Decode(r)
		if h.Done {
			break
		}
		if h.Op != wire.OpError {
			continue
		}
		if code := wire.Code(r.Int()); code != wire.OK {
			return code
		}
	}
	return wire.OK
}

// Exists implements Client. A watch is set even when there is no such znode.
func (c *Conn) Exists(path string, watch bool) (stat wire.Stat, err error) {
	reply, err := c.ask(wire.OpExists, wire.PathWatch{Path: c.full(path), Watch: watch}.Append(nil), func(code wire.Code) {
		switch {
		case watch && code == wire.OK:
			c.watches.add(dataWatch, path)
		case watch && code == wire.ErrNoNode:
			c.watches.add(existWatch, path)
		}
	})
	err = replied(reply, err, stat.Decode)
	return stat, err
}

// Get implements Client.
func (c *Conn) Get(path string, watch bool) ([]byte, wire.Stat, error) {
	return c.get(string(c.full(path)), path, watch)
}

// Config implements Client.
func (c *Conn) Config(watch bool) ([]byte, wire.Stat, error) {
	return c.get(configPath, configPath, watch)
}

// get reads a path of the server; known is what the watch is filed under.
func (c *Conn) get(path, known string, watch bool) (data []byte, stat wire.Stat, err error) {
	reply, err := c.ask(wire.OpGetData, wire.PathWatch{Path: []byte(path), Watch: watch}.Append(nil), func(code wire.Code) {
		if watch && code == wire.OK {
			c.watches.add(dataWatch, known)
		}
	})
	err = replied(reply, err, func(r *wire.Reader) {
		data = r.Buffer()
		stat.Decode(r)
	})
	return data, stat, err
}

// Set implements Client.
func (c *Conn) Set(path string, data []byte, version int32) (stat wire.Stat, err error) {
	req := wire.SetDataRequest{Path: c.full(path), Data: data, Version: version}
	reply, err := c.ask(wire.OpSetData, req.Append(nil), nil)
	err = replied(reply, err, stat.Decode)
	return stat, err
}

// Children implements Client.
func (c *Conn) Children(path string, watch bool) (names []string, stat wire.Stat, err error) {
	reply, err := c.ask(wire.OpGetChildren2, wire.PathWatch{Path: c.full(path), Watch: watch}.Append(nil), func(code wire.Code) {
		if watch && code == wire.OK {
			c.watches.add(childWatch, path)
		}
	})
	err = replied(reply, err, func(r *wire.Reader) {
		names = stringList(r)
		stat.Decode(r)
	})
	return names, stat, err
}

func stringList(r *wire.Reader) []string {
	var list []string
	for range max(r.Count(4), 0) {
		list = append(list, r.String())
	}
	return list
}

// ACL implements Client.
func (c *Conn) ACL(path string) (acl []wire.ACL, stat wire.Stat, err error) {
	reply, err := c.ask(wire.OpGetACL, wire.AppendBuffer(nil, c.full(path)), nil)
	err = replied(reply, err, func(r *wire.Reader) {
		acl = wire.DecodeACLs(r)
		stat.Decode(r)
	})
	return acl, stat, err
}

// SetACL implements Client.
func (c *Conn) SetACL(path string, acl []wire.ACL, version int32) (stat wire.Stat, err error) {
	req := wire.SetACLRequest{Path: c.full(path), ACL: wire.AppendACLs(nil, acl), Version: version}
	reply, err := c.ask(wire.OpSetACL, req.Append(nil), nil)
	err = replied(reply, err, stat.Decode)
	return stat, err
}

// AddAuth implements Client. The credentials go along when the connection is
// made anew; while there is none they are only remembered.
func (c *Conn) AddAuth(scheme string, auth []byte) error {
	packet := wire.AuthPacket{Scheme: []byte(scheme), Auth: auth}
	request := newCall(wire.XidAuth, wire.OpAuth, packet.Append(nil))
	c.mu.Lock()
	c.creds = append(c.creds, packet)
	connected := c.link != nil
	if connected {
		c.auths = append(c.auths, request)
		c.send(request)
	}
	c.mu.Unlock()
	if !connected {
		return nil
	}
	<-request.done
	return request.err
}

// Sync implements Client.
func (c *Conn) Sync(path string) error {
	_, err := c.ask(wire.OpSync, wire.AppendBuffer(nil, c.full(path)), nil)
	return err
}

// AddWatch implements Client.
func (c *Conn) AddWatch(path string, recursive bool) error {
	mode, kind := wire.AddWatchPersistent, persistentWatch
	if recursive {
		mode, kind = wire.AddWatchPersistentRecursive, recursiveWatch
	}
	_, err := c.ask(wire.OpAddWatch, wire.PathType{Path: c.full(path), Type: mode}.Append(nil), func(code wire.Code) {
		if code == wire.OK {
			c.watches.add(kind, path)
		}
	})
	return err
}

// RemoveWatches implements Client.
func (c *Conn) RemoveWatches(path string, kind wire.WatcherType, local bool) error {
	c.mu.Lock()
	known := c.watches.has(path, kind)
	c.mu.Unlock()
	if !known {
		return wire.ErrNoWatcher
	}
	_, err := c.ask(wire.OpRemoveWatches, wire.PathType{Path: c.full(path), Type: int32(kind)}.Append(nil), nil)
	if err != nil && !local {
		return err
	}
	c.mu.Lock()
	removed := c.watches.remove(path, kind)
	c.mu.Unlock()
	for _, name := range removed {
		c.cfg.OnEvent(Event{State: "SyncConnected", Type: name, Path: path, Zxid: -1})
	}
	return nil
}

// Ephemerals implements Client.
func (c *Conn) Ephemerals(prefix string) (paths []string, err error) {
	reply, err := c.ask(wire.OpGetEphemerals, wire.AppendBuffer(nil, c.full(prefix)), nil)
	err = replied(reply, err, func(r *wire.Reader) { paths = stringList(r) })
	for i := range paths {
		paths[i] = cutChroot(c.cfg.Chroot, paths[i])
	}
	return paths, err
}

// AllChildrenNumber implements Client.
func (c *Conn) AllChildrenNumber(path string) (n int32, err error) {
	reply, err := c.ask(wire.OpGetAllChildrenNumber, wire.AppendBuffer(nil, c.full(path)), nil)
	err = replied(reply, err, func(r *wire.Reader) { n = r.Int() })
	return n, err
}

// WhoAmI implements Client.
func (c *Conn) WhoAmI() (ids []wire.ClientInfo, err error) {
	reply, err := c.ask(wire.OpWhoAmI, nil, nil)
	err = replied(reply, err, func(r *wire.Reader) {
		for range max(r.Count(8), 0) {
			ids = append(ids, wire.ClientInfo{AuthScheme: r.String(), User: r.String()})
		}
	})
	return ids, err
}

// Reconfig implements Client.
func (c *Conn) Reconfig(joining, leaving, members string, version int64) (config []byte, stat wire.Stat, err error) {
	absent := func(list string) []byte {
		if list == "" {
			return nil
		}
		return []byte(list)
	}
	req := wire.ReconfigRequest{Joining: absent(joining), Leaving: absent(leaving), NewMembers: absent(members), CurConfigID: version}
	reply, err := c.ask(wire.OpReconfig, req.Append(nil), nil)
	err = replied(reply, err, func(r *wire.Reader) {
		config = r.Buffer()
		stat.Decode(r)
	})
	return config, stat, err
}
