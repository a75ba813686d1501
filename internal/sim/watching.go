package sim

import (
	"sort"
	"strings"

	"github.com/quorate/quorate/wire"
)

// kind is how something is watched: the lists of setWatches2, in its order.
type kind uint8

const (
	watchData kind = iota
	watchExist
	watchChild
	watchPersistent
	watchRecursive
	watchKinds
)

// watchSet is what a client watches: since which zxid. What has happened since must
// have been told before anything that is from after it.
type watchSet [watchKinds]map[string]int64

func (w *watchSet) add(k kind, path string, since int64) {
	if w[k] == nil {
		w[k] = map[string]int64{}
	}
	if _, ok := w[k][path]; !ok || k >= watchPersistent {
		w[k][path] = since
	}
}

func (w *watchSet) len() (n int) {
	for _, m := range w {
		n += len(m)
	}
	return n
}

// next returns the first event that a watch waits for, after since and not after z.
func (o *oracle) next(k kind, path string, since, z int64) *mevent {
	switch k {
	case watchChild:
		a, b := o.firstAfter(o.children[path], since, z), o.firstDeletion(path, since, z)
		if a == nil || b != nil && b.zxid < a.zxid {
			return b
		}
		return a
	case watchPersistent:
		a, b := o.firstAfter(o.children[path], since, z), o.firstAfter(o.changed[path], since, z)
		if a == nil || b != nil && b.zxid < a.zxid {
			return b
		}
		return a
	case watchRecursive:
		i := sort.Search(len(o.events), func(i int) bool { return o.events[i].zxid > since })
		for ; i < len(o.events) && o.events[i].zxid <= z; i++ {
			if concerns(k, path, &o.events[i]) {
				return &o.events[i]
			}
		}
		return nil
	default:
		return o.firstAfter(o.changed[path], since, z)
	}
}

func (o *oracle) firstDeletion(path string, since, z int64) *mevent {
	list := o.changed[path]
	i := sort.Search(len(list), func(i int) bool { return o.events[list[i]].zxid > since })
	for ; i < len(list) && o.events[list[i]].zxid <= z; i++ {
		if e := &o.events[list[i]]; e.typ == wire.EventNodeDeleted {
			return e
		}
	}
	return nil
}

// concerns reports whether a watch is one for an event.
func concerns(k kind, path string, e *mevent) bool {
	below := e.typ != wire.EventNodeChildrenChanged
	switch k {
	case watchData, watchExist:
		return e.path == path && below
	case watchChild:
		return e.path == path && (!below || e.typ == wire.EventNodeDeleted)
	case watchPersistent:
		return e.path == path
	default:
		return below && (e.path == path || path == "/" || strings.HasPrefix(e.path, path+"/"))
	}
}

// due: an answer from z comes after all events up to z.
func (w *watchSet) due(c *client, z int64) {
	if c.watches.len() == 0 || len(c.pending) > 0 && c.pending[0].op == wire.OpSetWatches2 {
		return
	}
	for k := range watchKinds {
		for path, since := range w[k] {
			if since >= z || since < 0 {
				continue
			}
			if e := c.s.oracle.next(k, path, since, z); e != nil {
				c.s.fault("watch: %s is answered from %s, and was not told of event %d of %s at %s, for which it watches %s since %s",
					c, short(z), e.typ, e.path, short(e.zxid), path, short(since))
				return
			}
			if k >= watchPersistent {
				w[k][path] = z
			}
		}
	}
}

// registered notes the watch that a read has left.
func (w *watchSet) registered(r *request, a *answer) {
	z := a.Zxid
	switch {
	case r.op == wire.OpAddWatch && r.flags == wire.AddWatchPersistent:
		w.add(watchPersistent, r.path, z)
	case r.op == wire.OpAddWatch:
		w.add(watchRecursive, r.path, z)
	case !r.watch:
	case r.op == wire.OpExists && a.Err == wire.ErrNoNode:
		w.add(watchExist, r.path, z)
	case a.Err != wire.OK:
	case r.op == wire.OpExists || r.op == wire.OpGetData:
		w.add(watchData, r.path, z)
	default:
		w.add(watchChild, r.path, z)
	}
}

// removed takes away the watches of a path.
func (w *watchSet) removed(c *client, r *request, a *answer) {
	had := false
	for k := range watchKinds {
		_, ok := w[k][r.path]
		had = had || ok
		delete(w[k], r.path)
	}
	if had != (a.Err == wire.OK) || !had && a.Err != wire.ErrNoWatcher {
		c.s.fault("%s removes its watches of %s: %v, it had some: %v", c, r.path, a.Err, had)
	}
}

