package replica

import "github.com/quorate/quorate/session"

// A session must not expire before the server has read what its client has sent in time.
// It waits in the socket while whoever reads sockets has no processor, or has just been
// woken with all others after the whole process was stopped; and while the server has
// chosen not to read. So what is due is settled first: everything that clients have sent
// by then is read.

// settling is on the way to an expiry.
type settling struct {
	asked int64       // when it was asked for, by Replica.age
	done  func() bool // whether all is read that had come by then; nil: not asked
}

// until returns the time up to which sessions of tr may expire. ok is false when none are
// due, or when what their clients sent may not be read yet: the next Tick knows more.
func (q *settling) until(tr *session.Tracker, now int64, settle func() func() bool) (until int64, ok bool) {
	if q.done == nil {
		if deadline, waits := tr.NextDeadline(); !waits || deadline > now {
			return 0, false
		}
		if settle == nil {
			return now, true
		}
		q.asked, q.done = now, settle()
	}
	if !q.done() {
		return 0, false
	}
	q.done = nil
	return q.asked, true
}

// lastHeard is when the session last renewed itself. A client that the server does not
// listen to for reasons of its own has done so now.
func (s *Session) lastHeard(now int64) int64 {
	if s.client != nil && s.client.unheard() {
		return now
	}
	return s.heard.Load()
}

// unheard reports whether what the client sends is left where it is because of the server:
// it has no leader, or has still to carry out what the client asked for before. A client
// that does not take its answers has only itself to blame.
func (c *Client) unheard() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.busy || c.held || c.behind || c.paused && len(c.out) < c.r.opt.OutBytes
}

// listenAgain counts a client that was not listened to as heard, now that it is: it may
// be gone before what it has sent is read. c is locked; loop only.
func (c *Client) listenAgain() {
	if c.session != nil {
		c.session.heard.Store(c.r.age.At(c.r.now))
	}
}
