package transport

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/zab/quorum"
)

// node is a server: a real core and a real transport, with a disk in memory and a list as its tree. One goroutine owns
// the core.
type node struct {
	t       testing.TB
	id      int64
	core    *zab.Core
	tr      *Transport
	store   *memStorage
	inbox   chan []zab.Message
	calls   chan func()
	stop    chan struct{}
	done    chan struct{}
	mu      sync.Mutex
	tree    []zab.Entry
	serving bool
	packets []zab.Message
	joined  []string // how learners were synchronized
	dropped []string
	status  zab.Status
	failure error
	// request answers what learners forward; nil proposes the data.
	request func(zab.Message)
}

// Step implements Handler.
func (n *node) Step(ms []zab.Message) time.Duration {
	select {
	case n.inbox <- slices.Clone(ms):
	case <-n.stop:
	}
	return 0
}

func (n *node) Settle() {}

type ensemble struct {
	t     testing.TB
	book  *book
	tune  func(*zab.Config, *Options)
	q     quorum.Verifier
	text  func() []byte
	nodes map[int64]*node
}

func newEnsemble(t testing.TB, voters ...int64) *ensemble {
	e := &ensemble{t: t, book: newBook(), q: quorum.NewMajority(voters...), nodes: map[int64]*node{}}
	e.text = e.present
	return e
}

// present is the configuration, from where everybody listens now.
func (e *ensemble) present() []byte {
	e.book.mu.Lock()
	defer e.book.mu.Unlock()
	var b strings.Builder
	for sid, p := range e.book.peers {
		role := "observer"
		if e.q.IsVoter(sid) {
			role = "participant"
		}
		_, port, _ := net.SplitHostPort(p.Quorum[0])
		fmt.Fprintf(&b, "server.%d=%s:%s:%s\n", sid, "127.0.0.1", port+":"+p.Election[0][strings.LastIndexByte(p.Election[0], ':')+1:], role)
	}
	return []byte(b.String() + "version=0")
}

// launch starts the server with that sid, on the disk of the one before if there was one.
func (e *ensemble) launch(id int64) *node {
	e.t.Helper()
	n := &node{
		t: e.t, id: id, store: newMemStorage(), inbox: make(chan []zab.Message, 64), calls: make(chan func()),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	if old := e.nodes[id]; old != nil {
		n.store = old.store
	}
	n.tree = slices.Clone(n.store.snap)
	o := testOptions(id, n, e.book)
	o.Storage = n.store
	o.ConfigText = e.text
	if testing.Verbose() {
		o.Log, _ = zap.NewDevelopment()
		o.Log = o.Log.Named(fmt.Sprint(id))
	}
	cfg := zab.Config{
		ID: id, Observer: !e.q.IsVoter(id), Ensemble: zab.Ensemble{Quorum: e.q}, Boot: n.store.boot(),
	}
	if e.tune != nil {
		e.tune(&cfg, &o)
	}
	tr, err := Listen(o)
	if err != nil {
		e.t.Fatal(err)
	}
	n.tr = tr
	e.book.set(id, Peer{Election: []string{tr.ElectionAddr().String()}, Quorum: []string{tr.QuorumAddr().String()}})
	cfg.Ensemble.Text = e.text()
	if n.core, err = zab.New(cfg); err != nil {
		e.t.Fatal(err)
	}
	e.nodes[id] = n
	tr.Start()
	go n.run()
	e.t.Cleanup(n.halt)
	return n
}

// halt ends the process; its disk stays.
func (n *node) halt() {
	select {
	case <-n.stop:
		return
	default:
	}
	close(n.stop)
	<-n.done
	shutdown(n.t, n.tr)
	if n.failure != nil {
		n.t.Errorf("server %d: %v", n.id, n.failure)
	}
}

const tick = 20 * time.Millisecond

func (n *node) run() {
	defer close(n.done)
	ticks := time.NewTicker(tick)
	defer ticks.Stop()
	for {
		n.handle()
		select {
		case ms := <-n.inbox:
			for _, m := range ms {
				n.core.Step(m)
			}
		case <-ticks.C:
			n.core.Tick()
		case f := <-n.calls:
			f()
		case <-n.stop:
			return
		}
	}
}

func (n *node) handle() {
	for n.core.HasReady() {
		r := n.core.Ready()
		seq := uint64(0)
		for _, w := range r.Writes {
			if err := n.store.do(w); err != nil && n.failure == nil {
				n.failure = err
			}
			if seq = w.Seq; w.Kind == zab.WriteInstall {
				n.mu.Lock()
				n.tree = slices.Clone(n.store.snap)
				n.mu.Unlock()
			}
		}
		for _, d := range r.Deliver {
			n.deliver(d)
		}
		n.tr.Send(r.Send)
		for _, d := range r.SendAfterSync {
			n.tr.Send([]zab.Message{d.Message})
		}
		for _, sid := range r.Connect {
			n.tr.Connect(sid)
		}
		for _, id := range r.Close {
			n.tr.Close(id)
		}
		n.note(r.Events)
		n.core.Advance()
		n.core.Durable(seq)
	}
	n.mu.Lock()
	n.status = n.core.Status()
	n.mu.Unlock()
}

func (n *node) note(events []zab.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range events {
		if testing.Verbose() {
			n.t.Logf("%d: %+v", n.id, e)
		}
		switch e.Kind {
		case zab.EventLearnerJoined:
			n.joined = append(n.joined, e.Reason)
		case zab.EventLearnerDropped:
			n.dropped = append(n.dropped, e.Reason)
		default:
		}
	}
}

func (n *node) deliver(d zab.Delivery) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch d.Kind {
	case zab.DeliverCommit:
		n.tree = append(n.tree, d.Entry)
	case zab.DeliverServe:
		n.serving = true
	case zab.DeliverStop:
		n.serving = false
	case zab.DeliverPacket:
		n.packets = append(n.packets, d.Packet)
		switch {
		case d.Packet.Type != zab.Request:
		case n.request != nil:
			n.request(d.Packet)
		default:
			_, _ = n.core.Propose(d.Packet.Data)
		}
	case zab.DeliverSynced:
	}
}

