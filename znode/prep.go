package znode

import (
	"github.com/quorate/quorate/wire"
)

// View is the applied tree as the rules see it. [Tree] implements it. The
// caller of a [Preparer] sees to it that nobody changes it meanwhile.
type View interface {
	// Lookup finds a znode, reading it from the backend if need be; the error
	// is the backend's. Paths that no znode can have are not found.
	Lookup(path []byte) (Info, bool, error)
	ACLs() *ACLTable
	// Quota returns the limits and the usage of the deepest znode with a quota
	// on the path, itself included; ok is false when there is none.
	Quota(path []byte) (root string, lim QuotaLimits, use QuotaUsage, ok bool)
	// Ephemerals returns the paths of the session's ephemerals.
	Ephemerals(session int64) []string
	// Digest is the digest of the whole tree.
	Digest() uint64
}

// Rules are the settings that decide what is allowed and what is proposed.
// They must be the same on every server of an ensemble.
type Rules struct {
	Kinds OwnerKinds
	// EnforceQuota makes hard quotas refuse (-125).
	EnforceQuota bool
	// Digest appends the tree's digest to every transaction.
	Digest bool
	// ReconfigEnabled admits reconfig, which is refused (-123) without.
	ReconfigEnabled bool
	// Reconfig judges a reconfig that passed the checks that come before: it
	// returns the new configuration's text, or why not. nil is a standalone
	// server, which has none (-6).
	Reconfig func(req *wire.ReconfigRequest, zxid int64) (config []byte, code wire.Code)
	// Auth is the schemes; nil is ip and digest as they are by default.
	Auth *Auth
}

// Request is one client's write.
type Request struct {
	Session int64
	Cxid    int32
	Op      wire.Op
	Body    []byte
	// IDs are what the connection was authenticated as when the request came.
	IDs []wire.ID
	// SessionErr is what the session check says of this write: 0, -112 for a
	// session that is closing, -118 for one that moved, -120 for a local one
	// that cannot be upgraded (which concerns ephemerals alone).
	SessionErr wire.Code
	// Internal is set for the server's own requests: the reaper's
	// deleteContainer.
	Internal bool
	Time     int64 // ms, wall clock
	Zxid     int64
}
