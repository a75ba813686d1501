package transport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/quorate/quorate/zab"
)

// Handler is the runtime behind the transport.
type Handler interface {
	// Step takes messages for zab.Core.Step. It is called from the transport's goroutines, several at a time, never with
	// a lock held; messages of one connection come in order, as many together as one read brought. It may block for a
	// while: then the bytes of all peers wait in their sockets. The connection that brought ms is not read for pause. The
	// Data and Auth of messages are the handler's for ever, the slice ms only until Step returns. After Shutdown has begun
	// nothing comes any more.
	Step(ms []zab.Message) (pause time.Duration)
	// Settle is called behind one or more Steps, by the goroutine that made them, when it has nothing more at the moment:
	// it may be used to see to what came. Nothing is read meanwhile.
	Settle()
}

// Storage is the runtime's log and snapshots. Calls for different connections overlap.
type Storage interface {
	// SendSnapshot writes a whole snapshot stream (what ZooKeeper writes after a SNAP packet, from the sessions to
	// "BenWasHere"): a state that holds everything up to through, and perhaps more. It calls begin with the zxid of that
	// state before it writes the first byte. w is buffered; an error of w, or of begin, is returned at once.
	SendSnapshot(w io.Writer, through int64, begin func(zxid int64) error) error
	// ReceiveSnapshot reads exactly one such stream from r, and nothing beyond it, sets it aside under conn, and returns
	// when it is durable. r is buffered. zxid is the stamp. An error ends the connection.
	ReceiveSnapshot(r io.Reader, conn zab.ConnID, zxid int64) error
	// DropSnapshot forgets what was set aside under conn, if anything. The transport calls it when no Snap message will
	// follow; from that message on, what was set aside is the handler's.
	DropSnapshot(conn zab.ConnID)
	// LogRange calls fn for each entry of the log after `after` up to and with `through`, in order. It returns an error if
	// one is missing, and at once the error of fn. fn does not keep data.
	LogRange(after, through int64, fn func(zxid int64, data []byte) error) error
}

// Peer is where another server listens: host:port, several when it has several addresses. Names are resolved at every
// dial.
type Peer struct {
	Election, Quorum []string
}

// Options are what a Transport is made of.
type Options struct {
	// ID is this server's sid (myid).
	ID int64
	// ElectionAddrs and QuorumAddrs are what to listen on, at least one each. Port 0 is one of the kernel's choice.
	ElectionAddrs, QuorumAddrs []string
	// Advertise is this server's election address as configured, several joined by |, for the initial message: a server
	// with a higher sid calls back there. Empty is the first election address as bound.
	Advertise string

	// Lookup finds a server in the present configuration. Called from any goroutine, never with a lock held.
	Lookup func(sid int64) (Peer, bool)
	// ConfigText returns the committed configuration as text, for notifications. It must be the real and whole one: some
	// texts end the election thread of Java servers, so a notification whose text is not plausible is not sent at all.
	// Called from the goroutine of Send.
	ConfigText func() []byte
	// Handler and Storage are the runtime.
	Handler Handler
	Storage Storage

	// TickTime and SyncLimit (ticks) bound how long a new connection may take to say who it is, and, where the system can
	// (TCP_USER_TIMEOUT), how long what was written may go without a sign from the other side before the connection is
	// given up. 0 is 2 s and 5.
	TickTime  time.Duration
	SyncLimit int
	// InitLimit (ticks) takes the place of SyncLimit for a learner until UPTODATE: it does not read while it puts a
	// snapshot on disk. 0 is 10.
	InitLimit int
	// CnxTimeout bounds one attempt to connect (zookeeper.cnxTimeout). 0 is 5 s.
	CnxTimeout time.Duration
	// PacketBytesMax is the longest buffer that peers accept in a packet (jute.maxbuffer plus extrasize). 0 is Java's
	// default, 2,097,150. What is read may be longer, up to 64 MiB: memory grows with the bytes that have arrived, never
	// with a length that was announced.
	PacketBytesMax int
	// OutBytesMax is how many bytes may wait for one connection of the quorum port before it is given up. What was
	// queued up to NEWLEADER does not count: the core has bounded it, and a learner that were given up for it could never
	// join. 0 is 256 MiB.
	OutBytesMax int
	// Log may be nil.
	Log *zap.Logger
}

