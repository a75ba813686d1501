package znode

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"net/netip"
	"strings"
	"unicode/utf8"

	"github.com/quorate/quorate/wire"
)

// digestScheme is a user and the hash of "user:password".
type digestScheme struct {
	hash  func() hash.Hash
	super string // id of who may do everything; "" is nobody
}

// digestAlgorithms holds Java's names for the hashes.
var digestAlgorithms = map[string]func() hash.Hash{
	"": sha1.New, "SHA": sha1.New, "SHA1": sha1.New, "SHA-1": sha1.New, "MD5": md5.New,
	"SHA-224": sha256.New224, "SHA-256": sha256.New,
	"SHA-384": sha512.New384, "SHA-512": sha512.New,
	"SHA-512/224": sha512.New512_224, "SHA-512/256": sha512.New512_256,
	"SHA3-224": func() hash.Hash { return sha3.New224() },
	"SHA3-256": func() hash.Hash { return sha3.New256() },
	"SHA3-384": func() hash.Hash { return sha3.New384() },
	"SHA3-512": func() hash.Hash { return sha3.New512() },
}

func newDigestScheme(alg, super string) (*digestScheme, error) {
	h, ok := digestAlgorithms[strings.ToUpper(alg)]
	if !ok {
		return nil, fmt.Errorf("%w: DigestAuthenticationProvider.digestAlg names no known hash: %q", ErrAuthConfig, alg)
	}
	return &digestScheme{hash: h, super: super}, nil
}

// Name implements Scheme.
func (*digestScheme) Name() string { return "digest" }

// Authenticated implements Scheme.
func (*digestScheme) Authenticated() bool { return true }

// Valid wants two parts. Java's split drops empty parts at the end, so colons
// there do not count.
func (*digestScheme) Valid(id string) bool {
	return strings.Count(strings.TrimRight(id, ":"), ":") == 1
}

// Matches implements Scheme.
func (*digestScheme) Matches(id, acl string) bool { return id == acl }

// Authenticate implements Scheme; null data is refused.
func (d *digestScheme) Authenticate(data []byte, _ netip.Addr) ([]wire.ID, wire.Code) {
	if data == nil {
		return nil, wire.ErrAuthFailed
	}
	id := d.digest(data)
	var ids []wire.ID
	if id == d.super && d.super != "" {
		ids = append(ids, wire.ID{Scheme: schemeSuper})
	}
	return append(ids, wire.ID{Scheme: d.Name(), ID: id}), wire.OK
}

// digest returns "user:hash". Everything is hashed, also when there is no
// colon and the whole of it is the user.
func (d *digestScheme) digest(userPassword []byte) string {
	userPassword = javaUTF8(userPassword)
	user, _, _ := bytes.Cut(userPassword, []byte(":"))
	h := d.hash()
	h.Write(userPassword)
	return string(user) + ":" + base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// javaUTF8 returns UTF-8 as it is after a Java server has read it: each
// malformed sequence becomes one U+FFFD. Passwords in another encoding have
// been hashed like that, and the hashes are in ACLs.
func javaUTF8(b []byte) []byte {
	if utf8.Valid(b) {
		return b
	}
	out := make([]byte, 0, len(b)+8)
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			n = malformedLen(b)
		}
		out, b = utf8.AppendRune(out, r), b[n:]
	}
	return out
}

// malformedLen returns how many bytes at the start of b are replaced as one:
// as long as they could have begun a character.
func malformedLen(b []byte) int {
	need := 0
	switch c := b[0]; {
	case c >= 0xc2 && c <= 0xdf:
		need = 2
	case c >= 0xe0 && c <= 0xef:
		need = 3
	case c >= 0xf0 && c <= 0xf4:
		need = 4
	}
	n := 1
	for n < need && n < len(b) && mayContinue(b[:n], b[n]) {
		n++
	}
	return n
}

// mayContinue reports whether some character begins with the bytes of head and
// then c. Only the second byte has limits of its own. A surrogate counts as a
// character here: Java replaces its three bytes together.
func mayContinue(head []byte, c byte) bool {
	low, high := byte(0x80), byte(0xbf)
	if len(head) == 1 {
		switch head[0] {
		case 0xe0:
			low = 0xa0
		case 0xf0:
			low = 0x90
		case 0xf4:
			high = 0x8f
		}
	}
	return c >= low && c <= high
}
