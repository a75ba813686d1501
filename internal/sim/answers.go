package sim

import (
	"slices"

	"github.com/quorate/quorate/wire"
)

// This file compares every answer with the committed history: the header of an answer
// names the transaction after which it is true.

// answer takes a packet of an established session.
func (c *client) answer(f []byte) {
	s := c.s
	rd := wire.NewReader(f)
	var a answer
	a.Decode(&rd)
	a.body = rd.Remaining()
	if rd.Err() != nil {
		s.fault("%s: %v", c, rd.Err())
		return
	}
	s.mix(int64(a.Xid), a.Zxid, int64(a.Err))
	if a.Xid == wire.XidNotification {
		c.notified(&a)
		return
	}
	if len(c.pending) == 0 || c.pending[0].xid != a.Xid {
		s.fault("session order: %s is answered %d, and waits for %s", c, a.Xid, c.waiting())
		return
	}
	r := c.pending[0]
	c.pending = c.pending[1:]
	if err := decodeAnswer(&a, r); err != nil {
		s.fault("%s: the answer to %s: %v", c, r, err)
		return
	}
	if s.telling() {
		s.say("%s is answered %s: %v at %s %s %s %v", c, r, a.Err, short(a.Zxid), a.path, a.data, a.kids)
	}
	s.result.Answers++
	c.check(r, &a)
	if s.stopped {
		return
	}
	if s.calm && r.op != wire.OpPing {
		c.calmDone++
	}
	if r.done != nil {
		r.done(c, &a)
	}
}

func decodeAnswer(a *answer, r *request) error {
	if a.Err != wire.OK {
		return nil //nolint:nilerr // an answer that says no has no body
	}
	return a.decode(r.op)
}

// check compares an answer with the history.
func (c *client) check(r *request, a *answer) {
	s := c.s
	z := a.Zxid
	if z < c.seen {
		s.fault("backwards: %s is answered %s from %s, and has seen %s", c, r, short(z), short(c.seen))
	}
	c.seen = max(c.seen, z)
	if r.op != wire.OpPing && z < max(r.need, c.floor) {
		s.fault("linearizability: %s is answered %s from %s, after a sync that was asked for at %s",
			c, r, short(z), short(max(r.need, c.floor)))
	}
	if c.readOnly && (r.op.IsWrite() || r.op == wire.OpSync) {
		if a.Err != wire.ErrNotReadOnly {
			s.fault("%s is answered %s: %v by a server that is read-only", c, r, a.Err)
		}
		return
	}
	if r.op == wire.OpSync && a.Err == wire.OK {
		c.floor = max(c.floor, r.last)
		if z < r.last {
			s.fault("linearizability: the sync of %s is answered at %s, and was asked for at %s", c, short(z), short(r.last))
		}
	}
	c.watches.due(c, z)
	switch {
	case r.op == wire.OpSetWatches2:
		c.watchedAgain(r, z)
	case r.op.IsWrite():
		c.checkWrite(r, a)
	case r.op != wire.OpPing && r.op != wire.OpSync:
		c.checkRead(r, a)
	}
}

// checkRead: what was read is the state after the zxid of the answer.
func (c *client) checkRead(r *request, a *answer) {
	s, z := c.s, a.Zxid
	st := s.oracle.at(r.path, z)
	wrong := false
	switch r.op { //nolint:exhaustive // the other reads tell nothing of the tree
	case wire.OpGetData:
		wrong = st.live != (a.Err == wire.OK) || st.live && (a.data != st.data || a.stat != st.stat)
	case wire.OpExists:
		wrong = st.live != (a.Err == wire.OK) || st.live && a.stat != st.stat
	case wire.OpGetChildren, wire.OpGetChildren2:
		slices.Sort(a.kids)
		wrong = st.live != (a.Err == wire.OK) || st.live && (!slices.Equal(a.kids, s.oracle.kidsAt(r.path, z)) ||
			r.op == wire.OpGetChildren2 && a.stat != st.stat)
	case wire.OpAddWatch:
		wrong = a.Err != wire.OK
	case wire.OpRemoveWatches:
		c.watches.removed(c, r, a)
		return
	}
	if wrong || a.Err != wire.OK && a.Err != wire.ErrNoNode {
		s.fault("read: %s is answered %s: %v %q %+v %v at %s; it is %+v %v", c, r, a.Err, a.data, a.stat, a.kids, short(z),
			st, s.oracle.kidsAt(r.path, z))
		return
	}
	c.watches.registered(r, a)
}

// checkWrite: a write that is answered is committed, by the zxid of the answer, as it
// was asked for.
func (c *client) checkWrite(r *request, a *answer) {
	s, z := c.s, a.Zxid
	if r.op == wire.OpCloseSession && s.oracle.local(c.session) && a.Err == wire.OK {
		return // nobody else knew of it
	}
	t := s.oracle.commit(z)
	if t == nil || t.header.ClientID != c.session || t.header.Cxid != r.xid {
		s.fault("lost: %s is answered %s: %v at %s, which is no such transaction", c, r, a.Err, short(z))
		return
	}
	if r.op == wire.OpMulti {
		c.checkMulti(r, a)
		return
	}
	if a.Err != wire.OK {
		if t.header.Type != wire.OpError || t.code != a.Err {
			s.fault("%s is answered %s: %v, but %s is %v %v", c, r, a.Err, short(z), t.header.Type, t.code)
		}
		c.checkRefusal(r, a.Err, z)
		return
	}
	if t.header.Type == wire.OpError {
		s.fault("%s is answered %s as done, but %s is an error", c, r, short(z))
		return
	}
	c.checkDone(r, a, z)
}

// before is the state that a write found.
func (c *client) before(path string, z int64) mstate { return c.s.oracle.at(path, z-1) }

