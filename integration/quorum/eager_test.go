//go:build linux

package quorum

import (
	"fmt"
	"slices"
	"testing"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/integration/ensemble"
	"github.com/quorate/quorate/wire"
)

// TestEagerACLCheck: with enableEagerACLCheck every server refuses what it sees is not
// allowed before the leader hears of it; so nothing is spent on it.
func TestEagerACLCheck(t *testing.T) {
	all := javaAndQuorate(integration.ZooKeeper39, integration.Options{"enableEagerACLCheck": "true", "tickTime": "500"})
	for i := range all {
		all[i].spec.Observers = all[i].spec.Voters[:1]
	}
	play(t, all, []row{{name: "acl / eager check", play: eagerCheck, want: `
		at the leader
		nothing is spent on create: -102, zxid 0
		nothing is spent on create2: -102, zxid 0
		nothing is spent on create ephemeral: -102, zxid 0
		nothing is spent on delete: -102, zxid 0
		nothing is spent on setData: -102, zxid 0
		nothing is spent on setACL: -102, zxid 0
		nothing is spent on create without an ACL: -114, zxid 0
		nothing is spent on create elsewhere with a bad ACL: -114, zxid 0
		nothing is spent on setACL of a missing znode with a bad ACL: -114, zxid 0
		nothing is spent on setData of a wrong version: -102, zxid 0
		one transaction for createContainer: -102
		one transaction for multi: -102
		one transaction for setData of a missing znode: -101
		one transaction for create below a missing znode: -101
		one transaction for delete of the root: -8
		kazoo, not authenticated: set NoAuthError, create NoAuthError
		its owner: set ok, create ok, delete ok, setACL ok
		behind the setACL: set ok
		the same at the follower: true
		the same at the observer: true`}})
}

func eagerCheck(s *scene) {
	var first []string
	for _, r := range s.roles() {
		seen := s.eagerAt(r)
		if first != nil {
			s.see("the same at the %s: %v", r.name, slices.Equal(seen, first))
			s.Logf("at the %s: %q", r.name, seen)
			continue
		}
		first = seen
		s.see("at the %s", r.name)
		for _, l := range seen {
			s.see("%s", l)
		}
	}
}

// eagerAt shows what clients of one member may do below a znode of somebody else's.
func (s *scene) eagerAt(r role) (seen []string) {
	s.Helper()
	m, path := r.m, s.root+"/"+r.name
	owner, other := s.connect(m), s.connect(m)
	auth := wire.AppendBuffer(wire.AppendString(wire.AppendInt(nil, 0), "digest"), []byte("bob:pw"))
	s.must(owner.SendXid(wire.XidAuth, wire.OpAuth, auth))
	rep, err := owner.Next()
	s.must(err)
	s.must(codeOf(rep))
	bobs := acls(wire.ACL{Perms: wire.PermAll, ID: wire.ID{Scheme: "auth"}},
		wire.ACL{Perms: wire.PermRead, ID: wire.ID{Scheme: "world", ID: "anyone"}})
	create := wire.CreateRequest{Path: []byte(path), ACL: bobs}
	s.must(errorOf(owner.Call(wire.OpCreate, create.Append(nil, wire.OpCreate))))
	create.Path = []byte(path + "/x")
	s.must(errorOf(owner.Call(wire.OpCreate, create.Append(nil, wire.OpCreate))))
	s.must(other.sync())
	for _, q := range eagerRequests(path) {
		seen = append(seen, other.spent(m, q))
	}
	k := s.kazoo(false, m)
	k.await("CONNECTED")
	seen = append(seen, fmt.Sprintf("kazoo, not authenticated: set %s, create %s", k.say("set %s/x 1", path), k.say("create %s/y", path)))
	set := wire.SetDataRequest{Path: []byte(path + "/x"), Version: -1}
	create = wire.CreateRequest{Path: []byte(path + "/y"), ACL: wire.OpenACL}
	open := wire.SetACLRequest{Path: []byte(path + "/x"), ACL: wire.OpenACL, Version: -1}
	seen = append(seen, fmt.Sprintf("its owner: set %s, create %s, delete %s, setACL %s",
		said(errorOf(owner.Call(wire.OpSetData, set.Append(nil)))), said(errorOf(owner.Call(wire.OpCreate2, create.Append(nil, wire.OpCreate2)))),
		said(owner.Delete(path+"/y", 0)), said(errorOf(owner.Call(wire.OpSetACL, open.Append(nil))))))
	s.must(other.sync())
	return append(seen, fmt.Sprintf("behind the setACL: set %s", said(errorOf(other.Call(wire.OpSetData, set.Append(nil))))))
}

