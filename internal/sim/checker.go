package sim

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/quorate/quorate/internal/replica"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/znode"
)

// checker compares what servers do with the invariants of Zab.tla and of the
// specification of the system. Names in capitals are theirs.
type checker struct {
	faults_ []string
	leaders map[int64]int64 // established leader by epoch
	given   map[int64][]byte
	locks   []hold
	// denied are the sessions that a client was told have expired.
	denied map[int64]bool
	// settledAt is when, after all faults, everything was well; 0 before.
	settledAt     int64
	settledEpochs int
	// stoodAt is until when the leader stands still after all faults; 0 before.
	stoodAt int64
}

func (k *checker) init() {
	k.leaders, k.given, k.denied = map[int64]int64{}, map[int64][]byte{}, map[int64]bool{}
}

// fault notes that something happened that must not, and ends the run.
func (s *sim) fault(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.say("FAULT: %s", text)
	if len(s.faults_) < 5 {
		s.faults_ = append(s.faults_, text)
	}
	s.stopped = true
}

// logged sees every entry that a server is about to log. A zxid is given once, by the
// leader of its epoch, to one transaction (INTEGRITY, PRIMARY ORDER).
func (s *sim) logged(m *machine, o *order) {
	for i := range o.Entries {
		e := &o.Entries[i]
		old, ok := s.given[e.Zxid]
		if ok {
			if !bytes.Equal(old, e.Data) {
				s.fault("integrity: %d logs %s as %s, others as %s", m.id, short(e.Zxid), transaction(e.Data), transaction(old))
			}
			continue
		}
		s.given[e.Zxid] = e.Data
		if id, ok := expiryOf(e); ok {
			m.proc.expires(id)
		}
		if id, ok := s.leaders[zab.Epoch(e.Zxid)]; !ok || id != m.id {
			s.fault("primary order: %d proposes %s without leading epoch %d", m.id, short(e.Zxid), zab.Epoch(e.Zxid))
		}
	}
}

// expiryOf returns the session that a leader's own closeSession ends.
func expiryOf(e *zab.Entry) (id int64, ok bool) {
	rd := wire.NewReader(e.Data)
	var h znode.TxnHeader
	h.Decode(&rd)
	return h.ClientID, rd.Err() == nil && h.Type == wire.OpCloseSession && h.Cxid == 0
}

// observe looks at a server after each thing that it has carried out.
func (p *process) observe(events []zab.Event) {
	for i := range events {
		p.event(&events[i])
	}
	st := p.mem.Status()
	serving := p.mem.Serving() || st.Role == zab.Leading && st.Phase == zab.Broadcast // it may take no clients
	z := p.tree.LastZxid()
	if z == p.zxid && serving == p.serving {
		return
	}
	p.zxid, p.serving = z, serving
	if p.verified || serving {
		p.compare(z)
	}
}

// event notes what the core tells. LEADERSHIP: an epoch has one established leader.
func (p *process) event(e *zab.Event) {
	s := p.s
	switch e.Kind {
	case zab.EventRole:
		s.say("%d is %s %s, leader %d: %s", p.m.id, e.Role, e.Phase, e.Peer, e.Reason)
		if e.Role != zab.Leading || e.Phase != zab.Broadcast {
			return
		}
		epoch := p.mem.Status().CurrentEpoch
		if id, ok := s.leaders[epoch]; ok {
			s.fault("leadership: epoch %d is led by %d and by %d", epoch, id, p.m.id)
		}
		s.leaders[epoch], p.leads = p.m.id, p.m.ran()
		p.established(epoch)
	case zab.EventLearnerJoined:
		s.result.Syncs[e.Reason]++
		s.say("%d let %d join by %s from %s", p.m.id, e.Peer, e.Reason, short(e.Zxid))
	case zab.EventLearnerDropped:
		s.say("%d dropped %d: %s", p.m.id, e.Peer, e.Reason)
	default:
		if s.telling() {
			s.say("%d: event %d of %d, %s: %s", p.m.id, e.Kind, e.Peer, short(e.Zxid), e.Reason)
		}
	}
}

// established: what earlier epochs committed is in the log of a leader when it is
// established (PRIMARY INTEGRITY).
func (p *process) established(epoch int64) {
	d, o := &p.m.disk.cached, p.s.oracle
	for i := range o.commits {
		c := &o.commits[i]
		if zab.Epoch(c.Zxid) >= epoch {
			return
		}
		if i >= d.len() || d.at(i).Zxid != c.Zxid {
			p.s.fault("primary integrity: epoch %d begins without %s", epoch, short(c.Zxid))
			return
		}
	}
}

// compare: what is applied is a prefix of one history (PREFIX CONSISTENCY, AGREEMENT,
// TOTAL ORDER), and equal histories lead to equal trees.
func (p *process) compare(z int64) {
	s, d := p.s, &p.m.disk.cached
	if !p.verified {
		p.checked, p.verified = 0, p.serving
	}
	for ; p.checked < d.len() && d.at(p.checked).Zxid <= z; p.checked++ {
		p.agree(p.checked, d.at(p.checked))
		if s.stopped {
			return
		}
	}
	if n := s.oracle.through(z); n != p.checked {
		s.fault("agreement: %d has applied %d transactions up to %s, of %d committed", p.m.id, p.checked, short(z), n)
		return
	}
	if want, ok := s.oracle.digest(p.checked); ok && want != p.tree.Digest() {
		s.fault("digest: the tree of %d at %s is not what it should be", p.m.id, short(z))
	}
	if n := p.tree.DigestMismatches(); n != 0 && !p.fuzzy {
		s.fault("digest: the tree of %d is not what the leader foresaw", p.m.id)
	}
}

