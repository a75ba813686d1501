package shell

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/quorate/quorate/wire"
)

// ConnConfig says where and how a Conn connects.
type ConnConfig struct {
	// Servers are tried in turn, as "host:port"; at least one.
	Servers []string
	// Chroot is put before every path; empty for none.
	Chroot string
	// Timeout is the session timeout to ask for.
	Timeout time.Duration
	// ReadOnly accepts a server that is cut off from its ensemble.
	ReadOnly bool
	// Dial opens a byte stream to a server, or gives up when ctx ends.
	Dial func(ctx context.Context, server string) (io.ReadWriteCloser, error)
	// OnEvent hears of states and watches; never nil.
	OnEvent func(Event)
}

// Conn is a session with a server. It reconnects on its own and takes
// credentials and watches along; requests that were under way fail with
// ErrConnectionLoss. It is for many goroutines.
//
// One goroutine keeps the connection, and each connection has one that reads
// from it and one that writes to it, so that neither waits for the other; all
// end before Close returns.
type Conn struct {
	cfg     ConnConfig
	closing context.Context // cancelled when Close begins
	cancel  context.CancelFunc
	done    chan struct{} // closed when everything has ended
	kick    chan struct{} // tells the writer that there is something in out

	mu       sync.Mutex
	state    string
	link     io.ReadWriteCloser // nil while there is no session on a wire
	lastRead time.Time
	xid      int32
	pending  []*call // in the order of their xids; unsent while link is nil
	out      []byte  // what the writer has not taken yet
	auths    []*call // sent and not answered
	creds    []wire.AuthPacket
	watches  watchSet

	sessionID int64
	passwd    []byte
	timeout   time.Duration // negotiated
	lastZxid  int64
}

// call is a request that waits for its reply.
type call struct {
	xid   int32
	op    wire.Op
	frame []byte
	// on runs under the lock of Conn when the reply comes, before the caller
	// wakes: watches must be known before the next notification is read.
	on    func(wire.Code)
	reply []byte
	err   error
	done  chan struct{}
}

func (c *call) finish(reply []byte, err error) {
	c.reply, c.err = reply, err
	close(c.done)
}

// Open starts a connection. It does not wait for it: the first request does.
func Open(cfg ConnConfig) *Conn {
	c := &Conn{
		cfg: cfg, done: make(chan struct{}), kick: make(chan struct{}, 1), state: "CONNECTING",
		passwd: make([]byte, wire.PasswdBytes), timeout: cfg.Timeout,
	}
	c.closing, c.cancel = context.WithCancel(context.Background())
	go c.run()
	return c
}

// State implements Client.
func (c *Conn) State() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// closeWait bounds how long Close waits for the server's answer.
const closeWait = 2 * time.Second

// Close implements Client.
func (c *Conn) Close() {
	c.mu.Lock()
	connected := c.link != nil
	c.mu.Unlock()
	if connected && alive(c.State()) {
		closing := c.start(wire.OpCloseSession, nil, nil)
		timer := time.NewTimer(closeWait)
		select {
		case <-closing.done:
		case <-timer.C:
		}
		timer.Stop()
	}
	c.mu.Lock()
	wasOpen := alive(c.state)
	c.state = "CLOSED"
	c.cancel()
	c.dropLink()
	c.mu.Unlock()
	<-c.done
	if wasOpen {
		c.cfg.OnEvent(Event{State: "Closed", Type: "None", Zxid: -1})
	}
}

// alive reports whether a connection in this state can still serve requests.
func alive(state string) bool { return state != "CLOSED" && state != "AUTH_FAILED" }

// retryDelay is the pause before the servers are tried again.
const retryDelay = 200 * time.Millisecond

// run keeps the session: connect, serve until it breaks, again.
func (c *Conn) run() {
	defer close(c.done)
	for turn := 0; ; turn++ {
		link, err := c.connect(c.cfg.Servers[turn%len(c.cfg.Servers)])
		if err == nil {
			c.serve(link)
		}
		c.fail(ErrConnectionLoss)
		if !alive(c.State()) {
			c.fail(ErrClosed)
			return
		}
		select {
		case <-c.closing.Done():
			c.fail(ErrClosed)
			return
		case <-time.After(retryDelay):
		}
	}
}

// fail ends all calls under way.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	calls := append(c.pending, c.auths...)
	c.pending, c.auths = nil, nil
	c.mu.Unlock()
	for _, waiting := range calls {
		waiting.finish(nil, err)
	}
}

// connect opens a stream and makes or resumes the session on it.
func (c *Conn) connect(server string) (io.ReadWriteCloser, error) {
	trying, cancel := context.WithTimeout(c.closing, c.timeout/time.Duration(len(c.cfg.Servers)))
	defer cancel()
	link, err := c.cfg.Dial(trying, server)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(trying, func() { _ = link.Close() })()
	if err := c.handshake(link); err != nil {
		_ = link.Close()
		return nil, err
	}
	return link, nil
}