// checkRefusal: a write is refused for a reason that is true.
func (c *client) checkRefusal(r *request, code wire.Code, z int64) {
	st := c.before(r.path, z)
	truth := false
	switch code { //nolint:exhaustive // nothing else may be answered
	case wire.ErrNoNode:
		truth = !st.live
		if r.op == wire.OpCreate || r.op == wire.OpCreateContainer || r.op == wire.OpCreateTTL || r.op == wire.OpCreate2 {
			parent, _ := parentOf(r.path)
			truth = !c.before(parent, z).live
		}
	case wire.ErrNodeExists:
		truth = st.live
	case wire.ErrBadVersion:
		truth = st.live && r.version != -1 && st.stat.Version != r.version
	case wire.ErrNotEmpty:
		truth = st.live && st.stat.NumChildren > 0
	case wire.ErrSessionExpired:
		truth = !c.s.oracle.alive(c.session, z)
	case wire.ErrEphemeralOnLocalSession:
		truth = c.s.plan.replica.LocalSessions && !c.s.oracle.alive(c.session, z) && r.ephemeral()
	}
	if !truth {
		c.s.fault("%s is refused %s: %v at %s, it was %+v", c, r, code, short(z), st)
	}
}

// checkDone: a write was done as it was asked for.
func (c *client) checkDone(r *request, a *answer, z int64) {
	s := c.s
	path := r.path
	switch r.op { //nolint:exhaustive // the others are not sent
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		if r.flags == wire.FlagPersistentSequential || r.flags == wire.FlagEphemeralSequential {
			if len(a.path) != len(path)+10 || a.path[:len(path)] != path {
				s.fault("%s creates %s and is told of %s", c, path, a.path)
			}
			path = a.path
		}
		if a.path != path {
			s.fault("%s creates %s and is told of %s", c, path, a.path)
		}
		st := s.oracle.at(path, z)
		if !st.live || st.stat.Czxid != z || st.data != r.data {
			s.fault("%s is answered %s at %s, it is %+v", c, r, short(z), st)
		}
		if eph := r.flags == wire.FlagEphemeral || r.flags == wire.FlagEphemeralSequential; eph != (st.stat.EphemeralOwner == c.session) {
			s.fault("%s is answered %s at %s, the owner is %x", c, r, short(z), st.stat.EphemeralOwner)
		}
	case wire.OpSetData:
		st := s.oracle.at(path, z)
		if !st.live || st.stat.Mzxid != z || st.data != r.data || a.stat != st.stat {
			s.fault("%s is answered %s at %s %+v, it is %+v", c, r, short(z), a.stat, st)
		}
		if r.version != -1 && c.before(path, z).stat.Version != r.version {
			s.fault("%s is answered %s at %s, the version was %d", c, r, short(z), c.before(path, z).stat.Version)
		}
	case wire.OpDelete:
		if st := c.before(path, z); !st.live || s.oracle.at(path, z).live || r.version != -1 && st.stat.Version != r.version {
			s.fault("%s is answered %s at %s, it was %+v", c, r, short(z), st)
		}
	case wire.OpCloseSession:
		if s.oracle.alive(c.session, z) {
			s.fault("%s has closed session %x at %s, and it is open", c, c.session, short(z))
		}
	}
}

// checkMulti: all of it was done, or nothing, and the first that failed failed for a
// reason that is true. The paths of one multi are all different.
func (c *client) checkMulti(r *request, a *answer) {
	s, z := c.s, a.Zxid
	if a.Err == wire.ErrSessionExpired || a.Err == wire.ErrEphemeralOnLocalSession {
		c.checkRefusal(r, a.Err, z)
		return
	}
	if a.Err != wire.OK {
		s.fault("%s is answered %s: %v", c, r, a.Err)
		return
	}
	results, ok := decodeMulti(a.body)
	if !ok || len(results) != len(r.subs) {
		s.fault("%s is answered %s with %d results", c, r, len(results))
		return
	}
	failed := slices.IndexFunc(results, func(m multiResult) bool { return m.op == wire.OpError && m.code != wire.OK })
	for i := range r.subs {
		q, m := &r.subs[i], &results[i]
		switch {
		case failed < 0 && m.op == wire.OpError:
			s.fault("%s is answered %s: result %d is an error", c, r, i)
		case failed < 0 && q.op == wire.OpCheck:
			if st := c.before(q.path, z); !st.live || q.version != -1 && st.stat.Version != q.version {
				s.fault("%s is answered %s at %s, %s was %+v", c, r, short(z), q.path, st)
			}
		case failed < 0:
			m.Zxid = z
			c.checkDone(q, &m.answer, z)
		case i == failed:
			c.checkRefusal(q, m.code, z)
		case s.oracle.at(q.path, z).zxid == z:
			s.fault("%s is answered %s as failed at %s, but %s has changed", c, r, short(z), q.path)
		}
	}
	if r.done != nil && failed >= 0 {
		a.Err = results[failed].code // for the job
	}
}

// multiResult is the result of one operation.
type multiResult struct {
	answer
	op   wire.Op
	code wire.Code
}

func decodeMulti(body []byte) (out []multiResult, ok bool) {
	rd := wire.NewReader(body)
	for {
		var h wire.MultiHeader
		h.Decode(&rd)
		if h.Done || rd.Err() != nil {
			return out, rd.Err() == nil
		}
		m := multiResult{op: h.Op}
		switch h.Op { //nolint:exhaustive // the others have no body
		case wire.OpError:
			m.code = wire.Code(rd.Int())
		case wire.OpCreate:
			m.path = rd.String()
		case wire.OpCreate2:
			m.path = rd.String()
			m.stat.Decode(&rd)
		case wire.OpSetData:
			m.stat.Decode(&rd)
		}
		out = append(out, m)
	}
}
