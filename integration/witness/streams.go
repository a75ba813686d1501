package witness

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/integration/history"
	"github.com/quorate/quorate/wire"
)

// stream is a sequence of changes below one znode, made by one client. Each
// change is one transaction with one of the root's data, whose version thus
// counts the changes, and whose expected version lets a change that was not
// answered be tried again without happening twice.
type stream struct {
	root string
	made int // acknowledged to the maker; read when it has stopped
}

// change names the nth change, and returns what makes it.
func (s *stream) change(n int) (name string, request any) {
	node := fmt.Sprintf("n%d", n/3)
	path := s.root + "/" + node
	switch n % 3 {
	case 0:
		return "created " + node, &zk.CreateRequest{Path: path, Acl: open}
	case 1:
		return "changed " + node, &zk.SetDataRequest{Path: path, Data: []byte("x"), Version: 0}
	default:
		return "deleted " + node, &zk.DeleteRequest{Path: path, Version: 1}
	}
}

// names returns the names of the first n changes.
func (s *stream) names(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i], _ = s.change(i)
	}
	return all
}

// makeStream makes changes until ctx ends.
func (c *Crowd) makeStream(ctx context.Context, client *Client, random *rand.Rand) {
	s := &c.stream
	for tries := 0; client.AwaitSession(ctx); tries++ {
		name, request := s.change(s.made)
		_, err := client.Multi(&zk.SetDataRequest{Path: s.root, Data: []byte(name), Version: int32(s.made)}, request)
		switch {
		case err == nil, errors.Is(err, zk.ErrBadVersion) && tries > 0: // an earlier try did it
			s.made, tries = s.made+1, -1
		case refused(err) && !errors.Is(err, zk.ErrSessionMoved):
			c.fault("change %d of the stream, %s: %v", s.made, name, err)
			return
		}
		if !pause(ctx, time.Duration(random.Int64N(int64(4*c.plan.Think)+1))) {
			return
		}
	}
}

// follower is a client with a persistent recursive watch on the stream's root.
// go-zookeeper has no such watch, so it speaks the protocol itself: one
// connection at a time, to any server, and the watch left again on each
// (setWatches2) as a stock client does.
type follower struct {
	id          int
	crowd       *Crowd
	random      *rand.Rand
	session     *integration.Session // nil: not connected
	known       integration.ConnectOptions
	connections [][]history.StreamStep
}

// follow follows the stream until ctx ends.
func (f *follower) follow(ctx context.Context) {
	for ctx.Err() == nil {
		if f.look(false) != nil && !pause(ctx, 20*time.Millisecond) {
			return
		}
		if !pause(ctx, time.Duration(f.random.Int64N(int64(4*f.crowd.plan.Think)+1))) {
			return
		}
	}
}

// connect finds a server for the session, or for a new one, and leaves the watch.
func (f *follower) connect() error {
	patience := f.crowd.plan.SessionTimeout / 3
	socket, err := net.DialTimeout("tcp", f.crowd.plan.Addrs[f.random.IntN(len(f.crowd.plan.Addrs))], patience)
	if err != nil {
		return err
	}
	f.known.TimeoutMs = int32(f.crowd.plan.SessionTimeout.Milliseconds())
	s, err := integration.Handshake(&integration.Conn{Conn: socket, Patience: patience}, f.known)
	if err != nil {
		socket.Close()
		if errors.Is(err, integration.ErrSessionInvalid) {
			f.known.SessionID, f.known.Passwd = 0, nil
			f.crowd.expired.Add(1)
		}
		return err
	}
	op, body := wire.OpAddWatch, wire.AppendInt(wire.AppendString(nil, f.crowd.stream.root), wire.AddWatchPersistentRecursive)
	if f.known.SessionID != 0 {
		again := wire.SetWatchesRequest{RelativeZxid: f.known.LastZxidSeen}
		again.Lists[4] = [][]byte{[]byte(f.crowd.stream.root)}
		op, body = wire.OpSetWatches2, again.Append(nil, wire.OpSetWatches2)
	}
	f.session, f.known.SessionID, f.known.Passwd = s, s.ID, s.Passwd
	f.connections = append(f.connections, nil)
	_, err = f.call(op, body)
	return err
}

