package replica

import (
	"slices"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/znode"
)

// noOwner says that no server has shown itself to have a session.
const noOwner = -1 << 63

// ownWrite is a write of one of a Member's clients, from the time it is sent to
// the leader until its transaction is applied here. It keeps the request: when
// the leader is lost, and the next one has shown that the write is not part of
// the history, it is sent again.
type ownWrite struct {
	owner
	session int64
	// data is the request as it travels: session, xid, operation, body.
	data []byte
	ids  []wire.ID
	// epoch is that of the leader it was sent to; 0 says it was sent to none.
	epoch int64
}

// body returns the request's record.
func (w *ownWrite) body() []byte { return w.data[requestHead:] }

// ownQueue is the writes of one session in the order they were received. Its zero
// value is empty.
type ownQueue struct{ list []*ownWrite }

func (q *ownQueue) push(w *ownWrite) { q.list = append(q.list, w) }

// take removes and returns the write that became the transaction of h, nil if it is
// another server's or the leader's own. Writes of one session become transactions
// in their order, so those before it will not become any: they are returned as
// lost.
func (q *ownQueue) take(h *znode.TxnHeader) (w *ownWrite, lost []*ownWrite) {
	i := slices.IndexFunc(q.list, func(w *ownWrite) bool {
		return w.xid == h.Cxid && w.epoch != 0 &&
			(h.Type == wire.OpError || (w.op == wire.OpCloseSession) == (h.Type == wire.OpCloseSession))
	})
	if i < 0 {
		return nil, nil
	}
	w, lost = q.list[i], q.list[:i]
	if q.list = q.list[i+1:]; len(q.list) == 0 {
		q.list = nil
	}
	return w, lost
}

// forget drops a write that nobody waits for and that has not been sent.
func (r *Replica) forget(w *ownWrite) {
	if r.offers[w.session] == w {
		delete(r.offers, w.session)
		return
	}
	if s := r.sessionOf(w.session); s != nil {
		s.own.list = slices.DeleteFunc(s.own.list, func(x *ownWrite) bool { return x == w })
	}
}

// ownerOf returns who waits for a transaction that is being applied, with that result.
func (r *Replica) ownerOf(h *znode.TxnHeader, res *znode.Result) owner {
	if !r.opt.Member {
		return r.inflight.take(h.Zxid)
	}
	if w := r.offers[h.ClientID]; w != nil && h.Cxid == 0 {
		delete(r.offers, h.ClientID)
		return w.owner
	}
	s := r.sessionOf(h.ClientID)
	if s == nil {
		return owner{}
	}
	w, lost := s.own.take(h)
	if w == nil {
		if elsewhere(h, res) {
			r.leave(s)
		}
		return owner{}
	}
	for _, l := range lost {
		r.end(l.client)
	}
	return w.owner
}

// elsewhere reports whether a transaction that is none of a session's writes here shows
// that the session has gone on at another server. The end of a session says nothing of
// that, nor does a write that was refused because the session has moved: it is from
// where it was before. But the leader says with just such a refusal of no request that
// a session has moved; see Member.move.
func elsewhere(h *znode.TxnHeader, res *znode.Result) bool {
	if h.Type == wire.OpCreateSession || h.Type == wire.OpCloseSession {
		return false
	}
	return h.Cxid == movedCxid || !refusedAsMoved(res)
}

// refusedAsMoved reports whether a write was refused because its session is another
// server's.
func refusedAsMoved(res *znode.Result) bool {
	return res.Code == wire.ErrSessionMoved ||
		slices.ContainsFunc(res.Sub, func(s znode.Result) bool { return s.Code == wire.ErrSessionMoved })
}

// leave closes the connection of a session that has gone elsewhere. What it asked for
// here and is not done never will be: sent to the next leader it would come after what
// the session has done since.
func (r *Replica) leave(s *Session) {
	for _, w := range s.own.list {
		if w.client != nil {
			r.end(w.client)
		}
	}
	s.own = ownQueue{}
	if s.client != nil {
		r.end(s.client)
	}
}
