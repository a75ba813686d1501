package sim

import (
	"sort"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/znode"
)

// oracle knows the one history that is committed, and what follows from it: the state
// of every znode after every transaction, as a simple model of its own understands
// it, and the digest of the whole tree, as a tree of its own has it.
type oracle struct {
	s       *sim
	commits []commit
	tree    *znode.Tree
	res     znode.Result

	nodes    map[string]*mnode
	sessions map[int64]*msession
	locals   map[int64]*msession // what local sessions have asked for
	events   []mevent
	changed  map[string][]int // events about a znode itself, by path
	children map[string][]int // events about a znode's children, by path
	txn, sub znode.Txn
	z        int64 // of the transaction being applied
}

// commit is one committed transaction.
type commit struct {
	zab.Entry
	header znode.TxnHeader
	code   wire.Code // of an error
	digest uint64    // of the tree after it
	at     int64     // simulated time at which the first server applied it
}

// mnode is a path that has been a znode at some time: its states, by zxid.
type mnode struct {
	states []mstate
	kids   []mkids
}

// mstate is what a znode is from a zxid on.
type mstate struct {
	zxid  int64
	live  bool
	data  string
	stat  wire.Stat
	owner int64
	made  int32 // creations of children
}

// mkids is the names of the children from a zxid on. The slice is never changed.
type mkids struct {
	zxid  int64
	names []string
}

// msession is a session.
type msession struct {
	opened, closed int64 // zxids; 0 while it is open
	timeout        int32 // ms
	moved          bool  // its last request was refused, because it has moved
	movedAt        int64 // zxid of the leader's latest word that it has moved
	cxids          map[int32]int64
	last           int32 // the latest request that was carried out
}

// mevent is something that watches may wait for.
type mevent struct {
	zxid int64
	typ  wire.EventType
	path string
}

func newOracle(s *sim) *oracle {
	o := &oracle{
		s: s, nodes: map[string]*mnode{}, sessions: map[int64]*msession{}, locals: map[int64]*msession{},
		changed: map[string][]int{}, children: map[string][]int{},
	}
	tree, err := znode.Open(znode.Options{Backend: znode.NewMemBackend(), Digest: true, Kinds: s.rules.Kinds})
	if err != nil {
		panic(err)
	}
	tree.ACLs().SetAuth(s.rules.Auth)
	o.tree = tree
	o.plant("/", "zookeeper")
	o.plant("/zookeeper", "config", "quota")
	o.plant("/zookeeper/quota")
	o.plant("/zookeeper/config")
	o.nodes["/zookeeper/config"].states[0].stat.Aversion = -1
	return o
}

// plant makes a znode that is there from the beginning.
func (o *oracle) plant(path string, kids ...string) {
	n := int32(len(kids)) //nolint:gosec // few
	o.nodes[path] = &mnode{
		states: []mstate{{live: true, stat: wire.Stat{NumChildren: n, Cversion: -n}}},
		kids:   []mkids{{names: kids}},
	}
}

// last is the zxid of the last committed transaction.
func (o *oracle) last() int64 {
	if n := len(o.commits); n > 0 {
		return o.commits[n-1].Zxid
	}
	return 0
}

// through returns how many transactions are committed up to and with z.
func (o *oracle) through(z int64) int {
	return sort.Search(len(o.commits), func(i int) bool { return o.commits[i].Zxid > z })
}

// commit returns the transaction z, or nil.
func (o *oracle) commit(z int64) *commit {
	if i := o.through(z) - 1; i >= 0 && o.commits[i].Zxid == z {
		return &o.commits[i]
	}
	return nil
}

// digest is the digest of the tree after n transactions.
func (o *oracle) digest(n int) (uint64, bool) {
	if n == 0 {
		return 0, false
	}
	return o.commits[n-1].digest, true
}

// at returns the state of path after z.
func (o *oracle) at(path string, z int64) mstate {
	n := o.nodes[path]
	if n == nil {
		return mstate{}
	}
	i := sort.Search(len(n.states), func(i int) bool { return n.states[i].zxid > z }) - 1
	if i < 0 {
		return mstate{}
	}
	return n.states[i]
}

// kidsAt returns the names of the children of path after z, sorted.
func (o *oracle) kidsAt(path string, z int64) []string {
	n := o.nodes[path]
	if n == nil {
		return nil
	}
	i := sort.Search(len(n.kids), func(i int) bool { return n.kids[i].zxid > z }) - 1
	if i < 0 {
		return nil
	}
	return n.kids[i].names
}

// now returns the present state of path, to be changed by the transaction at hand.
func (o *oracle) now(path string) *mstate {
	n := o.nodes[path]
	if n == nil {
		n = &mnode{}
		o.nodes[path] = n
	}
	if k := len(n.states); k > 0 {
		if n.states[k-1].zxid != o.z {
			next := n.states[k-1]
			next.zxid = o.z
			n.states = append(n.states, next)
		}
	} else {
		n.states = append(n.states, mstate{zxid: o.z})
	}
	return &n.states[len(n.states)-1]
}

// firstAfter returns the first of the events listed that comes after zxid since and
// not after z; nil if there is none.
func (o *oracle) firstAfter(list []int, since, z int64) *mevent {
	i := sort.Search(len(list), func(i int) bool { return o.events[list[i]].zxid > since })
	if i < len(list) && o.events[list[i]].zxid <= z {
		return &o.events[list[i]]
	}
	return nil
}

// local reports whether a session is one that was never global.
func (o *oracle) local(session int64) bool {
	return o.s.plan.replica.LocalSessions && o.sessions[session] == nil
}

// requests returns what is known of a session's requests; nil: it cannot have any.
func (o *oracle) requests(session int64) *msession {
	if m := o.sessions[session]; m != nil || !o.s.plan.replica.LocalSessions {
		return m
	}
	m := o.locals[session]
	if m == nil {
		m = &msession{cxids: map[int32]int64{}}
		o.locals[session] = m
	}
	return m
}

// alive reports whether the session is open after z.
func (o *oracle) alive(session, z int64) bool {
	m := o.sessions[session]
	return m != nil && m.opened <= z && (m.closed == 0 || m.closed > z)
}
