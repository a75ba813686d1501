package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/quorate/quorate/wire"
)

// runner holds one script's conversation with one server.
type runner struct {
	addr   string
	names  names
	actors map[string]*actor
}

// actor is a named session of a script, or only a socket.
type actor struct {
	*Session
	name string
	owed []owed // requests without an answer yet, in order
	gone bool   // the session has ended: nothing to clean up
}

type owed struct {
	xid int32
	op  wire.Op
}

// newRunner empties the server's tree and takes its zxid as the beginning.
// Close ends what the script leaves behind.
func newRunner(addr string, fresh bool) (*runner, error) {
	housekeeper, err := Connect(addr, ConnectOptions{})
	if err != nil {
		return nil, err
	}
	if !fresh {
		if err := housekeeper.authenticate(superAuth); err != nil {
			return nil, err
		}
		if err := housekeeper.emptyTree(); err != nil {
			return nil, fmt.Errorf("empty the tree: %w", err)
		}
	}
	if err := housekeeper.Close(); err != nil {
		return nil, err
	}
	// The closing transaction is the last before the script.
	base, err := closedZxid(addr)
	if err != nil {
		return nil, err
	}
	return &runner{
		addr:   addr,
		actors: map[string]*actor{},
		names: names{
			base: base, fresh: fresh, sessions: map[int64]string{}, times: map[int64]int64{}, since: time.Now().UnixMilli(),
		},
	}, nil
}

// superAuth is a credential that the shared servers know as super, so that a
// script's protected nodes can be removed after it.
const superAuth = "super:quorate"

// SuperDigest is what DigestAuthenticationProvider.superDigest holds on every
// server that [ReadTree] may read.
const SuperDigest = "super:0W1tHM9yEkwvSVTUC3r/sHEfG0c="

// emptyTree deletes all that can be deleted and gives the other nodes back the
// data and the ACL they were born with.
func (s *Session) emptyTree() error {
	if err := s.DeleteTree("/"); err != nil {
		return err
	}
	for _, p := range []string{"/", "/zookeeper", "/zookeeper/quota"} {
		body := append(wire.AppendString(nil, p), wire.OpenACL...)
		if _, err := s.do(wire.OpSetACL, wire.AppendInt(body, -1)); err != nil {
			return err
		}
		if _, err := s.Set(p, []byte{}, -1); err != nil {
			return err
		}
	}
	return nil
}

func (s *Session) authenticate(digest string) error {
	body := wire.AppendBuffer(wire.AppendString(be32(0), "digest"), []byte(digest))
	_, err := s.do(wire.OpAuth, body)
	return err
}

// closedZxid returns the server's last zxid after a session of its own was
// made and ended.
func closedZxid(addr string) (int64, error) {
	s, err := Connect(addr, ConnectOptions{})
	if err != nil {
		return 0, err
	}
	defer s.Conn.Close()
	rep, _, err := s.Call(wire.OpCloseSession, nil)
	return rep.Zxid, err
}