// call runs f on the core's goroutine.
func (n *node) call(f func()) {
	done := make(chan struct{})
	select {
	case n.calls <- func() { defer close(done); f() }:
		<-done
	case <-n.stop:
	}
}

// see looks at n under its lock.
func (n *node) see(f func() bool) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return f()
}

// leader waits until somebody leads and everybody serves.
func (e *ensemble) leader() *node {
	e.t.Helper()
	var leader *node
	eventually(e.t, "one leads and all serve", func() bool {
		leader = nil
		for _, n := range e.nodes {
			if n.see(func() bool { return !n.serving }) {
				return false
			}
			if n.see(func() bool { return n.status.Role == zab.Leading }) {
				leader = n
			}
		}
		return leader != nil
	})
	return leader
}

// propose proposes count transactions at the leader and waits until everybody has them.
func (e *ensemble) propose(count int, size int) {
	e.t.Helper()
	leader := e.leader()
	var last int64
	for i := range count {
		leader.call(func() {
			z, err := leader.core.Propose(append([]byte(fmt.Sprintf("txn %d ", i)), repeat("x", size)...))
			if err != nil {
				e.t.Error(err)
				return
			}
			last = z
		})
	}
	e.agree(last)
}

// agree waits until everybody has applied z, and checks that all trees are the same.
func (e *ensemble) agree(z int64) {
	e.t.Helper()
	var want []zab.Entry
	for id, n := range e.nodes {
		eventually(e.t, fmt.Sprintf("server %d applies %s", id, zab.FormatZxid(z)), func() bool {
			return n.see(func() bool { return len(n.tree) > 0 && n.tree[len(n.tree)-1].Zxid >= z })
		})
		n.see(func() bool {
			if want == nil {
				want = n.tree
			}
			if !slices.EqualFunc(want, n.tree, func(a, b zab.Entry) bool { return a.Zxid == b.Zxid && string(a.Data) == string(b.Data) }) {
				e.t.Errorf("the tree of %d differs", id)
			}
			return true
		})
	}
}
