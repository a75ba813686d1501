package znode

import (
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/quorate/quorate/wire"
)

// AuthHangUp is the code of an [Auth.Authenticate] after which the connection is to be
// closed without an answer. It is none of the protocol's.
const AuthHangUp wire.Code = 3

// Ensemble is the scheme by which a client says which ensemble it means
// (EnsembleAuthenticationProvider): one that has come to another's server is cut off, so
// that it tries the next address, where an error would end it. Nobody gains an id by it,
// and none of its ids may stand in an ACL.
type Ensemble struct {
	// Names are the names that are accepted; nil accepts every name.
	Names []string
	// Skipped counts clients that were not asked for a name or gave none, Accepted and
	// Refused the others.
	Skipped, Accepted, Refused atomic.Int64
}

// Reset starts counting anew.
func (e *Ensemble) Reset() {
	e.Skipped.Store(0)
	e.Accepted.Store(0)
	e.Refused.Store(0)
}

// Name implements Scheme.
func (*Ensemble) Name() string { return "ensemble" }

// Authenticated implements Scheme.
func (*Ensemble) Authenticated() bool { return true }

// Valid implements Scheme.
func (*Ensemble) Valid(string) bool { return false }

// Matches implements Scheme.
func (*Ensemble) Matches(string, string) bool { return false }

// Authenticate implements Scheme; the data is the name.
func (e *Ensemble) Authenticate(data []byte, _ netip.Addr) ([]wire.ID, wire.Code) {
	switch {
	case len(data) == 0 || e.Names == nil:
		e.Skipped.Add(1)
	case slices.Contains(e.Names, string(data)):
		e.Accepted.Add(1)
	default:
		e.Refused.Add(1)
		return nil, AuthHangUp
	}
	return nil, wire.OK
}
