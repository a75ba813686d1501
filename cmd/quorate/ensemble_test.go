package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTakenPortOfMembers: the exit code is ZooKeeper's.
func TestTakenPortOfMembers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	dir := t.TempDir()
	file := filepath.Join(dir, "zoo.cfg")
	text := fmt.Sprintf("dataDir=%s\ninitLimit=10\nsyncLimit=5\nadmin.enableServer=false\nelectionPortBindRetry=1\n"+
		"server.1=127.0.0.1:%d:%d\nserver.2=127.0.0.1:1:2\nserver.3=127.0.0.1:3:4\n", dir, port, port%65535+1)
	for path, text := range map[string]string{file: text, filepath.Join(dir, "myid"): "1"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var stdout, stderr bytes.Buffer
	if code := run([]string{"server", file}, nil, &stdout, &stderr); code != 14 || !strings.Contains(stderr.String(), "addresses of server.1: ") {
		t.Errorf("exit code %d: %s", code, &stderr)
	}
}
