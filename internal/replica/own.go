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
// lost. If the transaction is the session's and none of these, then the session has
// gone on at another server, and all of them are lost: sent to the next leader they
// would come after what the session has done since.
func (q *ownQueue) take(h *znode.TxnHeader) (w *ownWrite, lost []*ownWrite) {
	i := slices.IndexFunc(q.list, func(w *ownWrite) bool {
		return w.xid == h.Cxid && w.epoch != 0 &&
			(h.Type == wire.OpError || (w.op == wire.OpCloseSession) == (h.Type == wire.OpCloseSession))
	})
	if i < 0 {
		if h.Type != wire.OpCreateSession && h.Type != wire.OpCloseSession {
			lost, q.list = q.list, nil
		}
		return nil, lost
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

// ownerOf returns who waits for a transaction that is being applied.
func (r *Replica) ownerOf(h *znode.TxnHeader) owner {
	if !r.opt.Member {
		return r.inflight.take(h.Zxid)
	}
	w := r.offers[h.ClientID]
	if w != nil && h.Cxid == 0 {
		delete(r.offers, h.ClientID)
	} else {
		s := r.sessionOf(h.ClientID)
		if s == nil || len(s.own.list) == 0 {
			return owner{}
		}
		var lost []*ownWrite
		w, lost = s.own.take(h)
		for _, l := range lost {
			r.end(l.client)
		}
	}
	if w == nil {
		return owner{}
	}
	return w.owner
}
