package bench

import (
	"context"
	"io"
	"net"
	"time"
)

// answerBytesMax bounds what a four-letter word may answer.
const answerBytesMax = 16 << 20

// FourLetterWord sends one of the four-letter words (ruok, mntr, ...) and
// returns what the server answers. The server must have the word in its
// whitelist.
func FourLetterWord(ctx context.Context, addr, word string) (string, error) {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", dialError(addr, err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, word); err != nil {
		return "", ioError(addr, readError(err), 0, 0, 0)
	}
	b, err := io.ReadAll(io.LimitReader(conn, answerBytesMax))
	if err != nil && !isReset(err) { // a server may hang up hard once it has answered
		return "", ioError(addr, readError(err), 0, 0, 0)
	}
	return string(b), nil
}

// FreeAddr returns an address on this machine at which nothing listens now.
func FreeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}
