//go:build linux

package ensemble

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// wordPatience bounds the wait for the answer to one word: a paused or starting
// server is asked again rather than waited for.
const wordPatience = 3 * time.Second

// Word sends a four-letter word to host:port and returns the answer.
func Word(addr, word string) (string, error) {
	c, err := net.DialTimeout("tcp", addr, wordPatience)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(wordPatience)); err != nil {
		return "", err
	}
	if _, err := c.Write([]byte(word)); err != nil {
		return "", err
	}
	b, err := io.ReadAll(c)
	if len(b) > 0 {
		err = nil // Java may reset the connection behind its answer
	}
	return string(b), err
}

// State is what srvr says about a server.
type State struct {
	Mode  string // leader, follower, observer
	Zxid  int64
	Nodes int
}

// State asks the member with srvr. It is an error when the member does not
// serve.
func (m *Member) State() (State, error) {
	text, err := Word(m.Addr(), "srvr")
	if err != nil {
		return State{}, fmt.Errorf("member %v: %w", m, err)
	}
	st, err := parseState(text)
	if err != nil {
		return st, fmt.Errorf("member %v: %w", m, err)
	}
	return st, nil
}

func parseState(text string) (st State, err error) {
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "Mode":
			st.Mode = value
		case "Zxid":
			st.Zxid, err = strconv.ParseInt(strings.TrimPrefix(value, "0x"), 16, 64)
		case "Node count":
			st.Nodes, err = strconv.Atoi(value)
		}
		if err != nil {
			return st, fmt.Errorf("srvr says %q: %w", line, err)
		}
	}
	if st.Mode == "" {
		return st, fmt.Errorf("not serving: %q", strings.TrimSpace(text))
	}
	return st, nil
}

// Monitor asks the member with mntr and returns the values by key.
func (m *Member) Monitor() (map[string]string, error) {
	text, err := Word(m.Addr(), "mntr")
	if err != nil {
		return nil, fmt.Errorf("member %v: %w", m, err)
	}
	all := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
			all[key] = value
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("member %v: mntr says %q", m, text)
	}
	return all, nil
}

// Digests asks the member with hash: the digest of the whole tree at some
// zxids, every 128th and of the last 1024 such.
func (m *Member) Digests() (map[int64]string, error) {
	text, err := Word(m.Addr(), "hash")
	if err != nil {
		return nil, fmt.Errorf("member %v: %w", m, err)
	}
	return parseDigests(text)
}

func parseDigests(text string) (map[int64]string, error) {
	all := map[int64]string{}
	for line := range strings.Lines(text) {
		zxid, digest, ok := strings.Cut(strings.TrimSpace(line), ": ")
		n, err := strconv.ParseInt(strings.TrimPrefix(zxid, "0x"), 16, 64)
		if !ok || err != nil {
			return nil, fmt.Errorf("hash says %q", line)
		}
		all[n] = digest
	}
	return all, nil
}
