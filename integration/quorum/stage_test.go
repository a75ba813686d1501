//go:build linux

package quorum

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/integration/ensemble"
	"github.com/quorate/quorate/wire"
)

func TestMain(m *testing.M) {
	code := m.Run()
	integration.RemoveBuild()
	os.Exit(code)
}

const (
	debian  = integration.ZooKeeper38
	quorate = integration.Quorate
)

// cast is who plays: an ensemble, by the name that tags give it.
type cast struct {
	name string
	spec ensemble.Spec
}

// row is one feature.
type row struct {
	name string // as the table of features has it
	// calm rows disturb no server and are played at once with their neighbours.
	calm bool
	// only names the casts that play the row; none: all of them.
	only []string
	play func(s *scene)
	// want is what is to be seen, a line each. A line "[name] text" is for one
	// cast only, a line "or: text" may stand instead of the one before it; a line
	// that begins with # says why.
	want string
}

// play shows the rows, in order, on every cast at the same time.
func play(t *testing.T, casts []cast, rows []row) {
	t.Helper()
	var all sync.WaitGroup
	for _, c := range casts {
		all.Go(func() {
			t.Run(c.name, func(t *testing.T) {
				e := ensemble.ForTest(t, c.spec)
				playOn(t, c, e, rows)
			})
		})
	}
	all.Wait()
}

// playOn shows the rows on one ensemble.
func playOn(t *testing.T, c cast, e *ensemble.Ensemble, rows []row) {
	rows = slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return r.only != nil && !slices.Contains(r.only, c.name) })
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[0].calm && rows[n].calm {
			n++
		}
		began := time.Now()
		if err := calmDown(e); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > time.Second {
			t.Logf("before %q the members took %v to serve", rows[0].name, took)
		}
		var all sync.WaitGroup
		for _, r := range rows[:n] {
			all.Go(func() { t.Run(r.name, func(t *testing.T) { r.on(t, c, e) }) })
		}
		all.Wait()
		rows = rows[n:]
	}
}

// calmDown lets all members run and follow one leader, whatever the last row
// has left.
func calmDown(e *ensemble.Ensemble) error {
	for _, m := range e.Members {
		if m.Running() {
			if err := m.Resume(); err != nil {
				return err
			}
		}
	}
	return e.Start()
}

// on plays the row and compares what was seen.
func (r *row) on(t *testing.T, c cast, e *ensemble.Ensemble) {
	s := &scene{T: t, cast: c, e: e, root: "/" + slug(r.name)}
	s.must(func() error {
		d := s.connect(e.Member(1))
		defer d.leave()
		_, err := d.Create(s.root, nil, 0)
		return err
	}())
	r.play(s)
	if t.Failed() {
		return
	}
	if want := r.wanted(c.name); !slices.EqualFunc(want, s.seen, slices.Contains) {
		t.Errorf("seen:\n  %s\nwanted:\n  %s", strings.Join(s.seen, "\n  "), strings.TrimSpace(r.want))
	}
}

// wanted returns what a cast must show: for each line the texts that are right.
func (r *row) wanted(name string) [][]string {
	var out [][]string
	for l := range strings.Lines(r.want) {
		l = strings.TrimSpace(l)
		tag, text, tagged := strings.Cut(strings.TrimPrefix(l, "["), "] ")
		other, isOther := strings.CutPrefix(l, "or: ")
		switch {
		case l == "" || l[0] == '#':
		case isOther && len(out) > 0:
			out[len(out)-1] = append(out[len(out)-1], other)
		case !tagged || l[0] != '[':
			out = append(out, []string{l})
		case tag == name:
			out = append(out, []string{text})
		}
	}
	return out
}

// slug makes a name that a path can have.
func slug(name string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, strings.ToLower(name))
}

// scene is a row being played.
type scene struct {
	*testing.T
	cast cast
	e    *ensemble.Ensemble
	root string // a znode that only this row uses

	mu   sync.Mutex
	seen []string
}

// see notes what a client was shown.
func (s *scene) see(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, fmt.Sprintf(format, args...))
}

func (s *scene) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// leader returns the member that leads.
func (s *scene) leader() *ensemble.Member {
	s.Helper()
	m, err := s.e.AwaitLeader()
	s.must(err)
	return m
}