func (c *Conn) handshake(link io.ReadWriteCloser) error {
	req := wire.ConnectRequest{
		LastZxidSeen: c.lastZxid, TimeOut: int32(c.cfg.Timeout.Milliseconds()),
		SessionID: c.sessionID, Passwd: c.passwd, ReadOnly: c.cfg.ReadOnly, HasReadOnly: true,
	}
	frame, mark := wire.BeginFrame(nil)
	if _, err := link.Write(wire.EndFrame(req.Append(frame), mark)); err != nil {
		return err
	}
	body, err := readFrame(link)
	if err != nil {
		return err
	}
	var resp wire.ConnectResponse
	r := wire.NewReader(body)
	resp.Decode(&r)
	if err := r.Err(); err != nil {
		return err
	}
	if resp.TimeOut <= 0 {
		c.end("CLOSED", Event{State: "Expired", Type: "None", Zxid: -1})
		return ErrClosed
	}
	c.sessionID, c.passwd = resp.SessionID, bytes.Clone(resp.Passwd)
	c.timeout = time.Duration(resp.TimeOut) * time.Millisecond
	return c.resume(link, resp.ReadOnly)
}

// end puts the session into a state it does not come back from.
func (c *Conn) end(state string, why Event) {
	c.mu.Lock()
	over := !alive(c.state)
	if !over {
		c.state = state
	}
	c.mu.Unlock()
	if !over {
		c.cfg.OnEvent(why)
	}
}

// resume sends what belongs to the session but not to a connection:
// credentials, watches, and the requests that gathered meanwhile.
func (c *Conn) resume(link io.ReadWriteCloser, readOnly bool) error {
	state, event := "CONNECTED", "SyncConnected"
	if readOnly {
		state, event = "CONNECTEDREADONLY", "ConnectedReadOnly"
	}
	c.cfg.OnEvent(Event{State: event, Type: "None", Zxid: -1})
	c.mu.Lock()
	defer c.mu.Unlock()
	if !alive(c.state) {
		return ErrClosed
	}
	c.state, c.link, c.lastRead, c.out = state, link, time.Now(), nil
	for i := range c.creds {
		c.auths = append(c.auths, newCall(wire.XidAuth, wire.OpAuth, c.creds[i].Append(nil)))
		c.send(c.auths[i])
	}
	if body, some := c.watches.replay(c.cfg.Chroot, c.lastZxid); some {
		c.send(newCall(wire.XidSetWatches, wire.OpSetWatches2, body))
	}
	for _, waiting := range c.pending {
		c.send(waiting)
	}
	return nil
}

// serve reads from and writes to a link until it breaks, and pings the server
// meanwhile.
func (c *Conn) serve(link io.ReadWriteCloser) {
	gone, written := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		c.read(link)
	}()
	go func() {
		defer close(written)
		c.write(link, gone)
	}()
	ticker := time.NewTicker(max(c.timeout/3, time.Millisecond))
	defer ticker.Stop()
	for broken := false; !broken; {
		select {
		case <-gone:
			broken = true
		case <-c.closing.Done():
			_ = link.Close()
			<-gone
			broken = true
		case now := <-ticker.C:
			c.ping(link, now)
		}
	}
	<-written
	c.mu.Lock()
	c.dropLink()
	wasUp := alive(c.state)
	if wasUp {
		c.state = "CONNECTING"
	}
	c.mu.Unlock()
	if wasUp {
		c.cfg.OnEvent(Event{State: "Disconnected", Type: "None", Zxid: -1})
	}
}

// dropLink closes the link; the caller holds the lock.
func (c *Conn) dropLink() {
	if c.link != nil {
		_ = c.link.Close()
		c.link = nil
	}
}

// ping keeps the session alive, and gives up a server that has been silent
// for two thirds of the session's timeout.
func (c *Conn) ping(link io.ReadWriteCloser, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != link {
		return
	}
	if now.Sub(c.lastRead) > c.timeout*2/3 {
		c.dropLink()
		return
	}
	c.send(newCall(wire.XidPing, wire.OpPing, nil))
}

// write sends what gathers in out until the reader has gone.
func (c *Conn) write(link io.ReadWriteCloser, gone <-chan struct{}) {
	for {
		select {
		case <-gone:
			return
		case <-c.kick:
		}
		c.mu.Lock()
		out := c.out
		c.out = nil
		c.mu.Unlock()
		if _, err := link.Write(out); err != nil {
			_ = link.Close() // the reader notices
		}
	}
}

// read takes frames off a link until that fails.
func (c *Conn) read(link io.ReadWriteCloser) {
	for {
		frame, err := readFrame(link)
		if err == nil {
			err = c.receive(frame)
		}
		if err != nil {
			_ = link.Close()
			return
		}
	}
}

