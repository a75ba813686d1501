package znode

import (
	"errors"
	"net/netip"
	"reflect"
	"testing"

	"github.com/quorate/quorate/wire"
)

func mustAuth(t *testing.T, c AuthConfig) *Auth {
	t.Helper()
	a, err := NewAuth(c)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestDigest(t *testing.T) {
	local := netip.MustParseAddr("127.0.0.1")
	id := func(id string) []wire.ID { return []wire.ID{{Scheme: "digest", ID: id}} }
	// bob:pw is from semantics.md 4.3; the others are from Java's
	// DigestAuthenticationProvider.generateDigest.
	for data, want := range map[string]string{
		"bob:pw":      "bob:ikIaKsbtGweaHnb/jKn7OHqbunM=",
		"super:admin": "super:xQJmxLMiHGwaqBvst5y6rkB6HQs=",
		"user":        "user:Et6pb+wgWTVmq3VpLJlJWWgzrck=",
		"":            ":2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
	} {
		got, code := (*Auth)(nil).Authenticate("digest", []byte(data), local)
		if code != wire.OK || !reflect.DeepEqual(got, id(want)) {
			t.Errorf("%q: %v, %v", data, got, code)
		}
	}
	if _, code := mustAuth(t, AuthConfig{}).Authenticate("digest", nil, local); code != wire.ErrAuthFailed {
		t.Errorf("null data: %v", code)
	}
	super := mustAuth(t, AuthConfig{SuperDigest: "super:xQJmxLMiHGwaqBvst5y6rkB6HQs="})
	got, code := super.Authenticate("digest", []byte("super:admin"), local)
	if want := append([]wire.ID{{Scheme: "super"}}, id("super:xQJmxLMiHGwaqBvst5y6rkB6HQs=")...); code != wire.OK || !reflect.DeepEqual(got, want) {
		t.Errorf("super: %v, %v", got, code)
	}
	if got, _ := super.Authenticate("digest", []byte("super:other"), local); len(got) != 1 {
		t.Errorf("a wrong password: %v", got)
	}
	sha256 := mustAuth(t, AuthConfig{DigestAlg: "SHA-256"})
	if got, _ := sha256.Authenticate("digest", []byte("bob:pw"), local); len(got) != 1 || len(got[0].ID) != len("bob:")+44 {
		t.Errorf("SHA-256: %v", got)
	}
}

func TestAuthenticate(t *testing.T) {
	a := mustAuth(t, AuthConfig{})
	remote := netip.MustParseAddr("10.1.2.3")
	if got, code := a.Authenticate("ip", nil, remote); code != wire.OK || !reflect.DeepEqual(got, []wire.ID{{Scheme: "ip", ID: "10.1.2.3"}}) {
		t.Errorf("ip: %v, %v", got, code)
	}
	for _, scheme := range []string{"world", "auth", "sasl", "super", "x509", "", "nosuch"} {
		if got, code := a.Authenticate(scheme, []byte("a:b"), remote); code != wire.ErrAuthFailed || got != nil {
			t.Errorf("%q: %v, %v", scheme, got, code)
		}
	}
	off := mustAuth(t, AuthConfig{DigestDisabled: true})
	if _, code := off.Authenticate("digest", []byte("a:b"), remote); code != wire.ErrAuthFailed {
		t.Errorf("digest is off: %v", code)
	}
	if _, err := NewAuth(AuthConfig{DigestAlg: "CRC32"}); !errors.Is(err, ErrAuthConfig) {
		t.Errorf("an unknown hash: %v", err)
	}
}

// keyScheme is a scheme of somebody else's.
type keyScheme struct{ ipScheme }

func (keyScheme) Name() string              { return "key" }
func (keyScheme) Authenticated() bool       { return true }
func (keyScheme) Valid(id string) bool      { return id != "" }
func (keyScheme) Matches(id, a string) bool { return id == a }

type namedScheme struct {
	keyScheme
	name string
}

func (n namedScheme) Name() string { return n.name }

func TestFurtherSchemes(t *testing.T) {
	a := mustAuth(t, AuthConfig{Schemes: []Scheme{keyScheme{}}})
	ids := []wire.ID{{Scheme: "key", ID: "7"}}
	got, _, code := a.FixACL(wire.AppendACLs(nil, []wire.ACL{acl(31, "auth", "")}), ids)
	if code != wire.OK || !a.Allowed(got, wire.PermRead, ids) || Allowed(got, wire.PermRead, ids) {
		t.Errorf("%v, %v", got, code)
	}
	for _, name := range []string{"world", "auth", "super", ""} {
		if _, err := NewAuth(AuthConfig{Schemes: []Scheme{namedScheme{name: name}}}); !errors.Is(err, ErrAuthConfig) {
			t.Errorf("a scheme called %q: %v", name, err)
		}
	}
}

// TestEnsembleScheme: only a name that is not on the list is refused, without an answer.
func TestEnsembleScheme(t *testing.T) {
	remote := netip.MustParseAddr("10.1.2.3")
	for _, c := range []struct {
		names []string
		name  []byte
		want  wire.Code
	}{
		{nil, nil, wire.OK},
		{nil, []byte("x"), wire.OK},
		{[]string{"x", "y"}, []byte("y"), wire.OK},
		{[]string{"x", "y"}, []byte{}, wire.OK},
		{[]string{"x", "y"}, []byte("Y"), AuthHangUp},
	} {
		e := &Ensemble{Names: c.names}
		a := mustAuth(t, AuthConfig{Schemes: []Scheme{e}})
		if got, code := a.Authenticate("ensemble", c.name, remote); code != c.want || len(got) != 0 {
			t.Errorf("%q among %q: %v, %v", c.name, c.names, got, code)
		}
		skipped, accepted, refused := e.Skipped.Load(), e.Accepted.Load(), e.Refused.Load()
		if skipped+accepted+refused != 1 || (refused == 1) != (c.want != wire.OK) || (accepted == 1) != (string(c.name) == "y") {
			t.Errorf("%q among %q: %d skipped, %d accepted, %d refused", c.name, c.names, skipped, accepted, refused)
		}
	}
}

func TestHostAddress(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1":        "127.0.0.1",
		"::ffff:10.1.2.3":  "10.1.2.3",
		"::1":              "0:0:0:0:0:0:0:1",
		"2001:db8::a:0:1":  "2001:db8:0:0:0:a:0:1",
		"fe80::1%eth0":     "fe80:0:0:0:0:0:0:1%eth0",
		"ff02::1:ff00:42a": "ff02:0:0:0:0:1:ff00:42a",
	} {
		if got := AddressID(netip.MustParseAddr(addr)); got != (wire.ID{Scheme: "ip", ID: want}) {
			t.Errorf("%s: %v, want %s", addr, got, want)
		}
	}
}

