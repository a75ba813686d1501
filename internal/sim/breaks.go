package sim

import (
	"encoding/binary"
	"slices"

	"github.com/quorate/quorate/internal/replica"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/zab/quorum"
)

// Break is a mistake made on purpose, to see that the checks find it. Each is made in
// the hands that the server relies on; the server itself has no switch. That a snapshot
// and what comes behind it are one write is a trace (own_install_is_one_step.txt), and that
// it is one step on disk a test of internal/server's history at every crash.
type Break int

// The mistakes.
const (
	Sound Break = iota
	// AckBeforeSync lets messages leave that should wait for a write.
	AckBeforeSync
	// CommitWithoutQuorum lets an established leader take any single server for a
	// quorum.
	CommitWithoutQuorum
	// EpochBeforeLog puts currentEpoch on disk before the data it vouches for.
	EpochBeforeLog
	// CheckpointAhead writes the tree to rest before its transactions are durable.
	CheckpointAhead
	// KeepOldTree forgets to tell the server that a snapshot is in place.
	KeepOldTree
	// EventAfterData lets an answer overtake the event in front of it.
	EventAfterData
	// PongWithoutLeader answers pings while clients wait for a leader.
	PongWithoutLeader
	// ReportAll tells the leader of sessions that nobody has heard of.
	ReportAll
	// RequestTwice gives a forwarded request to the leader twice.
	RequestTwice
	// LoseAnswer loses answers to forwarded syncs and revalidations.
	LoseAnswer
	// SyncAtOnce answers syncs without asking the leader.
	SyncAtOnce
	// AgeStalled lets sessions age while their server stands still.
	AgeStalled
	// ExpireUnread expires sessions without reading first what their clients have sent.
	ExpireUnread
	// ExpireUnreported expires sessions that a learner may have heard from without its word.
	ExpireUnreported
	// VoteBlank lets a server vote that has lost its disk.
	VoteBlank
)

// spoilOptions makes its mistake with the options of a server.
func (s *sim) spoilOptions(o *replica.Options) {
	switch {
	case s.broken(AgeStalled):
		o.StepMillis = 1 << 40
	case s.broken(ExpireUnread):
		o.Settle = nil
	}
}

func (s *sim) broken(b Break) bool { return s.breakage == b }

// laxQuorum is a Verifier that can be made to accept any server.
type laxQuorum struct {
	quorum.Verifier
	lax func() bool
}

// IsQuorum implements [quorum.Verifier].
func (q laxQuorum) IsQuorum(in func(int64) bool) bool {
	return q.Verifier.IsQuorum(in) || q.lax() && slices.ContainsFunc(q.Voters(), in)
}

// voters returns the quorums as a server is told of them.
func (s *sim) voters(p *process) quorum.Verifier {
	if !s.broken(CommitWithoutQuorum) {
		return s.quorum
	}
	return laxQuorum{s.quorum, func() bool {
		if p.mem == nil {
			return false
		}
		st := p.mem.Status()
		return st.Role == zab.Leading && st.Phase == zab.Broadcast
	}}
}

// spoil makes its mistake with what is about to be written.
func (s *sim) spoil(orders []order) []order {
	var out []order
	for _, o := range orders {
		last := len(out) - 1
		if s.broken(EpochBeforeLog) && o.Kind == zab.WriteCurrentEpoch && last >= 0 {
			o.Seq, out[last].Seq = out[last].Seq, o.Seq
			out = slices.Insert(out, last, o)
			continue
		}
		out = append(out, o)
	}
	return out
}

// breakCopies returns how often a message between servers is sent.
func (s *sim) breakCopies(p *process, m *zab.Message) int {
	switch {
	case s.broken(RequestTwice) && m.Type == zab.Request && s.chance(0.02):
		return 2
	case s.broken(LoseAnswer) && (m.Type == zab.Sync || m.Type == zab.Revalidate && p.mem.Status().Role == zab.Leading) && s.chance(0.2):
		return 0
	case s.broken(SyncAtOnce) && m.Type == zab.Request && wire.Op(int32(binary.BigEndian.Uint32(m.Data[12:]))) == wire.OpSync: //nolint:gosec // bits
		p.receive(zab.Message{Type: zab.Sync, From: m.To, To: m.From, Conn: m.Conn})
		return 0
	case s.broken(ReportAll) && m.Type == zab.Ping && m.Data != nil:
		for _, id := range sortedKeys(p.tree.Sessions()) {
			m.Data = wire.AppendInt(wire.AppendLong(m.Data, id), 2000)
		}
	}
	return 1
}

// spoilOutput cuts what a client is sent into the pieces that arrive, and makes its
// mistake.
func (s *sim) spoilOutput(_ *attached, out []byte) [][]byte {
	if s.broken(EventAfterData) {
		out = swapEvents(out)
	}
	return s.pieces(out)
}

// pieces cuts bytes where a network might.
func (s *sim) pieces(b []byte) [][]byte {
	if len(b) > 1 && s.chance(s.plan.split) {
		n := 1 + s.rnd.IntN(len(b)-1)
		return [][]byte{b[:n], b[n:]}
	}
	return [][]byte{b}
}

// swapEvents lets each event change places with the packet behind it.
func swapEvents(out []byte) []byte {
	var list [][]byte
	frames(out, func(f []byte) { list = append(list, f) })
	for i := 0; i+1 < len(list); i++ {
		rd := wire.NewReader(list[i])
		if rd.Int() == wire.XidNotification && len(list[i]) > wire.ReplyHeaderBytes {
			list[i], list[i+1] = list[i+1], list[i]
			i++
		}
	}
	var b []byte
	for _, f := range list {
		b = append(wire.AppendInt(b, int32(len(f))), f...) //nolint:gosec // short
	}
	return b
}

// pongOutOfTurn answers a ping of a client that waits.
func (s *sim) pongOutOfTurn(a *attached) {
	if !s.broken(PongWithoutLeader) || a.p.mem.Serving() {
		return
	}
	frames(a.unfed, func(f []byte) {
		rd := wire.NewReader(f)
		var h wire.RequestHeader
		if h.Decode(&rd); h.Op == wire.OpPing && len(f) == wire.RequestHeaderBytes {
			pong := wire.ReplyHeader{Xid: wire.XidPing, Zxid: a.p.tree.LastZxid()}.Append(wire.AppendInt(nil, wire.ReplyHeaderBytes))
			a.p.s.leaving(a, pong)
			a.conn.down.put(piece{pong}, 0)
		}
	})
}
