package zab

// WriteKind says what a Write does to the disk.
type WriteKind uint8

// Kinds of writes.
const (
	// WriteAcceptedEpoch puts Epoch into the file acceptedEpoch.
	WriteAcceptedEpoch WriteKind = iota + 1
	// WriteCurrentEpoch puts Epoch into the file currentEpoch and then removes the mark of WriteSyncMark.
	WriteCurrentEpoch
	// WriteSyncMark leaves a mark that the data about to be written may be of a later epoch than currentEpoch says.
	WriteSyncMark
	// WriteAppend appends Entries to the log.
	WriteAppend
	// WriteTruncate cuts the log after Zxid, and forgets every snapshot and checkpoint that may hold a later
	// transaction. The tree is at or before Zxid.
	WriteTruncate
	// WriteInstall puts the snapshot received on Conn, stamped Zxid, in the place of tree and log, and Entries behind
	// it, atomically: after a crash there is either all of the old state or all of the new one. A new state without
	// its entries could lack what this server has acknowledged.
	WriteInstall
)

// String returns the kind's name.
func (k WriteKind) String() string {
	return [...]string{"NONE", "ACCEPTEDEPOCH", "CURRENTEPOCH", "SYNCMARK", "APPEND", "TRUNCATE", "INSTALL"}[k]
}

// Write is one order to the disk.
type Write struct {
	// Seq counts the writes of a Core from 1, without gaps. It is what Core.Durable names.
	Seq     uint64
	Kind    WriteKind
	Epoch   int64
	Zxid    int64
	Entries []Entry
	Conn    ConnID
}

// Delayed is a message that may leave only when the write After, and so every write before it, is durable.
type Delayed struct {
	After uint64
	Message
}

// DeliveryKind says what a Delivery is.
type DeliveryKind uint8

// Kinds of deliveries.
const (
	// DeliverCommit: apply Entry to the tree.
	DeliverCommit DeliveryKind = iota + 1
	// DeliverPacket: a packet for the parts above: Request, Revalidate, Ping (an answer, with its sessions) at the
	// leader; Revalidate, Sync at a learner. Its Conn says which learner.
	DeliverPacket
	// DeliverSynced: the leader's own Sync with this Token is done: leadership was confirmed after it was asked for.
	DeliverSynced
	// DeliverServe: from here on serve clients: the epoch is established here and all its initial history delivered.
	DeliverServe
	// DeliverStop: from here on there is no leader: hold or refuse clients, forget Sync tokens and what was proposed.
	DeliverStop
)

// Delivery is one item of the ordered stream from the core to the parts above it.
type Delivery struct {
	Kind   DeliveryKind
	Entry  Entry
	Packet Message
	Token  uint64
	// Zxid is the last committed one, for DeliverSynced and DeliverServe.
	Zxid int64
}

// EventKind says what an Event tells.
type EventKind uint8

// Kinds of events.
const (
	// EventRole: role or phase changed; Reason says why.
	EventRole EventKind = iota + 1
	// EventLearnerJoined: learner Peer acknowledged NEWLEADER; Reason is how it was synchronized.
	EventLearnerJoined
	// EventLearnerDropped: the leader closed the connection to learner Peer, for Reason.
	EventLearnerDropped
	// EventIgnored: a message of Peer was ignored, for Reason.
	EventIgnored
	// EventHandedOver: a graceful hand-over ended; Peer is the successor, or NoServer if none was ready in time.
	EventHandedOver
	// EventConfigSeen: Peer has a configuration with the higher version Zxid.
	EventConfigSeen
)

// Event is something an operator or a metric may want to know. Nothing depends on it.
type Event struct {
	Kind   EventKind
	Peer   int64
	Zxid   int64
	Role   Role
	Phase  Phase
	Reason string
}

// Ready is what the runtime has to do, in the order of the fields; DESIGN.md says what may overlap. It belongs to the
// caller; the core keeps no reference but to the bytes of entries, which nobody changes.
type Ready struct {
	// Writes go to the disk, in order and one after the other.
	Writes []Write
	// Deliver goes to the tree and the parts above, in order.
	Deliver []Delivery
	// Send may leave now. Messages of one Conn leave in order.
	Send []Message
	// SendAfterSync leave when the write they name is durable, in order. A Send may pass them, also on the same Conn:
	// the core has made sure that it may.
	SendAfterSync []Delayed
	// Connect names the sids to whose quorum address a connection is to be made; answer with Connected or ConnectFailed.
	Connect []int64
	// Close names connections to close, after what was sent on them before.
	Close []ConnID
	// Events are for logs and metrics.
	Events []Event
}

// empty reports whether there is nothing to do.
func (r *Ready) empty() bool {
	return len(r.Writes)+len(r.Deliver)+len(r.Send)+len(r.SendAfterSync)+len(r.Connect)+len(r.Close)+len(r.Events) == 0
}