func TestIPValid(t *testing.T) {
	for id, want := range map[string]bool{
		"1.2.3.4": true, "0.0.0.0/0": true, "255.255.255.255/32": true, "10.0.0.0/8": true, "+1.2.3.4": true,
		"::": true, "::1": true, "1::": true, "2001:db8::/32": true, "0:0:0:0:0:0:0:1": true, "1:2:3:4:5:6:7::": true,
		"1:2:3:4:5:6:7:8/128": true, "::2:3:4:5:6:7:8": true,
		"": false, "localhost": false, "1.2.3": false, "1.2.3.4.5": false, "1.2.3.": false, "1.2.3.256": false, "1.2.3.-1": false,
		"1.2.3.4/": false, "1.2.3.4/33": false, "1.2.3.4/-1": false, "1.2.3.4/x": false, "1.2.3.4/8/8": false,
		":": false, ":::": false, "1:2:3:4:5:6:7": false, "1:2:3:4:5:6:7:8:9": false, "1::2::3": false, "::/129": false,
		"1:2:3:4:5:6:7:8::": false, "::1:2:3:4:5:6:7:8": false, "12345::": false, "g::": false, "::1:": false, ":1::": false,
		"::ffff:1.2.3.4": false,
	} {
		if got := (ipScheme{}).Valid(id); got != want {
			t.Errorf("%q: %v", id, got)
		}
	}
}