// agree compares the i-th transaction of a server with the committed one. The first
// server to apply it fixes the history.
func (p *process) agree(i int, e *zab.Entry) {
	s := p.s
	o := s.oracle
	if i < len(o.commits) {
		if c := &o.commits[i]; c.Zxid != e.Zxid || !bytes.Equal(c.Data, e.Data) {
			s.fault("agreement: number %d at %d is %s %s, committed was %s %s", i, p.m.id,
				short(e.Zxid), transaction(e.Data), short(c.Zxid), transaction(c.Data))
		}
		return
	}
	if i > 0 && !zab.Follows(o.commits[i-1].Zxid, e.Zxid) {
		s.fault("total order: %s is committed after %s", short(e.Zxid), short(o.commits[i-1].Zxid))
	}
	if d, ok := s.given[e.Zxid]; !ok || !bytes.Equal(d, e.Data) {
		s.fault("integrity: %d commits %s, which nobody proposed so", p.m.id, short(e.Zxid))
	}
	o.apply(e)
	s.durable()
}

// durableChanged counts anew how much of the committed history is durable at m.
// replaced says that its log may have lost something.
func (s *sim) durableChanged(m *machine, replaced bool) {
	d := &m.disk.synced
	if replaced || d.len() < m.match {
		m.match = 0
	}
	if d.current > d.accepted {
		s.fault("epochs: %d has currentEpoch %d above acceptedEpoch %d", m.id, d.current, d.accepted)
	}
	if replaced {
		s.durable()
	}
}

// durable: what is committed is durable on a quorum, now and for ever. Where a disk was
// lost since, no quorum of others can form without it.
func (s *sim) durable() {
	n := len(s.oracle.commits)
	if n == 0 {
		return
	}
	has := func(id int64) bool {
		m := s.machine(id)
		s.extendMatch(m)
		m.restored()
		return m.match >= n
	}
	lacks := func(id int64) bool { return !s.machine(id).wiped && !has(id) }
	wiped := slices.ContainsFunc(s.machines, func(m *machine) bool { return m.wiped })
	if !s.quorum.IsQuorum(has) && (!wiped || s.quorum.IsQuorum(lacks)) {
		s.fault("durability: %s is committed, but not durable on a quorum", short(s.oracle.last()))
	}
}

func (s *sim) extendMatch(m *machine) {
	d, commits := &m.disk.synced, s.oracle.commits
	for m.match < len(commits) && m.match < d.len() {
		a, b := d.at(m.match), &commits[m.match].Entry
		if a.Zxid != b.Zxid || !bytes.Equal(a.Data, b.Data) {
			return
		}
		m.match++
	}
}

// look checks a server after each of its steps.
func (p *process) look() {
	st := p.mem.Status()
	if p.mem.Serving() && st.Phase != zab.Broadcast {
		p.s.fault("%d serves clients while it is %s %s", p.m.id, st.Role, st.Phase)
	}
}

// fedWhile: what is answered at once is answered by a server that has a leader.
func (s *sim) fedWhile(p *process, a *attached) {
	if st := p.mem.Status(); st.Phase != zab.Broadcast && a.c.State() != replica.StateClosed && !a.readOnly {
		s.fault("%d answers %s while it is %s %s", p.m.id, a.conn.client, st.Role, st.Phase)
	}
}

// leaving looks at the bytes for a client: no client is told that its session is alive
// by a server without a leader, unless it asked behind a write that is answered now: that
// may be in the history of a leader that was lost a moment ago.
func (s *sim) leaving(a *attached, out []byte) {
	s.mixBytes(out)
	p := a.p
	a.greet(out)
	if p.mem == nil || a.readOnly || p.mem.Serving() || p.mem.Status().Phase == zab.Broadcast {
		return
	}
	inTurn := false
	frames(out, func(f []byte) {
		rd := wire.NewReader(f)
		var h wire.ReplyHeader
		h.Decode(&rd)
		inTurn = inTurn || h.Xid > 0
		if rd.Err() == nil && h.Xid == wire.XidPing && !inTurn {
			s.fault("%d tells %s that its session is alive, and has no leader", p.m.id, a.conn.client)
		}
	})
}

// greet notes what kind of session a connection has, and since when: the first packet
// tells.
func (a *attached) greet(out []byte) {
	if a.greeted || len(out) == 0 {
		return
	}
	a.greeted = true
	rd := wire.NewReader(out[wire.FrameHeaderBytes:])
	var resp wire.ConnectResponse
	resp.Decode(&rd)
	a.readOnly = resp.ReadOnly
	if a.c.State() != replica.StateClosed {
		a.givenAt = a.p.tree.LastZxid()
	}
}

// transaction writes one for reading.
func transaction(data []byte) string {
	rd := wire.NewReader(data)
	var h znode.TxnHeader
	h.Decode(&rd)
	var x znode.Txn
	if _, err := znode.DecodeTxn(rd.Remaining(), h.Type, &x); err != nil || rd.Err() != nil {
		return fmt.Sprintf("%x", data)
	}
	text := fmt.Sprintf("%s of %x/%d", h.Type, h.ClientID, h.Cxid)
	switch h.Type { //nolint:exhaustive // the others say it all
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		return fmt.Sprintf("%s %s=%s", text, x.Create.Path, x.Create.Data)
	case wire.OpDelete, wire.OpDeleteContainer:
		return fmt.Sprintf("%s %s", text, x.Delete.Path)
	case wire.OpSetData:
		return fmt.Sprintf("%s %s=%s version %d", text, x.SetData.Path, x.SetData.Data, x.SetData.Version)
	case wire.OpError:
		return fmt.Sprintf("%s %v", text, x.Error.Code)
	case wire.OpMulti:
		return fmt.Sprintf("%s of %d, failed %v", text, x.Multi.Count, x.Multi.Failed)
	}
	return text
}