// call sends a request and writes down the events before its answer. The
// connection ends with an error.
func (f *follower) call(op wire.Op, body []byte) (integration.Reply, error) {
	rep, events, err := f.session.Call(op, body)
	for _, e := range events {
		f.note(e)
	}
	if err == nil && rep.Err != wire.OK {
		err = rep.Err
	}
	if err != nil {
		f.session.Drop()
		f.session = nil
		return rep, err
	}
	f.known.LastZxidSeen = max(f.known.LastZxidSeen, rep.Zxid)
	return rep, nil
}

var eventNames = map[wire.EventType]string{
	wire.EventNodeCreated: "created", wire.EventNodeDeleted: "deleted", wire.EventNodeDataChanged: "changed",
}

// note writes down an event. Those of the root itself, one beside each change,
// do not count.
func (f *follower) note(rep integration.Reply) {
	e, err := rep.Event()
	if err == nil && string(e.Path) == f.crowd.stream.root && e.Type == wire.EventNodeDataChanged {
		return
	}
	what, known := eventNames[e.Type]
	if !known || err != nil {
		what = fmt.Sprintf("event %d, %v,", e.Type, err)
	}
	f.add(history.StreamStep{Event: what + " " + strings.TrimPrefix(string(e.Path), f.crowd.stream.root+"/")})
}

func (f *follower) add(s history.StreamStep) {
	last := &f.connections[len(f.connections)-1]
	*last = append(*last, s)
}

// look reads how many changes there were, behind a sync if asked for.
func (f *follower) look(synced bool) error {
	if f.session == nil {
		if err := f.connect(); err != nil {
			return err
		}
	}
	if synced {
		if _, err := f.call(wire.OpSync, wire.AppendString(nil, f.crowd.stream.root)); err != nil {
			return err
		}
	}
	rep, err := f.call(wire.OpExists, wire.PathWatch{Path: []byte(f.crowd.stream.root)}.Append(nil))
	if err != nil {
		return err
	}
	var st wire.Stat
	r := wire.NewReader(rep.Body)
	st.Decode(&r)
	if r.Err() != nil {
		return r.Err()
	}
	f.add(history.StreamStep{Shown: int(st.Version)})
	return nil
}

// judgeStream lets each follower see the end of the stream and checks what it
// was shown.
func (c *Crowd) judgeStream(ctx context.Context) error {
	var errs []error
	for _, f := range c.followers {
		errs = append(errs, f.judge(ctx))
	}
	return errors.Join(errs...)
}

func (f *follower) judge(ctx context.Context) error {
	s := &f.crowd.stream
	in := func(err error) error {
		if err != nil {
			err = fmt.Errorf("client %d following %s: %w", f.id, s.root, err)
		}
		return err
	}
	for err := f.look(true); err != nil; err = f.look(true) {
		if !pause(ctx, 20*time.Millisecond) {
			return in(err)
		}
	}
	defer f.leave()
	last := f.connections[len(f.connections)-1]
	end := last[len(last)-1].Shown
	if err := history.Counted(end, s.made, 1); err != nil { // the maker may have stopped before an answer
		return in(err)
	}
	return in(history.Resumed(f.connections, s.names(end), true))
}

// leave ends the session as far as a server can be reached.
func (f *follower) leave() {
	if f.session != nil {
		_ = f.session.Close()
		f.session = nil
	}
}

// events counts what came.
func (f *follower) events() (n int) {
	for _, steps := range f.connections {
		for _, s := range steps {
			if s.Event != "" {
				n++
			}
		}
	}
	return n
}

// newFollower makes a client with the given id; it connects when it follows.
func (c *Crowd) newFollower(id int) *follower {
	return &follower{id: id, crowd: c, random: c.random(id)}
}
