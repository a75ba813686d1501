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
