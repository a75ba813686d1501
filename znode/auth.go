package znode

import (
	"github.com/quorate/quorate/wire"
)

// AuthConfig chooses the authentication schemes.
type AuthConfig struct {
	// DigestDisabled is DigestAuthenticationProvider.enabled=false: the digest
	// scheme is unknown then, in ACLs too.
	DigestDisabled bool
	// DigestAlg is DigestAuthenticationProvider.digestAlg: SHA1 (also ""),
	// SHA-224, SHA-256, SHA-384, SHA-512, SHA-512/256, SHA3-256, SHA3-512, MD5.
	DigestAlg string
	// SuperDigest is DigestAuthenticationProvider.superDigest: whoever
	// authenticates as this "user:hash" may do everything. Empty is nobody.
	SuperDigest string
	// SkipACL is zookeeper.skipACL=yes: nothing is checked.
	SkipACL bool
	// Schemes are further ones, after the built-in ip and digest.
	Schemes []Scheme
}

// Scheme is one authentication scheme, as ACLs and auth packets name it.
// Implementations are used by several goroutines and must not block.
type Scheme interface {
	// Name is the scheme of the ids.
	Name() string
	// Authenticated tells whether the "auth" entry of an ACL stands for the
	// scheme's ids.
	Authenticated() bool
	// Valid reports whether id may stand in an ACL.
	Valid(id string) bool
	// Matches reports whether the connection's id satisfies the ACL's.
	Matches(id, acl string) bool
	// Authenticate turns the data of an auth packet from the given address
	// into the ids the connection gains, or refuses with a code.
	Authenticate(data []byte, remote string) ([]wire.ID, wire.Code)
}
