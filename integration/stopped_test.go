package integration

import (
	"syscall"
	"testing"
	"time"

	"github.com/quorate/quorate/wire"
)

// TestStoppedServerKeepsSessions stops a server with SIGSTOP for longer than a session may
// be silent, and lets it go on. Its client has gone on with pings, which wait in the socket:
// it has not been silent, and whoever looks at the clock before the sockets is wrong.
func TestStoppedServerKeepsSessions(t *testing.T) {
	s := newServer(t, Quorate, Options{"tickTime": "500"})
	c := mustConnect(t, s.Addr, ConnectOptions{TimeoutMs: 1000})
	if _, err := c.Create("/stopped", nil, wire.FlagEphemeral); err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		if err := s.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		sent := 0
		for until := time.Now().Add(2500 * time.Millisecond); time.Now().Before(until); sent++ {
			if err := c.SendXid(wire.XidPing, wire.OpPing, nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if err := s.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		for i := range sent {
			if rep, err := c.Next(); err != nil || rep.Xid != wire.XidPing {
				t.Fatalf("round %d, answer %d of %d: %+v, %v", round, i, sent, rep, err)
			}
		}
		if _, err := c.Exists("/stopped", false); err != nil {
			t.Fatalf("round %d: the session's ephemeral: %v", round, err)
		}
	}
}
