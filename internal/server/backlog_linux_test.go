package server

import (
	"net"
	"syscall"
	"testing"
	"unsafe"
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
	var info [32]byte // tcp_info: 8 bytes, then words, of which the sixth is the length for a listener
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		size := uint32(len(info))
		_, _, errno = syscall.Syscall6(syscall.SYS_GETSOCKOPT, fd, syscall.IPPROTO_TCP, syscall.TCP_INFO,
			uintptr(unsafe.Pointer(&info[0])), uintptr(unsafe.Pointer(&size)), 0)
	})
	if err != nil || errno != 0 {
		t.Fatal(err, errno)
	}
	return *(*uint32)(unsafe.Pointer(&info[28]))
}
