package transport

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/zab/quorum"
)

// TestJavaObservers: our observers, with a sid below and one above all Java ones, are synchronized by a Java leader, hear
// everything it commits, and find the next leader when that one dies.
func TestJavaObservers(t *testing.T) { eachRelease(t, testJavaObservers) }

func testJavaObservers(t *testing.T, version string) {
	m := newMixed(t, version, member{sid: 2, observer: true}, member{sid: 3}, member{sid: 4}, member{sid: 5}, member{sid: 9, observer: true})
	m.q = quorum.NewMajority(3, 4, 5)
	for _, sid := range []int64{3, 4, 5} {
		m.startJava(sid)
	}
	m.settle()
	m.write(3, "before", 30, 500)
	low, high := m.launch(2), m.launch(9)
	for _, n := range []*node{low, high} {
		m.serves(n, zab.Observing)
	}
	m.write(4, "after", 30, 500)
	for _, n := range []*node{low, high} {
		m.holds(n, "/after-29")
		if n.store.count("received") > 0 && n.store.count("nodes") < 30 {
			t.Errorf("%d got a snapshot of %d znodes", n.id, n.store.count("nodes"))
		}
	}
	m.java[m.javaLeader()].kill()
	m.settle()
	m.write(m.javaLeader(), "again", 10, 500)
	for _, n := range []*node{low, high} {
		m.holds(n, "/again-9")
	}
	want := map[int64][]byte{}
	for _, e := range low.history() {
		want[e.Zxid] = e.Data
	}
	same := 0
	for _, e := range high.history() {
		if data, ok := want[e.Zxid]; ok && !bytes.Equal(e.Data, data) {
			t.Errorf("the observers differ at %s", zab.FormatZxid(e.Zxid))
		} else if ok {
			same++
		}
	}
	if same < 40 {
		t.Errorf("the observers have %d transactions in common", same)
	}
}

// TestJavaQuorumNeedsUs: with one of two Java servers gone, nothing is committed without our acknowledgement; we ask for
// sessions through the leader and get snapshots from it.
func TestJavaQuorumNeedsUs(t *testing.T) { eachRelease(t, testJavaQuorumNeedsUs) }

func testJavaQuorumNeedsUs(t *testing.T, version string) {
	for _, ours := range []int64{1, 9} {
		t.Run(fmt.Sprint("sid=", ours), func(t *testing.T) {
			m := newMixed(t, version, member{sid: ours}, member{sid: 3}, member{sid: 4})
			m.startJava(3)
			m.startJava(4).awaitMode("leader")
			m.write(3, "before", 20, 2000)
			n := m.launch(ours)
			m.serves(n, zab.Following)
			m.java[3].kill()
			m.write(4, "needed", 50, 100)
			m.holds(n, "/needed-49")
			// Again, with nothing but a snapshot to start from.
			n.halt()
			delete(m.nodes, ours)
			m.wipe(3)
			m.startJava(3).awaitMode("follower")
			m.write(4, "away", 10, 100)
			n = m.launch(ours) // a disk in memory that is blank
			m.serves(n, zab.Following)
			m.write(3, "back", 5, 100)
			m.holds(n, "/back-4")
			t.Logf("sid %d: %d snapshots received, the last of %d znodes", ours, n.store.count("received"), n.store.count("nodes"))
		})
	}
}

// leadSessions lets n, when it leads, open and close the sessions that Java followers ask for.
func leadSessions(n *node) {
	n.request = func(m zab.Message) {
		if len(m.Data) < 16 {
			return
		}
		session, op := m.Data[:8], int32(binary.BigEndian.Uint32(m.Data[12:]))
		b := bytes.Clone(m.Data[:12])
		b = appendLong(b, n.core.NextZxid())
		b = appendLong(b, time.Now().UnixMilli())
		b = appendInt(b, op)
		switch op {
		case -10:
			b = append(b, m.Data[16:20]...)
		case -11:
			b = appendInt(b, 0)
		default:
			n.t.Errorf("a request of type %d for session %x", op, session)
			return
		}
		if _, err := n.core.Propose(b); err != nil {
			n.t.Error(err)
		}
	}
}

// createTxn is a transaction that creates a znode, as a leader proposes it.
func createTxn(zxid int64, path string, data []byte) []byte {
	b := appendLong(nil, 0)
	b = appendInt(b, 0)
	b = appendLong(b, zxid)
	b = appendLong(b, time.Now().UnixMilli())
	b = appendInt(b, 1)
	b = appendString(b, path)
	b = append(appendInt(b, int32(len(data))), data...)
	b = appendInt(b, 1)
	b = appendInt(b, 31)
	b = appendString(appendString(b, "world"), "anyone")
	b = append(b, 0)       // not ephemeral
	return appendInt(b, 1) // cversion of the parent
}

// TestWeLeadJava: Java servers elect us, take our history by DIFF and, when we have no log to offer, by SNAP, and their
// clients see what we propose.
func TestWeLeadJava(t *testing.T) { eachRelease(t, testWeLeadJava) }

func testWeLeadJava(t *testing.T, version string) {
	m := newMixed(t, version, member{sid: 9}, member{sid: 3}, member{sid: 4})
	n := m.launch(9)
	leadSessions(n)
	j := m.startJava(3)
	m.serves(n, zab.Leading)
	j.awaitMode("follower")
	create := func(path string) {
		t.Helper()
		n.call(func() {
			if _, err := n.core.Propose(createTxn(n.core.NextZxid(), path, []byte("ours"))); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range 20 {
		create(fmt.Sprintf("/ours-%d", i))
	}
	see := func(sid int64, path string) {
		t.Helper()
		c := m.client(sid)
		defer c.Close()
		m.eventually(fmt.Sprintf("Java server %d shows %s", sid, path), func() bool {
			data, _, err := c.Get(path)
			return err == nil && bytes.Contains(data, []byte("ours"))
		})
	}
	see(3, "/ours-19")
	m.startJava(4).awaitMode("follower") // blank: by DIFF
	see(4, "/ours-19")
	m.java[4].kill()
	create("/while-4-is-away")
	m.startJava(4).awaitMode("follower") // by DIFF from where it was
	see(4, "/while-4-is-away")
	m.java[4].kill()
	m.wipe(4)
	n.call(func() {
		z := n.core.Status().Committed
		n.store.purge(z)
		n.core.Purged(z)
	})
	for i := range 1000 { // moves the window in memory on
		create(fmt.Sprintf("/more-%d", i))
	}
	m.holds(n, "/more-999")
	more := n.history()
	m.startJava(4).awaitMode("follower") // blank again, and the log does not reach back
	see(4, fmt.Sprintf("/e/%x", more[len(more)-1].Zxid))
	create("/at-last")
	see(4, "/at-last")
	if how := n.how(); !slices.Equal(how, []string{"DIFF", "DIFF", "DIFF", "SNAP"}) {
		t.Errorf("joined by %v", how)
	}
}
