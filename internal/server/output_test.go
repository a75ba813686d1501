package server

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/quorate/quorate/wire"
)

// TestAnswersLargerThanTheSocketTakes asks for much more than socket buffers
// hold before it reads anything: the server has to stop reading from the
// client, go on writing when there is room, and then go on reading, without a
// write of the session's that could wake it.
func TestAnswersLargerThanTheSocketTakes(t *testing.T) {
	s, err := Open(Config{ClientAddrs: []string{"127.0.0.1:0"}, DataDir: t.TempDir(), PreallocBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	nc, err := net.Dial("tcp", s.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	send := func(body []byte) {
		if _, err := nc.Write(append(wire.AppendInt(nil, int32(len(body))), body...)); err != nil {
			t.Error(err)
		}
	}
	receive := func() []byte {
		head := make([]byte, wire.FrameHeaderBytes)
		if _, err := io.ReadFull(nc, head); err != nil {
			t.Fatal(err)
		}
		body := make([]byte, wire.FrameLength(head))
		if _, err := io.ReadFull(nc, body); err != nil {
			t.Fatal(err)
		}
		return body
	}
	hello := wire.ConnectRequest{TimeOut: 30000, HasReadOnly: true}
	send(hello.Append(nil))
	receive()
	const size = 900_000
	create := wire.CreateRequest{Path: []byte("/big"), Data: make([]byte, size), ACL: wire.OpenACL}
	send(create.Append(wire.RequestHeader{Xid: 1, Op: wire.OpCreate}.Append(nil), wire.OpCreate))
	receive()
	const reads = 100
	go func() {
		for i := range int32(reads) {
			send(wire.PathWatch{Path: []byte("/big")}.Append(wire.RequestHeader{Xid: 10 + i, Op: wire.OpGetData}.Append(nil)))
		}
	}()
	for i := range int32(reads) {
		body := receive()
		rd := wire.NewReader(body)
		var h wire.ReplyHeader
		h.Decode(&rd)
		if h.Xid != 10+i || h.Err != wire.OK || len(rd.Buffer()) != size {
			t.Fatalf("answer %d: %+v", i, h)
		}
	}
	if err := nc.Close(); err != nil {
		t.Error(err)
	}
	stop()
	if err := <-ended; !errors.Is(err, ErrStopped) {
		t.Errorf("Run: %v", err)
	}
}
