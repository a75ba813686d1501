package integration

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/quorate/quorate/wire"
)

// Znode is everything that a client can see of a node.
type Znode struct {
	Data []byte // nil is null
	Stat wire.Stat
	ACL  string
}

// Tree is what a server showed, by path.
type Tree map[string]Znode

// ReadTree reads a server's whole tree as super. A node that vanishes meanwhile
// is left out; otherwise nothing may be written if the trees of several servers
// are to be compared.
func ReadTree(addr string) (Tree, error) {
	s, err := Connect(addr, ConnectOptions{})
	if err != nil {
		return nil, err
	}
	defer s.Conn.Close()
	if err := s.authenticate(superAuth); err != nil {
		return nil, err
	}
	all := Tree{}
	if err := s.readTree("/", all); err != nil {
		return nil, err
	}
	return all, s.Close()
}

// readTree reads every node from path downwards.
func (s *Session) readTree(path string, into Tree) error {
	n, err := s.readZnode(path)
	if errors.Is(err, wire.ErrNoNode) && path != "/" {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	into[path] = n
	names, err := s.Children(path)
	if err != nil && !errors.Is(err, wire.ErrNoNode) {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, name := range names {
		if err := s.readTree(strings.TrimSuffix(path, "/")+"/"+name, into); err != nil {
			return err
		}
	}
	return nil
}

func (s *Session) readZnode(path string) (Znode, error) {
	data, st, err := s.Get(path, false)
	if err != nil {
		return Znode{}, err
	}
	rep, err := s.do(wire.OpGetACL, wire.AppendString(nil, path))
	if err != nil {
		return Znode{}, err
	}
	r := wire.NewReader(rep.Body)
	return Znode{data, st, shownACLs(&r)}, nil
}

// Differences tells every node that differs in anything from want, in the
// order of paths.
func (t Tree) Differences(want Tree) []string {
	var out []string
	for _, p := range slices.Sorted(maps.Keys(want)) {
		w := want[p]
		g, ok := t[p]
		switch {
		case !ok:
			out = append(out, p+" is missing")
		case string(g.Data) != string(w.Data) || (g.Data == nil) != (w.Data == nil) || g.Stat != w.Stat || g.ACL != w.ACL:
			out = append(out, fmt.Sprintf("%s is\n%q %+v %s\nnot\n%q %+v %s", p, g.Data, g.Stat, g.ACL, w.Data, w.Stat, w.ACL))
		}
	}
	for _, p := range slices.Sorted(maps.Keys(t)) {
		if _, ok := want[p]; !ok {
			out = append(out, p+" is new")
		}
	}
	return out
}
