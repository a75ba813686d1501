package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/quorate/quorate/zab"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait. It is a guard against hanging, never an expectation.
const patience = 30 * time.Second

// recorder is a handler that remembers.
type recorder struct {
	mu   sync.Mutex
	news chan struct{} // closed and replaced at every message
	all  []zab.Message
}

func newRecorder() *recorder { return &recorder{news: make(chan struct{})} }

func (r *recorder) Step(ms []zab.Message) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, ms...)
	close(r.news)
	r.news = make(chan struct{})
	return 0
}

func (r *recorder) Settle() {}

// await waits for the n-th message (from 1) that fits.
func (r *recorder) await(t testing.TB, n int, fits func(zab.Message) bool) zab.Message {
	t.Helper()
	end := time.After(patience)
	for {
		r.mu.Lock()
		news, seen := r.news, 0
		for _, m := range r.all {
			if fits(m) {
				if seen++; seen == n {
					r.mu.Unlock()
					return m
				}
			}
		}
		r.mu.Unlock()
		select {
		case <-news:
		case <-end:
			t.Fatalf("the message never came; what came: %v", r.messages())
		}
	}
}

func (r *recorder) messages() []zab.Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]zab.Message(nil), r.all...)
}

func ofType(ty zab.Type) func(zab.Message) bool {
	return func(m zab.Message) bool { return m.Type == ty }
}

// eventually waits until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

// noStorage is for tests without snapshots.
type noStorage struct{}

var errNone = errors.New("no storage")

func (noStorage) SendSnapshot(io.Writer, int64, func(int64) error) error { return errNone }
func (noStorage) ReceiveSnapshot(io.Reader, zab.ConnID, int64) error     { return errNone }
func (noStorage) DropSnapshot(zab.ConnID)                                {}
func (noStorage) LogRange(int64, int64, func(int64, []byte) error) error { return errNone }
func testConfig() []byte                                                 { return []byte(configText) }

// book is who listens where.
type book struct {
	mu    sync.Mutex
	peers map[int64]Peer
}

func newBook() *book { return &book{peers: map[int64]Peer{}} }

func (b *book) set(sid int64, p Peer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.peers[sid] = p
}

func (b *book) lookup(sid int64) (Peer, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, ok := b.peers[sid]
	return p, ok
}

func testOptions(sid int64, h Handler, b *book) Options {
	return Options{
		ID: sid, ElectionAddrs: []string{"127.0.0.1:0"}, QuorumAddrs: []string{"127.0.0.1:0"},
		Lookup: b.lookup, ConfigText: testConfig, Handler: h, Storage: noStorage{},
	}
}

// start listens and starts, and shuts down at the end of the test. The server enters itself into the book.
func start(t testing.TB, o Options, b *book) *Transport {
	t.Helper()
	tr, err := Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	b.set(o.ID, Peer{Election: []string{tr.ElectionAddr().String()}, Quorum: []string{tr.QuorumAddr().String()}})
	tr.Start()
	t.Cleanup(func() { shutdown(t, tr) })
	return tr
}

func shutdown(t testing.TB, tr *Transport) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := tr.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

// duo is a transport of one sid and one of another, each with a recorder.
type duo struct {
	book *book
	tr   map[int64]*Transport
	rec  map[int64]*recorder
}

func newDuo(t testing.TB, sids ...int64) *duo {
	t.Helper()
	d := &duo{book: newBook(), tr: map[int64]*Transport{}, rec: map[int64]*recorder{}}
	for _, sid := range sids {
		d.rec[sid] = newRecorder()
		d.tr[sid] = start(t, testOptions(sid, d.rec[sid], d.book), d.book)
	}
	return d
}

// connect makes a quorum connection from learner to leader and returns its number at both ends.
func (d *duo) connect(t testing.TB, learner, leader int64) (here, there zab.ConnID) {
	t.Helper()
	d.tr[learner].Connect(leader)
	here = d.rec[learner].await(t, 1, ofType(zab.Connected)).Conn
	d.tr[learner].Send([]zab.Message{{Type: zab.FollowerInfo, From: learner, To: leader, Conn: here, Zxid: zab.MakeZxid(3, 0), ConfigVersion: 7}})
	m := d.rec[leader].await(t, 1, ofType(zab.FollowerInfo))
	if m.From != learner || m.To != leader || m.Zxid != zab.MakeZxid(3, 0) || m.ConfigVersion != 7 || m.Conn <= 0 {
		t.Fatalf("FOLLOWERINFO came as %+v", m)
	}
	return here, m.Conn
}

// dialRaw connects a plain socket, closed at the end of the test.
func dialRaw(t testing.TB, addr net.Addr) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	_ = nc.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { nc.Close() })
	return nc
}

func vote(leader int64) zab.Message {
	return zab.Message{Type: zab.Notification, Vote: zab.Vote{Leader: leader, Zxid: 5, PeerEpoch: 1}, Round: 1, Format: 2}
}