// frameBytesMax bounds a reply; servers do not bound theirs.
const frameBytesMax = 256 << 20

// readFrame reads one frame. Memory grows with the bytes that arrive, not with
// the length announced.
func readFrame(r io.Reader) ([]byte, error) {
	var header [wire.FrameHeaderBytes]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, err
	}
	n := wire.FrameLength(header[:])
	if n < 0 || n > frameBytesMax {
		return nil, fmt.Errorf("the server announced a packet of %d bytes", n)
	}
	var body bytes.Buffer
	if _, err := io.CopyN(&body, r, int64(n)); err != nil {
		return nil, err
	}
	return body.Bytes(), nil
}

// receive handles one packet of the server; an error ends the connection.
func (c *Conn) receive(frame []byte) error {
	r := wire.NewReader(frame)
	var h wire.ReplyHeader
	h.Decode(&r)
	if err := r.Err(); err != nil {
		return err
	}
	switch h.Xid {
	case wire.XidNotification:
		return c.notified(h.Zxid, &r)
	case wire.XidAuth:
		return c.authenticated(h.Err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastRead = time.Now()
	c.lastZxid = max(c.lastZxid, h.Zxid)
	if h.Xid == wire.XidPing || h.Xid == wire.XidSetWatches {
		return nil
	}
	if len(c.pending) == 0 || c.pending[0].xid != h.Xid {
		return fmt.Errorf("the server answered request %d out of turn", h.Xid)
	}
	answered := c.pending[0]
	c.pending = c.pending[1:]
	if answered.on != nil {
		answered.on(h.Err)
	}
	if h.Err != wire.OK {
		answered.finish(nil, h.Err)
		return nil
	}
	answered.finish(r.Remaining(), nil)
	return nil
}

func (c *Conn) notified(zxid int64, r *wire.Reader) error {
	var e wire.WatcherEvent
	e.Decode(r)
	if err := r.Err(); err != nil {
		return err
	}
	path := string(e.Path)
	c.mu.Lock()
	c.lastRead = time.Now()
	path = cutChroot(c.cfg.Chroot, path)
	c.watches.fired(e.Type, path)
	c.mu.Unlock()
	c.cfg.OnEvent(Event{State: "SyncConnected", Type: eventName(e.Type), Path: path, Zxid: zxid})
	return nil
}

func (c *Conn) authenticated(code wire.Code) error {
	c.mu.Lock()
	var answered *call
	if len(c.auths) > 0 {
		answered = c.auths[0]
		c.auths = c.auths[1:]
	}
	c.lastRead = time.Now()
	c.mu.Unlock()
	if code != wire.OK {
		c.end("AUTH_FAILED", Event{State: "AuthFailed", Type: "None", Zxid: -1})
	}
	if answered != nil {
		answered.finish(nil, codeError(code))
	}
	return codeError(code)
}

// codeError keeps OK from becoming an error that is not nil.
func codeError(code wire.Code) error {
	if code == wire.OK {
		return nil
	}
	return code
}

func newCall(xid int32, op wire.Op, body []byte) *call {
	frame, mark := wire.BeginFrame(nil)
	frame = wire.RequestHeader{Xid: xid, Op: op}.Append(frame)
	return &call{xid: xid, op: op, frame: wire.EndFrame(append(frame, body...), mark), done: make(chan struct{})}
}

// start sends a request, or queues it until there is a connection.
func (c *Conn) start(op wire.Op, body []byte, on func(wire.Code)) *call {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.xid++
	request := newCall(c.xid, op, body)
	request.on = on
	if !alive(c.state) {
		request.finish(nil, ErrClosed)
		return request
	}
	c.pending = append(c.pending, request)
	c.send(request)
	return request
}

// send hands a request to the writer when there is a link; the caller holds
// the lock.
func (c *Conn) send(request *call) {
	if c.link == nil {
		return
	}
	c.out = append(c.out, request.frame...)
	select {
	case c.kick <- struct{}{}:
	default: // it knows already
	}
}

// ask sends a request and waits for its reply.
func (c *Conn) ask(op wire.Op, body []byte, on func(wire.Code)) ([]byte, error) {
	request := c.start(op, body, on)
	<-request.done
	return request.reply, request.err
}

// full puts the chroot before a path.
func (c *Conn) full(path string) []byte {
	if c.cfg.Chroot == "" || path == "" {
		return []byte(path)
	}
	if path == "/" {
		return []byte(c.cfg.Chroot)
	}
	return []byte(c.cfg.Chroot + path)
}

// cutChroot takes it off again. Paths outside of it, such as the one of the
// configuration, stay as they are.
func cutChroot(chroot, path string) string {
	rest, ok := strings.CutPrefix(path, chroot)
	switch {
	case chroot == "" || !ok:
		return path
	case rest == "":
		return "/"
	case rest[0] != '/':
		return path
	}
	return rest
}
