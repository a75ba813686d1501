package replica_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/quorate/quorate/internal/replica"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/znode"
)

// A write that the server's own tree does not permit is refused in its turn, with the
// zxid 0, and the leader never hears of it. What the tree cannot tell is left to the leader.
func TestEagerACL(t *testing.T) {
	e := newEnsemble(t, 3, 0, func(o *replica.Options) { o.EagerACL = true })
	lead := e.leader()
	elsewhere := wire.AppendACLs(nil, []wire.ACL{{Perms: wire.PermAll, ID: wire.ID{Scheme: "ip", ID: "10.9.8.7"}}})
	bad := wire.AppendACLs(nil, []wire.ACL{{Perms: wire.PermAll, ID: wire.ID{Scheme: "ip", ID: "nonsense"}}})
	with := func(path string, acl wire.ACLVector) []byte {
		c := wire.CreateRequest{Path: []byte(path), ACL: acl}
		return c.Append(nil, wire.OpCreate)
	}
	setACL := wire.SetACLRequest{Path: []byte("/none"), ACL: bad, Version: -1}
	null := wire.SetDataRequest{Version: -1}
	for i, at := range []int64{lead, e.other(lead)} {
		g := e.guest(at)
		shut, open := "/shut"+string(rune('0'+i)), "/open"+string(rune('0'+i))
		g.call(1, wire.OpCreate, with(shut, elsewhere))
		g.call(2, wire.OpCreate, with(open, wire.OpenACL))
		before := e.members[lead].m.Replica().Tree().LastZxid()
		requests := []struct {
			op    wire.Op
			body  []byte
			want  wire.Code
			eager bool
		}{
			{wire.OpSetData, setData(open, "1"), wire.OK, false},
			{wire.OpSetData, setData(shut, "1"), wire.ErrNoAuth, true},
			{wire.OpGetData, unwatched(open), wire.OK, false},
			{wire.OpCreate, with(shut+"/x", wire.OpenACL), wire.ErrNoAuth, true},
			{wire.OpCreate, with(open+"/x", bad), wire.ErrInvalidACL, true},
			{wire.OpSetACL, setACL.Append(nil), wire.ErrInvalidACL, true},
			{wire.OpDelete, wire.PathVersion{Path: []byte(shut + "/x"), Version: -1}.Append(nil), wire.ErrNoAuth, true},
			{wire.OpSetData, setData("/none", ""), wire.ErrNoNode, false},
			{wire.OpSetData, null.Append(nil), wire.ErrBadArguments, false},
			{wire.OpDelete, wire.PathVersion{Path: []byte("/zookeeper"), Version: -1}.Append(nil), wire.ErrBadArguments, false},
			{wire.OpCreate, with("none", wire.OpenACL), wire.ErrBadArguments, false},
		}
		spent := 0
		for n, q := range requests {
			g.feed(request(int32(10+n), q.op, q.body))
			if !q.eager && q.op != wire.OpGetData {
				spent++
			}
		}
		for n, a := range g.wait(len(requests)) {
			q := requests[n]
			if a.Xid != int32(10+n) || a.Err != q.want || q.eager && a.Zxid != 0 {
				t.Errorf("at %d, %v %d: answer %+v, want %v", at, q.op, n, a.ReplyHeader, q.want)
			}
		}
		if now := e.members[lead].m.Replica().Tree().LastZxid(); now != before+int64(spent) {
			t.Errorf("at %d: %d transactions, want %d", at, now-before, spent)
		}
	}
}

// lostBackend has a znode that it cannot read.
type lostBackend struct{ znode.Backend }

var errLost = errors.New("lost")

func (b lostBackend) Get(path, buf []byte, rec *znode.Record) (bool, []byte, error) {
	if bytes.Equal(path, []byte("/lost")) {
		return false, buf, errLost
	}
	return b.Backend.Get(path, buf, rec)
}

// lostTree is a new tree that is at rest, but for what of it is lost.
func lostTree(t *testing.T) *znode.Tree {
	t.Helper()
	b := znode.NewMemBackend()
	tree, err := znode.Open(znode.Options{Backend: b, Digest: true})
	if err != nil {
		t.Fatal(err)
	}
	tree.Lock()
	c := tree.BeginCheckpoint()
	tree.Unlock()
	if err := c.Write(); err != nil {
		t.Fatal(err)
	}
	if tree, err = znode.Open(znode.Options{Backend: lostBackend{b}, Digest: true}); err != nil {
		t.Fatal(err)
	}
	return tree
}

// What cannot be looked at is an error of the server's, and no answer: the write was not made.
func TestEagerACLWithoutAnAnswer(t *testing.T) {
	e := newEnsemble(t, 3, 0, func(o *replica.Options) {
		o.EagerACL, o.Tree = true, lostTree(t)
		o.Tree.ACLs().SetAuth(o.Rules.Auth)
	})
	at := e.other(e.leader())
	g := e.guest(at)
	g.take()
	_, subs, _, err := g.c.Feed(request(1, wire.OpSetData, setData("/lost", "x")), e.time.Mono, nil)
	if err != nil || len(subs) != 1 {
		t.Fatal(err, subs)
	}
	if err := e.members[at].m.Submit(&subs[0], e.time); !errors.Is(err, errLost) {
		t.Errorf("error %v", err)
	}
	if out := g.take(); len(out) > 0 {
		t.Errorf("answered %x", out)
	}
}
