package sim

import (
	"fmt"
	"slices"
	"strings"

	"github.com/quorate/quorate/wire"
)

// lockJob is the lock recipe: an ephemeral sequential znode, of which the lowest holds
// the lock, each other waiting for the one before it. Who holds it writes a fence,
// together with a check that its znode is there.
type lockJob struct {
	stage lockStage
	mine  string // path of the znode
}

type lockStage uint8

const (
	lockIdle lockStage = iota
	lockAsking
	lockWaiting
	lockHeld
	lockUnknown // the connection was lost while something was under way
)

// hold is the lock as somebody got it.
type hold struct {
	path string
	zxid int64
}

func (l *lockJob) prefix(c *client) string { return fmt.Sprintf("c%d.%x-", c.n, c.session) }

// step goes on with whatever is next.
func (l *lockJob) step(c *client) {
	switch l.stage {
	case lockIdle:
		l.stage = lockAsking
		c.request(&request{
			op: wire.OpCreate, path: lockPath + "/" + l.prefix(c), flags: wire.FlagEphemeralSequential,
			done: func(c *client, a *answer) {
				l.stage = lockIdle
				if a.Err == wire.OK {
					l.mine = a.path
					l.list(c)
				}
			},
		})
	case lockHeld:
		if c.s.chance(0.5) {
			c.request(&request{op: wire.OpMulti, subs: []request{
				{op: wire.OpCheck, path: l.mine, version: -1},
				{op: wire.OpSetData, path: fencePath, data: l.mine, version: -1},
			}})
			return
		}
		l.stage = lockAsking
		c.request(&request{op: wire.OpDelete, path: l.mine, version: -1, done: func(*client, *answer) { l.stage = lockIdle }})
	case lockWaiting:
		l.list(c) // again, now and then
	case lockUnknown:
		l.list(c)
	case lockAsking:
	}
}

// list looks whose turn it is.
func (l *lockJob) list(c *client) {
	if c.state != clientConnected || c.job.closing {
		return
	}
	l.stage = lockAsking
	c.request(&request{op: wire.OpGetChildren, path: lockPath, done: l.listed})
}

func (l *lockJob) listed(c *client, a *answer) {
	l.stage = lockIdle
	if a.Err != wire.OK {
		return
	}
	queue := a.kids
	slices.SortFunc(queue, func(a, b string) int { return strings.Compare(turn(a), turn(b)) })
	i := slices.IndexFunc(queue, func(n string) bool { return strings.HasPrefix(n, l.prefix(c)) })
	if i < 0 {
		return // it is gone, or was never made
	}
	l.mine = lockPath + "/" + queue[i]
	if i == 0 {
		l.stage = lockHeld
		c.s.locked(c, l.mine, a.Zxid)
		return
	}
	l.stage = lockWaiting
	c.request(&request{op: wire.OpExists, path: lockPath + "/" + queue[i-1], watch: true, done: func(c *client, a *answer) {
		if a.Err != wire.OK && l.stage == lockWaiting {
			l.list(c)
		}
	}})
}

// event: the one before is gone.
func (l *lockJob) event(c *client, path string) {
	if l.stage == lockWaiting && strings.HasPrefix(path, lockPath+"/") {
		l.list(c)
	}
}

// interrupt: whatever was asked may have been done.
func (l *lockJob) interrupt() {
	if l.stage != lockIdle {
		l.stage = lockUnknown
	}
}

// recover finds out.
func (l *lockJob) recover(c *client) {
	if l.stage == lockUnknown {
		l.list(c)
	}
}

// locked: nobody else has the lock. Whoever got it before has lost its znode.
func (s *sim) locked(c *client, path string, z int64) {
	s.result.Done["locked"]++
	for _, h := range s.locks {
		if h.path != path && s.oracle.at(h.path, max(z, h.zxid)).live && s.oracle.at(path, max(z, h.zxid)).live {
			s.fault("lock: %s holds it with %s at %s, and so does %s since %s", c, path, short(z), h.path, short(h.zxid))
			return
		}
	}
	s.locks = append(s.locks, hold{path, z})
}