func TestIPMatches(t *testing.T) {
	for _, c := range []struct {
		id, acl string
		want    bool
	}{
		{"10.1.2.3", "10.1.2.3", true},
		{"10.1.2.3", "10.1.2.4", false},
		{"10.1.2.3", "10.0.0.0/8", true},
		{"11.1.2.3", "10.0.0.0/8", false},
		{"10.1.2.3", "10.1.2.0/30", true},
		{"10.1.2.4", "10.1.2.0/30", false},
		{"10.1.2.3", "0.0.0.0/0", true},
		{"10.1.2.3", "10.1.2.99/24", true}, // bits that do not count are ignored
		{"0:0:0:0:0:0:0:1", "::1", true},
		{"0:0:0:0:0:0:0:1", "::/0", true},
		{"10.1.2.3", "::/0", false},
		{"0:0:0:0:0:0:0:1", "0.0.0.0/0", false},
		{"2001:db8:0:0:0:a:0:1", "2001:DB8::/32", true},
		{"2001:db9:0:0:0:a:0:1", "2001:db8::/32", false},
		{"2001:db8:8000:0:0:0:0:1", "2001:db8::/33", false},
		{"2001:db8:7fff:0:0:0:0:1", "2001:db8::/33", true},
		{"10.1.2.3", "rubbish", false},
		{"rubbish", "10.0.0.0/8", false},
		{"fe80:0:0:0:0:0:0:1%eth0", "fe80::/10", false}, // as in Java
	} {
		if got := (ipScheme{}).Matches(c.id, c.acl); got != c.want {
			t.Errorf("%s against %s: %v", c.id, c.acl, got)
		}
	}
}

func FuzzIPRange(f *testing.F) {
	for _, s := range []string{"1.2.3.4/8", "::1", "2001:db8::/32", "::ffff:1.2.3.4%1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		// What the standard library calls a range is one here, but for the
		// forms that IPAuthenticationProvider does not know.
		if p, err := netip.ParsePrefix(s); err == nil && !p.Addr().Is4In6() && !(ipScheme{}).Valid(s) {
			if _, _, v4Tail := cutLast(s, '.'); !v4Tail || p.Addr().Is4() {
				t.Fatalf("%q is refused", s)
			}
		}
		if (ipScheme{}).Valid(s) && !(ipScheme{}).Matches(s[:cutSlash(s)], s) {
			t.Fatalf("%q does not match itself", s)
		}
	})
}

func cutLast(s string, c byte) (before, after string, found bool) {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == c {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

func cutSlash(s string) int {
	for i := range s {
		if s[i] == '/' {
			return i
		}
	}
	return len(s)
}

// The right column is what Java 17 makes of the left one:
// new String(bytes, UTF_8).getBytes(UTF_8).
func TestJavaUTF8(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                    "plain",
		"é日😀":                      "é日😀",
		"a\xffb":                   "a\ufffdb",
		"\xe2\x82":                 "\ufffd",
		"\xe2\x82x":                "\ufffdx",
		"\xe2x":                    "\ufffdx",
		"\xf0\x9f\x98":             "\ufffd",
		"\xf0\x9f\x98\xff":         "\ufffd\ufffd",
		"\xc0\xaf":                 "\ufffd\ufffd",
		"\xed\xa0\x80":             "\ufffd",
		"\xed\xa0":                 "\ufffd",
		"\xed\xa0\x80\xed\xb0\x80": "\ufffd\ufffd",
		"\xf0\x80\x80\x80":         "\ufffd\ufffd\ufffd\ufffd",
		"\xf4\x8f\xbf":             "\ufffd",
		"\xe2\x82\xe2\x82\xac":     "\ufffd€",
		"\xf5\x80\x80\x80":         "\ufffd\ufffd\ufffd\ufffd",
		"\xe0\x80\x80":             "\ufffd\ufffd\ufffd",
		"\xf4\x90\x80\x80":         "\ufffd\ufffd\ufffd\ufffd",
		"caf\xe9:pw":               "caf\ufffd:pw",
	} {
		if got := string(javaUTF8([]byte(in))); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
