// Package shell is a command shell for znodes that takes zkCli.sh's commands
// and prints what it prints: one command from the command line, or many from a
// terminal or a pipe.
//
// It speaks the client protocol itself, because the stock Go client lacks what
// half of the commands need (persistent watches, removal of watches, whoAmI,
// getEphemerals, getAllChildrenNumber, read-only mode, the zxid of an event).
// Shell is the commands, Conn the connection behind them; between the two
// stands Client, so that each is tested without the other.
package shell

import (
	"errors"

	"github.com/quorate/quorate/wire"
)

// Client is what the commands need of a connection. A failed request returns
// the wire.Code the server sent, ErrConnectionLoss, or another error when the
// request was not sent at all. Paths are those the user typed, before a chroot.
type Client interface {
	// State is ZooKeeper's name of the connection's state: CONNECTING,
	// CONNECTED, CONNECTEDREADONLY, AUTH_FAILED or CLOSED.
	State() string
	// Close ends the session and waits until the server knows, or is gone.
	Close()

	// Create makes a znode and returns its path; ttl counts in milliseconds
	// and is -1 for flags without one.
	Create(path string, data []byte, acl []wire.ACL, flags int32, ttl int64) (string, error)
	Delete(path string, version int32) error
	// DeleteAll deletes all of the paths, in their order, or none.
	DeleteAll(paths []string) error
	Exists(path string, watch bool) (wire.Stat, error)
	Get(path string, watch bool) ([]byte, wire.Stat, error)
	Set(path string, data []byte, version int32) (wire.Stat, error)
	Children(path string, watch bool) ([]string, wire.Stat, error)
	ACL(path string) ([]wire.ACL, wire.Stat, error)
	SetACL(path string, acl []wire.ACL, version int32) (wire.Stat, error)
	AddAuth(scheme string, auth []byte) error
	Sync(path string) error
	// AddWatch sets a persistent watch, recursive or not.
	AddWatch(path string, recursive bool) error
	// RemoveWatches drops the watches of a kind that this client has on a path,
	// and reports each as an event. local drops them even when the server
	// cannot be asked.
	RemoveWatches(path string, kind wire.WatcherType, local bool) error
	Ephemerals(prefix string) ([]string, error)
	AllChildrenNumber(path string) (int32, error)
	WhoAmI() ([]wire.ClientInfo, error)
	// Config reads the ensemble's configuration, whatever the chroot.
	Config(watch bool) ([]byte, wire.Stat, error)
	// Reconfig changes it; empty lists are absent, version -1 means any.
	Reconfig(joining, leaving, members string, version int64) ([]byte, wire.Stat, error)
}

// Event is something the client is told outside of replies.
type Event struct {
	// State is the connection's: SyncConnected, Disconnected,
	// ConnectedReadOnly, AuthFailed, Expired or Closed.
	State string
	// Type is None for a change of State, else what happened to Path.
	Type string
	// Path is empty when there is none.
	Path string
	// Zxid is the transaction behind it; -1 when there is none.
	Zxid int64
}

// Connect opens a connection to "host:port[,host:port...][/chroot]" and returns
// without waiting for it. Events go to onEvent, one after the other; it must
// not call the Client.
type Connect func(servers string, onEvent func(Event)) (Client, error)

// ErrConnectionLoss is what a request gets whose connection broke before the
// reply, or could not be made: it may or may not have been executed.
var ErrConnectionLoss = errors.New("ConnectionLoss")

// ErrClosed is what a request gets on a session that has ended.
var ErrClosed = errors.New("session has ended")
