package zab

import "math"

// Type says what a Message is. The numbers 1 to 19 are those of ZooKeeper's QuorumPacket; the transport writes them
// as they are. Names in brackets are the ZAB paper's.
type Type uint8

// Types that travel between servers. F is a follower, O an observer, L the leader.
const (
	// Notification is a vote of the election channel, between any two servers; the only type there.
	Notification Type = 0
	// Request (F,O to L) is a client's request for the leader: Data, Auth. Opaque.
	Request Type = 1
	// Proposal (L to F; to O only while it is synchronized) carries one transaction: Zxid, Data. [PROPOSE]
	Proposal Type = 2
	// Ack (F to L): everything up to Zxid is durable; epoch<<32 answers NewLeader [ACK-LD] and later UpToDate.
	Ack Type = 3
	// Commit (L to F; to O only while it is synchronized): Zxid, the oldest uncommitted one, is committed. [COMMIT]
	Commit Type = 4
	// Ping (both ways): L's carries its last proposed Zxid and nil Data; the answer echoes Zxid, its Data lists sessions.
	Ping Type = 5
	// Revalidate (both ways) asks the leader for a session, and answers. Opaque.
	Revalidate Type = 6
	// Sync (L to F,O) answers a forwarded sync request: everything before it in the stream is what the reader may rely on.
	Sync Type = 7
	// Inform (L to O) is a committed transaction: Zxid, Data.
	Inform Type = 8
	// CommitAndActivate (L to F) commits a reconfiguration; Data names the designated leader.
	CommitAndActivate Type = 9
	// NewLeader (L to F,O): Zxid is epoch<<32, Data the text of the leader's last-seen configuration. [NEWLEADER]
	NewLeader Type = 10
	// FollowerInfo (F to L): first packet; Zxid is acceptedEpoch<<32. [CEPOCH]
	FollowerInfo Type = 11
	// UpToDate (L to F,O): the epoch is established, serve clients. [COMMIT-LD]
	UpToDate Type = 12
	// Diff (L to F,O): your history is a prefix of mine; Zxid is informational.
	Diff Type = 13
	// Trunc (L to F,O): cut your log after Zxid.
	Trunc Type = 14
	// Snap (L to F,O): a snapshot stamped Zxid follows. See Message.Through for what the transport has to do. The receiver
	// gives it to Step when the last byte is there, set aside and durable; WriteInstall puts it in place.
	Snap Type = 15
	// ObserverInfo (O to L): first packet; Zxid is acceptedEpoch<<32.
	ObserverInfo Type = 16
	// LeaderInfo (L to F,O): Zxid is newEpoch<<32. [NEWEPOCH]
	LeaderInfo Type = 17
	// AckEpoch (F,O to L): Zxid is the learner's last, Epoch its currentEpoch, or -1. [ACK-E]
	AckEpoch Type = 18
	// InformAndActivate (L to O) is a committed reconfiguration; Data is the designated leader and the transaction.
	InformAndActivate Type = 19
)

// Types that never travel: what the runtime tells the core about connections, and one order to the transport.
const (
	// LogRange is an order to the transport, in the place of the packets it stands for: read the log from disk and send
	// Proposal and Commit for every entry after Zxid up to and with Through. If an entry is missing, close the connection.
	LogRange Type = 20 + iota
	// Connected tells that the connection ordered by Ready.Connect to From stands and is Conn.
	Connected
	// ConnectFailed tells that the connection ordered to From could not be made.
	ConnectFailed
	// Disconnected tells that Conn is gone, whoever ended it.
	Disconnected
	// Alive tells that bytes of a snapshot flow on Conn, in either direction: a sign of life where no packet is complete.
	// Once per tick is enough.
	Alive
	// SnapshotSent tells that the last byte of the snapshot ordered for Conn has been written. The learner's NEWLEADER
	// waits for it.
	SnapshotSent
	// Unreachable tells that the election port of From refuses connections: no process is there that could vote. Where a
	// network only keeps silent it is not told.
	Unreachable
	// Unanswered tells, while a connection ordered by Ready.Connect to From is being made, that for a while nothing that
	// was sent to From has been answered: neither the attempt, nor what left on the election channel. What is sent there
	// is lost, whatever may still come from there. A connection that is refused is an answer.
	Unanswered

	typeCount
)