const (
	tickTimeDefault       = 2 * time.Second
	syncLimitDefault      = 5
	initLimitDefault      = 10
	cnxTimeoutDefault     = 5 * time.Second
	packetBytesMaxDefault = 2 * 0xfffff
	outBytesMaxDefault    = 256 << 20
	// readBytesMaxLeast is what is read at least, whatever PacketBytesMax says: a leader's jute.maxbuffer may be larger.
	readBytesMaxLeast = 64 << 20
)

// ErrOptions is in every error of Listen about Options.
var ErrOptions = errors.New("bad options of the transport")

func (o Options) withDefaults() Options {
	if o.TickTime == 0 {
		o.TickTime = tickTimeDefault
	}
	if o.SyncLimit == 0 {
		o.SyncLimit = syncLimitDefault
	}
	if o.InitLimit == 0 {
		o.InitLimit = initLimitDefault
	}
	if o.CnxTimeout == 0 {
		o.CnxTimeout = cnxTimeoutDefault
	}
	if o.PacketBytesMax == 0 {
		o.PacketBytesMax = packetBytesMaxDefault
	}
	if o.OutBytesMax == 0 {
		o.OutBytesMax = outBytesMaxDefault
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return o
}

// validate reports every fault at once.
func (o *Options) validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: "+format, append([]any{ErrOptions}, args...)...))
	}
	for _, l := range []struct {
		name  string
		addrs []string
	}{{"ElectionAddrs", o.ElectionAddrs}, {"QuorumAddrs", o.QuorumAddrs}} {
		if len(l.addrs) == 0 {
			bad("%s is empty", l.name)
		}
		for _, a := range l.addrs {
			if _, _, err := net.SplitHostPort(a); err != nil {
				bad("%s: %v", l.name, err)
			}
		}
	}
	if o.Advertise != "" {
		for a := range strings.SplitSeq(o.Advertise, "|") {
			if _, _, err := net.SplitHostPort(a); err != nil {
				bad("Advertise: %v", err)
			}
		}
		if len(o.Advertise) > initialAddressMax {
			bad("Advertise has %d bytes, at most %d", len(o.Advertise), initialAddressMax)
		}
	}
	if o.Lookup == nil || o.ConfigText == nil || o.Handler == nil || o.Storage == nil {
		bad("Lookup, ConfigText, Handler and Storage are all needed")
	}
	for _, f := range []struct {
		name string
		v    int64
	}{
		{"TickTime", int64(o.TickTime)},
		{"SyncLimit", int64(o.SyncLimit)},
		{"InitLimit", int64(o.InitLimit)},
		{"CnxTimeout", int64(o.CnxTimeout)},
		{"PacketBytesMax", int64(o.PacketBytesMax)},
		{"OutBytesMax", int64(o.OutBytesMax)},
	} {
		if f.v < 0 {
			bad("%s is below 0", f.name)
		}
	}
	return errors.Join(errs...)
}

// handshakeLimit is how long a new connection may take to say who it is.
func (o *Options) handshakeLimit() time.Duration { return o.TickTime * time.Duration(o.SyncLimit) }

// joinLimit is how long a learner that joins may take nothing of what is written to it.
func (o *Options) joinLimit() time.Duration {
	return o.TickTime * time.Duration(max(o.InitLimit, o.SyncLimit))
}

// readBytesMax bounds the length of a buffer in a packet that is read.
func (o *Options) readBytesMax() int { return max(o.PacketBytesMax, readBytesMaxLeast) }