// Close ends every session that the script has left open, so that none of them
// expires into the next one.
func (r *runner) Close() error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(r.actors)) {
		a := r.actors[name]
		if a.Conn != nil {
			a.Conn.Close()
		}
		if a.gone || a.ID == 0 {
			continue
		}
		s, err := Connect(r.addr, ConnectOptions{SessionID: a.ID, Passwd: a.Passwd})
		switch {
		case errors.Is(err, ErrSessionInvalid):
			s.Drop()
		case err != nil:
			errs = append(errs, err)
		default:
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(errs...)
}

// step performs one step and returns its answers. An error means that the
// script is wrong or the server does not answer at all.
func (r *runner) step(text string) ([]string, error) {
	words := splitWords(text)
	if len(words) < 2 {
		return nil, fmt.Errorf("%q is no step", text)
	}
	if words[0] == "word" {
		out, err := FourLetterWord(r.addr, words[1])
		return []string{strconv.Quote(out)}, err
	}
	name, verb, rest := words[0], words[1], words[2:]
	if verb == "connect" || verb == "resume" || verb == "tcp" {
		return r.open(name, verb, parseArguments(rest, r.names.offset))
	}
	a, err := r.actor(name)
	if err != nil {
		return nil, err
	}
	return r.act(a, verb, rest, words[1:])
}

// act performs a step of an open actor; request is the step without its name.
func (r *runner) act(a *actor, verb string, rest, request []string) ([]string, error) {
	switch verb {
	case "drop":
		return nil, a.Conn.Close()
	case "bytes":
		args := parseArguments(rest, r.names.offset)
		_, err := a.Write(args.payload())
		return nil, errors.Join(err, args.done())
	case "frame":
		args := parseArguments(rest, r.names.offset)
		return nil, errors.Join(a.WriteFrame(args.payload()), args.err)
	case "eof":
		return r.untilEOF(a)
	case "wait":
		return r.receive(a, 1, true)
	case "recv":
		n, err := strconv.Atoi(rest[0])
		if err != nil {
			return nil, err
		}
		return r.receive(a, n, false)
	case "send":
		return nil, r.send(a, a.nextXid(), rest)
	case "xid":
		xid, err := strconv.ParseInt(rest[0], 10, 32)
		if err != nil {
			return nil, err
		}
		if err := r.send(a, int32(xid), rest[1:]); err != nil {
			return nil, err
		}
		return r.receive(a, 1, false)
	}
	xid := a.nextXid()
	if verb == "ping" {
		xid = wire.XidPing
	}
	if err := r.send(a, xid, request); err != nil {
		return nil, err
	}
	return r.receive(a, len(a.owed), false)
}

// actor returns the named actor, with a session made for it if it is new.
func (r *runner) actor(name string) (*actor, error) {
	if a, ok := r.actors[name]; ok {
		return a, nil
	}
	s, err := Connect(r.addr, ConnectOptions{})
	if err != nil {
		return nil, err
	}
	return r.adopt(name, s), nil
}

func (r *runner) adopt(name string, s *Session) *actor {
	a := &actor{Session: s, name: name}
	r.actors[name] = a
	if s.ID != 0 {
		r.names.sessions[s.ID] = name
	}
	return a
}

// open performs connect, resume and tcp.
func (r *runner) open(name, verb string, args *arguments) ([]string, error) {
	c, err := Dial(r.addr)
	if err != nil {
		return nil, err
	}
	if verb == "tcp" {
		r.adopt(name, &Session{Conn: c})
		return nil, args.done()
	}
	o := ConnectOptions{
		TimeoutMs: args.int32(args.option("timeout", "30000")), LastZxidSeen: args.number(args.option("last", "0")),
		SessionID: args.number(args.option("id", "0")), Exact: true,
	}
	owner := args.option("as", "")
	if verb == "resume" {
		owner = name
	}
	if of, ok := r.actors[owner]; ok {
		o.SessionID, o.Passwd = of.ID, of.Passwd
	}
	for len(args.words) > 0 {
		switch w := args.next(""); w {
		case "old":
			o.Old = true
		case "readonly":
			o.ReadOnly = true
		case "nopass":
			o.Passwd = []byte{}
		case "badpass":
			o.Passwd = bytes.Repeat([]byte{7}, wire.PasswdBytes)
		default:
			args.fail("no connect option %q", w)
		}
	}
	if err := args.done(); err != nil {
		return nil, err
	}
	return r.handshake(name, c, o)
}

// handshake asks for the session and prints what came of it.
func (r *runner) handshake(name string, c *Conn, o ConnectOptions) ([]string, error) {
	s, err := Handshake(c, o)
	switch {
	case errors.Is(err, ErrSessionInvalid):
		old := r.actors[name]
		zero := bytes.Equal(s.Response.Passwd, make([]byte, wire.PasswdBytes))
		lines := []string{fmt.Sprintf("invalid timeout=%d id=%d zeropasswd=%v", s.Response.TimeOut, s.Response.SessionID, zero)}
		if _, err := s.Next(); !closed(err) {
			lines = append(lines, fmt.Sprintf("still open: %v", err))
		}
		s.Drop()
		if old == nil {
			r.adopt(name, &Session{Conn: c})
		}
		return append(lines, "eof"), nil
	case err != nil && closed(err):
		if r.actors[name] == nil {
			r.adopt(name, &Session{Conn: c})
		}
		return []string{"eof"}, nil
	case err != nil:
		return nil, err
	}
	if old := r.actors[name]; old != nil {
		s.xid = old.xid
		old.Conn.Close()
	}
	if o.SessionID == 0 || r.names.sessions[s.ID] == "" {
		r.names.sessions[s.ID] = name
	}
	a := &actor{Session: s, name: name}
	r.actors[name] = a
	return []string{shownSession(s, r.names.session(s.ID), o)}, nil
}

// shownSession prints a successful connect response.
func shownSession(s *Session, id string, o ConnectOptions) string {
	text := fmt.Sprintf("session timeout=%d id=%s passwd=%d", s.TimeoutMs, id, len(s.Passwd))
	if o.SessionID != 0 && !bytes.Equal(s.Passwd, o.Passwd) {
		text += " passwd changed"
	}
	if s.Response.HasReadOnly {
		text += fmt.Sprintf(" readonly=%v", s.Response.ReadOnly)
	}
	if s.Response.ProtocolVersion != 0 {
		text += fmt.Sprintf(" version=%d", s.Response.ProtocolVersion)
	}
	return text
}

func (r *runner) send(a *actor, xid int32, words []string) error {
	op, body, err := encodeRequest(parseArguments(words, r.names.offset))
	if err != nil {
		return err
	}
	a.owed = append(a.owed, owed{xid, op})
	if err := a.SendXid(xid, op, body); err != nil && !closed(err) {
		return err
	}
	return nil
}

// receive prints frames until n answers have come, or with any set, n frames
// of whatever kind. The server's closing ends it.
func (r *runner) receive(a *actor, n int, any bool) ([]string, error) {
	var out []string
	for n > 0 {
		rep, err := a.Next()
		if closed(err) {
			return append(out, "eof"), nil
		}
		if err != nil {
			return out, err
		}
		line, answer := r.shown(a, rep)
		out = append(out, line)
		if answer || any {
			n--
		}
	}
	return out, nil
}

func (r *runner) untilEOF(a *actor) ([]string, error) {
	var out []string
	for {
		rep, err := a.Next()
		if closed(err) {
			return append(out, "eof"), nil
		}
		if err != nil {
			return out, err
		}
		line, _ := r.shown(a, rep)
		out = append(out, line)
	}
}

// shown prints a frame and tells whether it answers a request.
func (r *runner) shown(a *actor, rep Reply) (line string, answer bool) {
	if rep.IsEvent() {
		return r.names.event(rep), false
	}
	if len(a.owed) == 0 {
		return fmt.Sprintf("nobody asked for xid=%d %s", rep.Xid, r.names.reply(wire.OpError, rep)), true
	}
	i := slices.IndexFunc(a.owed, func(o owed) bool { return o.xid == rep.Xid })
	note := ""
	switch {
	case i < 0:
		i, note = 0, fmt.Sprintf(" xid=%d", rep.Xid)
	case i > 0:
		note = fmt.Sprintf(" overtaking %d", i)
	}
	op := a.owed[i].op
	a.owed = slices.Delete(a.owed, i, i+1)
	if op == wire.OpCloseSession && rep.Err == wire.OK {
		a.gone = true
	}
	return r.names.reply(op, rep) + note, true
}

// closed reports whether an error says that the other side has closed.
func closed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed)
}

// FourLetterWord sends a word and returns all that the server writes before it
// closes.
func FourLetterWord(addr, word string) (string, error) {
	c, err := Dial(addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := c.Write([]byte(word)); err != nil {
		return "", err
	}
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	out, err := io.ReadAll(c)
	return string(out), err
}