var typeNames = [typeCount]string{
	"NOTIFICATION", "REQUEST", "PROPOSAL", "ACK", "COMMIT", "PING", "REVALIDATE", "SYNC", "INFORM", "COMMITANDACTIVATE",
	"NEWLEADER", "FOLLOWERINFO", "UPTODATE", "DIFF", "TRUNC", "SNAP", "OBSERVERINFO", "LEADERINFO", "ACKEPOCH",
	"INFORMANDACTIVATE", "LOGRANGE", "CONNECTED", "CONNECTFAILED", "DISCONNECTED",
	"ALIVE", "SNAPSHOTSENT", "UNREACHABLE", "UNANSWERED",
}

// String returns ZooKeeper's name of the packet.
func (t Type) String() string {
	if t < typeCount {
		return typeNames[t]
	}
	return "UNKNOWN"
}

// ConnID names one connection of the quorum port. The runtime numbers the connections it dials and those it accepts
// from one counter, above 0, never twice in the life of a Core: a message of a connection that is gone is thereby known.
type ConnID int64

// Role is what a server does, with the numbers ZooKeeper writes into notifications.
type Role uint8

// Roles. Halted is never sent.
const (
	Looking Role = iota
	Following
	Leading
	Observing
	// Halted is the end: the disk failed. A halted core neither votes nor answers until the process starts again.
	Halted
)

const roleCount = int(Halted) + 1

// String returns the name ZooKeeper's admins know.
func (r Role) String() string {
	return [...]string{"LOOKING", "FOLLOWING", "LEADING", "OBSERVING", "HALTED"}[r]
}

// Phase is the phase of the ZAB paper a server is in.
type Phase uint8

// Phases, in the order in which they are passed.
const (
	Election Phase = iota
	Discovery
	Synchronization
	Broadcast
)

// String returns the phase's name.
func (p Phase) String() string {
	return [...]string{"ELECTION", "DISCOVERY", "SYNCHRONIZATION", "BROADCAST"}[p]
}

// NoServer is the sid in votes that name nobody.
const NoServer = math.MinInt64

// Vote is what FastLeaderElection compares: a candidate with its last zxid and its currentEpoch.
type Vote struct {
	Leader    int64 // sid
	Zxid      int64
	PeerEpoch int64
}

// noVote is the vote of a server that may not vote.
func noVote() Vote { return Vote{Leader: NoServer, Zxid: math.MinInt64, PeerEpoch: math.MinInt64} }

// Message is everything that goes in through Step and out through Ready. Which fields count is said at each Type;
// others are zero. From and To are sids; Conn is set for all types of the quorum port.
type Message struct {
	Type     Type
	From, To int64
	Conn     ConnID
	Zxid     int64
	// Data is the packet's data where it is opaque (a transaction, a request, sessions, a configuration's text).
	Data []byte
	// Auth is the encoded authinfo of a Request, opaque.
	Auth []byte

	// Epoch is the currentEpoch in AckEpoch.
	Epoch int64
	// ConfigVersion is the version of the committed configuration, in FollowerInfo, ObserverInfo and Notification.
	ConfigVersion int64
	// Through belongs to Snap and LogRange as orders to the transport. Snap: send a snapshot that holds at least all
	// transactions up to Through, stamped Zxid, and hold what follows on this connection until its last byte is
	// written. It may hold committed transactions after Through: applying one twice changes nothing.
	Through int64

	// Vote, Round (logicalclock, electionEpoch), State and Format (version; 2 unless the sender is of the 3.4 line)
	// are the notification.
	Vote   Vote
	Round  int64
	State  Role
	Format int32
}