// letLead kills leaders until one of the given kind leads, starts them again and
// returns it.
func (s *scene) letLead(k ensemble.Kind) *ensemble.Member {
	s.Helper()
	for range s.e.Members {
		leader := s.leader()
		if leader.Kind() == k {
			s.must(s.e.Start())
			return leader
		}
		leader.Kill()
		s.serves(s.followers()...)
	}
	s.Fatalf("nobody of the kind %s leads", k)
	return nil
}

// followers returns the voters that run and do not lead.
func (s *scene) followers() []*ensemble.Member {
	s.Helper()
	leader := s.leader()
	return slices.DeleteFunc(slices.Clone(s.e.Members), func(m *ensemble.Member) bool {
		return m == leader || m.Observer || !m.Responsive()
	})
}

// observer returns the first observer.
func (s *scene) observer() *ensemble.Member {
	s.Helper()
	i := slices.IndexFunc(s.e.Members, func(m *ensemble.Member) bool { return m.Observer })
	if i < 0 {
		s.Fatal("the ensemble has no observer")
	}
	return s.e.Members[i]
}

// serves waits until a member serves, following a leader.
func (s *scene) serves(all ...*ensemble.Member) {
	s.Helper()
	for _, m := range all {
		s.must(m.AwaitSynced())
	}
}

// client is a session on one connection.
type client struct {
	*integration.Session
	s *scene
}

// connect makes a session on a member, which must serve.
func (s *scene) connect(m *ensemble.Member) *client {
	s.Helper()
	return s.connectWith(m, integration.ConnectOptions{})
}

func (s *scene) connectWith(m *ensemble.Member, o integration.ConnectOptions) *client {
	s.Helper()
	sess, err := integration.Connect(m.Addr(), o)
	if err != nil {
		s.Fatalf("connect to member %v: %v", m, err)
	}
	return s.hold(sess)
}

// hold ends the session with the row, so that it does not expire in another.
func (s *scene) hold(sess *integration.Session) *client {
	c := &client{Session: sess, s: s}
	s.Cleanup(func() {
		c.Patience = 2 * time.Second // the server may be gone, or its session elsewhere
		c.leave()
	})
	return c
}

// attach connects a session to a member. A server that is behind the client, or
// has no leader, closes the connection: it is tried again.
func (c *client) attach(m *ensemble.Member) *client {
	c.s.Helper()
	n, err := c.tryAttach(m)
	c.s.must(err)
	return n
}

func (c *client) tryAttach(m *ensemble.Member) (*client, error) {
	var sess *integration.Session
	var fatal error
	err := ensemble.Await(fmt.Sprintf("session %#x on member %v", c.ID, m), func() (err error) {
		sess, err = integration.Connect(m.Addr(), integration.ConnectOptions{SessionID: c.ID, Passwd: c.Passwd, TimeoutMs: c.TimeoutMs})
		if errors.Is(err, integration.ErrSessionInvalid) {
			fatal, err = err, nil
		}
		return err
	})
	if err = errors.Join(fatal, err); err != nil {
		return nil, err
	}
	return c.s.hold(sess), nil
}

// leave ends the session, if the connection is there.
func (c *client) leave() { _ = c.Close() }

// sync asks for a sync and returns its error.
func (c *client) sync() error {
	rep, _, err := c.Call(wire.OpSync, wire.AppendString(nil, "/"))
	if err == nil && rep.Err != wire.OK {
		err = rep.Err
	}
	return err
}

// said names how a request ended: ok, a code, or that the connection did.
func said(err error) string {
	var code wire.Code
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &code):
		return fmt.Sprint(int32(code))
	case closed(err):
		return "closed"
	default:
		return err.Error()
	}
}

func closed(err error) bool {
	for _, e := range []error{io.EOF, syscall.ECONNRESET, syscall.EPIPE, net.ErrClosed} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// greeting tells what comes of asking for a new session with a server that has
// no leader: a server may close the connection, or leave it waiting.
func (s *scene) greeting(m *ensemble.Member) string {
	s.Helper()
	conn, err := integration.Dial(m.Addr())
	s.must(err)
	defer conn.Close()
	conn.Patience = 300 * time.Millisecond
	_, err = integration.Handshake(conn, integration.ConnectOptions{})
	var late net.Error
	if closed(err) || errors.As(err, &late) && late.Timeout() {
		return "no answer"
	}
	return said(err)
}