// spent tells how a request is answered, and whether it cost a transaction.
func (c *client) spent(m *ensemble.Member, q request) string {
	c.s.Helper()
	before := c.s.last(m)
	rep, _, err := c.Call(q.op, q.body)
	c.s.must(err)
	code := rep.Err
	if q.op == wire.OpMulti && code == wire.OK {
		rd := wire.NewReader(rep.Body)
		var h wire.MultiHeader
		h.Decode(&rd)
		code = wire.Code(rd.Int())
	}
	if c.s.last(m) == before {
		return fmt.Sprintf("nothing is spent on %s: %d, zxid %d", q.name, code, rep.Zxid)
	}
	return fmt.Sprintf("one transaction for %s: %d", q.name, code)
}

// errorOf is the error of an answer.
func errorOf(rep integration.Reply, _ []integration.Reply, err error) error {
	if err == nil {
		err = codeOf(rep)
	}
	return err
}

func acls(all ...wire.ACL) wire.ACLVector { return wire.AppendACLs(nil, all) }

// eagerRequests are what somebody else asks for below path.
func eagerRequests(path string) []request {
	bad := acls(wire.ACL{Perms: wire.PermAll, ID: wire.ID{Scheme: "digest", ID: "nonsense"}})
	create := func(op wire.Op, path string, flags int32, acl wire.ACLVector) []byte {
		req := wire.CreateRequest{Path: []byte(path), ACL: acl, Flags: flags}
		return req.Append(nil, op)
	}
	set := func(path string, version int32) []byte {
		req := wire.SetDataRequest{Path: []byte(path), Version: version}
		return req.Append(nil)
	}
	setACL := func(path string, acl wire.ACLVector) []byte {
		req := wire.SetACLRequest{Path: []byte(path), ACL: acl, Version: -1}
		return req.Append(nil)
	}
	x, missing := path+"/x", path+"/missing"
	multi := append(wire.MultiHeader{Op: wire.OpSetData, Err: -1}.Append(nil), set(x, -1)...)
	return []request{
		{"create", wire.OpCreate, create(wire.OpCreate, path+"/n", 0, wire.OpenACL)},
		{"create2", wire.OpCreate2, create(wire.OpCreate2, path+"/n", wire.FlagPersistentSequential, wire.OpenACL)},
		{"create ephemeral", wire.OpCreate, create(wire.OpCreate, path+"/n", wire.FlagEphemeral, wire.OpenACL)},
		{"delete", wire.OpDelete, wire.PathVersion{Path: []byte(x), Version: -1}.Append(nil)},
		{"setData", wire.OpSetData, set(x, -1)},
		{"setACL", wire.OpSetACL, setACL(x, wire.OpenACL)},
		{"create without an ACL", wire.OpCreate, create(wire.OpCreate, path+"/n", 0, acls())},
		{"create elsewhere with a bad ACL", wire.OpCreate, create(wire.OpCreate, path+"-n", 0, bad)},
		{"setACL of a missing znode with a bad ACL", wire.OpSetACL, setACL(missing, bad)},
		{"setData of a wrong version", wire.OpSetData, set(x, 77)},
		{"createContainer", wire.OpCreateContainer, create(wire.OpCreateContainer, path+"/n", wire.FlagContainer, wire.OpenACL)},
		{"multi", wire.OpMulti, wire.MultiEnd.Append(multi)},
		{"setData of a missing znode", wire.OpSetData, set(missing, -1)},
		{"create below a missing znode", wire.OpCreate, create(wire.OpCreate, missing+"/n", 0, wire.OpenACL)},
		{"delete of the root", wire.OpDelete, wire.PathVersion{Path: []byte("/"), Version: -1}.Append(nil)},
	}
}
