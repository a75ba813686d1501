package wire

import "strconv"

// Code is the err field of a reply (KeeperException.Code). It is an error
// whose zero value, OK, must not be returned as one.
type Code int32

// The codes a server may send. Java clients fail on any other number.
const (
	OK                           Code = 0
	ErrRuntimeInconsistency      Code = -2
	ErrMarshalling               Code = -5
	ErrUnimplemented             Code = -6
	ErrBadArguments              Code = -8
	ErrNewConfigNoQuorum         Code = -13
	ErrReconfigInProgress        Code = -14
	ErrNoNode                    Code = -101
	ErrNoAuth                    Code = -102
	ErrBadVersion                Code = -103
	ErrNoChildrenForEphemerals   Code = -108
	ErrNodeExists                Code = -110
	ErrNotEmpty                  Code = -111
	ErrSessionExpired            Code = -112
	ErrInvalidACL                Code = -114
	ErrAuthFailed                Code = -115
	ErrSessionMoved              Code = -118
	ErrNotReadOnly               Code = -119
	ErrEphemeralOnLocalSession   Code = -120
	ErrNoWatcher                 Code = -121
	ErrReconfigDisabled          Code = -123
	ErrSessionClosedRequiresAuth Code = -124
	ErrQuotaExceeded             Code = -125
	ErrThrottledOp               Code = -127
)

var codeNames = map[Code]string{
	OK:                           "Ok",
	ErrRuntimeInconsistency:      "RuntimeInconsistency",
	ErrMarshalling:               "MarshallingError",
	ErrUnimplemented:             "Unimplemented",
	ErrBadArguments:              "BadArguments",
	ErrNewConfigNoQuorum:         "NewConfigNoQuorum",
	ErrReconfigInProgress:        "ReconfigInProgress",
	ErrNoNode:                    "NoNode",
	ErrNoAuth:                    "NoAuth",
	ErrBadVersion:                "BadVersion",
	ErrNoChildrenForEphemerals:   "NoChildrenForEphemerals",
	ErrNodeExists:                "NodeExists",
	ErrNotEmpty:                  "Directory not empty",
	ErrSessionExpired:            "Session expired",
	ErrInvalidACL:                "InvalidACL",
	ErrAuthFailed:                "AuthFailed",
	ErrSessionMoved:              "Session moved",
	ErrNotReadOnly:               "Not a read-only call",
	ErrEphemeralOnLocalSession:   "Ephemeral node on local session",
	ErrNoWatcher:                 "No such watcher",
	ErrReconfigDisabled:          "Reconfig is disabled",
	ErrSessionClosedRequiresAuth: "Session closed because client failed to authenticate",
	ErrQuotaExceeded:             "Quota has exceeded",
	ErrThrottledOp:               "Op throttled due to high load",
}

// Error returns ZooKeeper's name of the code.
func (c Code) Error() string {
	if n, ok := codeNames[c]; ok {
		return n
	}
	return "code " + strconv.Itoa(int(c))
}
