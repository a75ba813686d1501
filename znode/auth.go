package znode

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/quorate/quorate/wire"
)

// ErrAuthConfig is what [NewAuth] reports for settings it cannot follow.
var ErrAuthConfig = errors.New("znode: bad authentication settings")

// AuthConfig chooses the authentication schemes. Its zero value is what a
// server without settings has: ip and digest with SHA1, nobody super.
type AuthConfig struct {
	// DigestDisabled is DigestAuthenticationProvider.enabled=false: the digest
	// scheme is unknown then, in ACLs too.
	DigestDisabled bool
	// DigestAlg is DigestAuthenticationProvider.digestAlg: SHA1 (also ""),
	// SHA-224, SHA-256, SHA-384, SHA-512, SHA-512/224, SHA-512/256, SHA3-224,
	// SHA3-256, SHA3-384, SHA3-512 or MD5, in any case.
	DigestAlg string
	// SuperDigest is DigestAuthenticationProvider.superDigest: whoever
	// authenticates as this "user:hash" may do everything. Empty is nobody.
	SuperDigest string
	// SkipACL is zookeeper.skipACL=yes: no permission is checked.
	SkipACL bool
	// Schemes are further ones. One named ip or digest replaces the built-in.
	Schemes []Scheme
}

// Scheme is one authentication scheme, as ACLs and auth packets name it.
// Implementations are used by several goroutines and must not block.
type Scheme interface {
	// Name is the scheme of the ids.
	Name() string
	// Authenticated tells whether the "auth" entry of an ACL stands for ids of
	// this scheme.
	Authenticated() bool
	// Valid reports whether id may stand in an ACL.
	Valid(id string) bool
	// Matches reports whether the connection's id satisfies the ACL's.
	Matches(id, acl string) bool
	// Authenticate turns the data of an auth packet (nil is null) into the
	// ids the connection gains, or refuses with a code.
	Authenticate(data []byte, remote netip.Addr) ([]wire.ID, wire.Code)
}

// The schemes that stand for everyone, for whoever is asking, and for those
// who may do everything. No provider has these names.
const (
	schemeWorld = "world"
	schemeAuth  = "auth"
	schemeSuper = "super"
	idAnyone    = "anyone"
)

// Auth is the registry of schemes, and the rules of who may do what. It does
// not change and may be used by any goroutine. A nil *Auth is that of the zero
// AuthConfig.
type Auth struct {
	skipACL bool
	schemes map[string]Scheme
}

var defaultAuth = func() *Auth {
	a, err := NewAuth(AuthConfig{})
	if err != nil {
		panic(err)
	}
	return a
}()

// NewAuth returns the registry with these settings.
func NewAuth(c AuthConfig) (*Auth, error) {
	a := &Auth{skipACL: c.SkipACL, schemes: map[string]Scheme{}}
	a.add(ipScheme{})
	if !c.DigestDisabled {
		d, err := newDigestScheme(c.DigestAlg, c.SuperDigest)
		if err != nil {
			return nil, err
		}
		a.add(d)
	}
	for _, s := range c.Schemes {
		switch s.Name() {
		case schemeWorld, schemeAuth, schemeSuper, "":
			return nil, fmt.Errorf("%w: %q cannot name a scheme", ErrAuthConfig, s.Name())
		}
		a.add(s)
	}
	return a, nil
}

func (a *Auth) add(s Scheme) { a.schemes[s.Name()] = s }

// Scheme returns the scheme of this name, or nil.
func (a *Auth) Scheme(name string) Scheme {
	if a == nil {
		a = defaultAuth
	}
	return a.schemes[name]
}

// Authenticate answers an auth packet (op 100): the ids to add to the
// connection's, or the code of the reply, after which the connection is to be
// closed; AuthHangUp is no reply. Nobody becomes world, and sasl has an operation of its own.
func (a *Auth) Authenticate(scheme string, data []byte, remote netip.Addr) ([]wire.ID, wire.Code) {
	s := a.Scheme(scheme)
	if s == nil {
		return nil, wire.ErrAuthFailed
	}
	return s.Authenticate(data, remote)
}

// AddressID returns the id every connection has from the start: its address.
func AddressID(remote netip.Addr) wire.ID {
	return wire.ID{Scheme: "ip", ID: hostAddress(remote)}
}
