package server

import (
	"context"
	"testing"
	"time"

	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/zab/transport"
)

// puppet is a member whose protocol is played by the test.
type puppet struct {
	t    *testing.T
	id   int64
	net  *transport.Transport
	seen chan zab.Message
}

// Step implements [transport.Handler].
func (p *puppet) Step(ms []zab.Message) time.Duration {
	for _, m := range ms {
		select {
		case p.seen <- m:
		default: // nobody looks any more
		}
	}
	return 0
}

func (p *puppet) Settle() {}

// puppet has server id of the team be played by the test.
func (g *team) puppet(t *testing.T, id int64) *puppet {
	t.Helper()
	p := &puppet{t: t, id: id, seen: make(chan zab.Message, 1000)}
	m := g.list.Find(id)
	var err error
	p.net, err = transport.Listen(transport.Options{
		ID: id, ElectionAddrs: m.ElectionAddrs(), QuorumAddrs: m.QuorumAddrs(), Handler: p,
		Storage: struct{ transport.Storage }{}, ConfigText: func() []byte { return []byte(g.list.Text()) },
		Lookup: func(sid int64) (transport.Peer, bool) {
			o := g.list.Find(sid)
			return transport.Peer{Election: o.ElectionAddrs(), Quorum: o.QuorumAddrs()}, true
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	p.net.Start()
	t.Cleanup(func() { _ = p.net.Shutdown(context.Background()) })
	return p
}

// await returns the next message of that type.
func (p *puppet) await(typ zab.Type) zab.Message {
	p.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case m := <-p.seen:
			if m.Type == typ {
				return m
			}
		case <-timeout:
			p.t.Fatalf("server %d is sent no %s", p.id, typ)
		}
	}
}

func (p *puppet) say(m zab.Message) { p.net.Send([]zab.Message{m}) }

// answer tells who looks that server 3 leads.
func (p *puppet) answer() {
	m := p.await(zab.Notification)
	state := zab.Following
	if p.id == 3 {
		state = zab.Leading
	}
	p.say(zab.Message{Type: zab.Notification, To: m.From, Vote: zab.Vote{Leader: 3}, Round: m.Round, State: state, Format: 2})
}

// A leader that proposes what is no transaction costs its follower the connection. It used to be written to the log,
// which refused it, and the follower stopped for a disk that was in order.
func TestBadProposalCostsTheConnection(t *testing.T) {
	g := newTeam(t, 3, 0)
	follower, leader := g.puppet(t, 2), g.puppet(t, 3)
	r := g.start(1)
	for epoch := int64(1); epoch <= 2; epoch++ {
		follower.answer()
		leader.answer()
		conn := leader.await(zab.FollowerInfo).Conn
		leader.say(zab.Message{Type: zab.LeaderInfo, Conn: conn, Zxid: zab.MakeZxid(epoch, 0)})
		leader.await(zab.AckEpoch)
		leader.say(zab.Message{Type: zab.Diff, Conn: conn, Zxid: zab.MakeZxid(epoch, 0)})
		leader.say(zab.Message{Type: zab.NewLeader, Conn: conn, Zxid: zab.MakeZxid(epoch, 0)})
		leader.await(zab.Ack)
		leader.say(zab.Message{Type: zab.UpToDate, Conn: conn, Zxid: -1})
		leader.say(zab.Message{Type: zab.Proposal, Conn: conn, Zxid: zab.MakeZxid(epoch, 1), Data: []byte("no transaction")})
		leader.await(zab.Disconnected)
	}
	select {
	case <-r.done:
		t.Fatal("the server stopped:", r.err)
	default:
	}
	if st := r.status(); st.Role == zab.Halted || st.LastZxid != 0 {
		t.Errorf("%+v", st)
	}
}
