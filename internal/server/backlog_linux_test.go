package server

import (
	"errors"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// TestListenBacklog asks the kernel how long the accept queue is.
func TestListenBacklog(t *testing.T) {
	for backlog, want := range map[int]uint32{7: 7, 33: 33} {
		cfg := testConfig(t.TempDir())
		cfg.ListenBacklog = backlog
		r := start(t, cfg)
		if got := backlogOf(t, r.s.listeners[0]); got != want {
			t.Errorf("the queue takes %d, want %d", got, want)
		}
		r.client().create("/a", "")
	}
	if got := backlogOf(t, start(t, testConfig(t.TempDir())).s.listeners[0]); got < 64 {
		t.Errorf("without the key the queue takes %d", got)
	}
}

func backlogOf(t *testing.T, l net.Listener) uint32 {
	t.Helper()
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var info *unix.TCPInfo
	var asked error
	err = raw.Control(func(fd uintptr) {
		info, asked = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	})
	if err = errors.Join(err, asked); err != nil {
		t.Fatal(err)
	}
	return info.Sacked // of a listener: how many it lets wait (tcp_get_info in the kernel)
}