// notified takes an event.
func (c *client) notified(a *answer) {
	s := c.s
	rd := wire.NewReader(a.body)
	var e wire.WatcherEvent
	e.Decode(&rd)
	if rd.Err() != nil {
		s.fault("%s: event: %v", c, rd.Err())
		return
	}
	path := string(e.Path)
	s.say("%s is told of event %d of %s at %s", c, e.Type, path, short(a.Zxid))
	s.result.Done["event"]++
	if len(c.pending) > 0 && c.pending[0].op == wire.OpSetWatches2 && a.Zxid == -1 {
		g := c.pending[0].again
		g.told = append(g.told, mevent{-1, e.Type, path})
		return
	}
	c.fired(mevent{a.Zxid, e.Type, path})
	c.job.event(c, path)
}

// fired: an event that is told has happened, is the first that a watch waits for, and
// there is such a watch.
func (c *client) fired(e mevent) {
	s, w := c.s, &c.watches
	found := false
	for k := range watchKinds {
		for path, since := range w[k] {
			if !concerns(k, path, &e) || since >= e.zxid && k < watchPersistent {
				continue
			}
			first := s.oracle.next(k, path, since, e.zxid)
			if k >= watchPersistent && since >= e.zxid {
				first = &e // the second of one transaction
			}
			if first == nil || first.zxid != e.zxid {
				s.fault("watch: %s is told of event %d of %s at %s, and watches %s since %s: the next would be %+v",
					c, e.typ, e.path, short(e.zxid), path, short(since), first)
				return
			}
			found = true
			if k < watchPersistent {
				delete(w[k], path)
			} else {
				w[k][path] = e.zxid
			}
		}
	}
	if !found {
		s.fault("watch: %s is told of event %d of %s at %s, and has no watch for it: %v", c, e.typ, e.path, short(e.zxid), *w)
	}
}

// rewatch is a setWatches under way.
type rewatch struct {
	since int64
	lists watchSet
	told  []mevent
}

func (g *rewatch) body() []byte {
	q := wire.SetWatchesRequest{RelativeZxid: g.since}
	for k := range watchKinds {
		for _, path := range sortedKeys(g.lists[k]) {
			q.Lists[k] = append(q.Lists[k], []byte(path))
		}
	}
	return q.Append(nil, wire.OpSetWatches2)
}

// watchAgain registers the watches on a new connection.
func (c *client) watchAgain() {
	if c.watches.len() == 0 {
		return
	}
	g := &rewatch{since: c.seen, lists: c.watches}
	c.watches = watchSet{}
	c.send(&request{xid: wire.XidSetWatches, op: wire.OpSetWatches2, again: g})
}

// unwatch takes back the watches that were to be registered when the connection was
// lost.
func (c *client) unwatch() {
	for _, r := range c.pending {
		if r.again == nil {
			continue
		}
		for k := range watchKinds {
			for path, since := range r.again.lists[k] {
				c.watches.add(k, path, since)
			}
		}
	}
}

// watchedAgain: what was missed has been told, by the rules of DataTree.setWatches,
// and what was not missed is watched again.
func (c *client) watchedAgain(r *request, z int64) {
	s, g := c.s, r.again
	for k := range watchKinds {
		for _, path := range sortedKeys(g.lists[k]) {
			typ := missed(k, s.oracle.at(path, z), g.since)
			if typ == 0 {
				c.watches.add(k, path, z)
				continue
			}
			if len(g.told) == 0 || g.told[0].typ != typ || g.told[0].path != path {
				s.fault("watch: %s has missed event %d of %s since %s, and was told %+v", c, typ, path, short(g.since), g.told)
				return
			}
			g.told = g.told[1:]
			c.job.event(c, path)
		}
	}
	if len(g.told) != 0 {
		s.fault("watch: %s is told of %+v, which it has not missed", c, g.told)
	}
}

// missed returns the event that a watch has missed, 0 if none.
func missed(k kind, st mstate, since int64) wire.EventType {
	switch {
	case k >= watchPersistent:
	case k == watchExist && st.live:
		return wire.EventNodeCreated
	case k == watchExist:
	case !st.live:
		return wire.EventNodeDeleted
	case k == watchData && st.stat.Mzxid > since:
		return wire.EventNodeDataChanged
	case k == watchChild && st.stat.Pzxid > since:
		return wire.EventNodeChildrenChanged
	}
	return 0
}
