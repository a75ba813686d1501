package replica_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/quorate/quorate/internal/replica"
	"github.com/quorate/quorate/wire"
)

// TestCredentialsOfAConnectionAreBounded by number and by size. What is there already is
// accepted at the bound, too.
func TestCredentialsOfAConnectionAreBounded(t *testing.T) {
	for _, c := range []struct {
		user string
		fits int
	}{
		{"user", 1023}, // and the address
		{strings.Repeat("u", 100_000), 10},
	} {
		w := newWorld(t, nil)
		p := w.connected(4000)
		auth := func(i int) answer {
			b := wire.AuthPacket{Scheme: []byte("digest"), Auth: fmt.Appendf(nil, "%s%d:pw", c.user, i)}
			return p.ask(wire.XidAuth, wire.OpAuth, b.Append(nil))
		}
		for i := range c.fits {
			if a := auth(i); a.Err != wire.OK {
				t.Fatalf("credential %d of %d bytes: %v", i, len(c.user), a.Err)
			}
		}
		if a := auth(0); a.Err != wire.OK || p.c.State() != replica.StateConnected {
			t.Errorf("one that is there: %v", a.Err)
		}
		rd := wire.NewReader(p.must(wire.OpWhoAmI, nil).body)
		if n := rd.Int(); int(n) != c.fits+1 {
			t.Errorf("%d credentials, want %d and the address", n, c.fits)
		}
		if a := auth(c.fits); a.Err != wire.ErrAuthFailed || p.c.State() != replica.StateClosed {
			t.Errorf("one too many: %v, state %v", a.Err, p.c.State())
		}
	}
}

// TestMultiOfOwnListsIsBounded: "auth" is short to send and long to store.
func TestMultiOfOwnListsIsBounded(t *testing.T) {
	w := newWorld(t, nil)
	p := w.connected(4000)
	auth := wire.AuthPacket{Scheme: []byte("digest"), Auth: []byte(strings.Repeat("u", 50_000) + ":pw")}
	p.ask(wire.XidAuth, wire.OpAuth, auth.Append(nil))
	own := wire.AppendACLs(nil, []wire.ACL{{Perms: wire.PermAll, ID: wire.ID{Scheme: "auth"}}})
	next := 0
	multi := func(n int) []byte {
		var b []byte
		for range n {
			r := wire.CreateRequest{Path: fmt.Appendf(nil, "/%d", next), ACL: own}
			b = r.Append(wire.MultiHeader{Op: wire.OpCreate, Err: -1}.Append(b), wire.OpCreate)
			next++
		}
		return wire.MultiEnd.Append(b)
	}
	for _, c := range []struct {
		n    int
		code wire.Code
	}{{80, wire.OK}, {90, wire.ErrInvalidACL}, {80, wire.OK}} {
		a := p.ask(1, wire.OpMulti, multi(c.n))
		rd := wire.NewReader(a.body)
		code := wire.OK
		for {
			var h wire.MultiHeader
			if h.Decode(&rd); h.Done || rd.Err() != nil {
				break
			}
			if h.Op == wire.OpError {
				rd.Int()
				if h.Err == wire.ErrInvalidACL {
					code = h.Err
				}
			} else {
				rd.Ustring()
			}
		}
		if code != c.code || a.Err != wire.OK || rd.Err() != nil {
			t.Errorf("%d creations: %v, %v %v", c.n, code, a.Err, rd.Err())
		}
	}
}
