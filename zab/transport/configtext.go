package transport

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// ErrConfigText is in every error of CheckConfigText.
var ErrConfigText = errors.New("text of the configuration is not fit to be sent")

// CheckConfigText reports why Java servers should not be sent text as the configuration of a notification. They parse
// it on the thread that the election runs on, and some faults end that thread for good: a sid that is no number, a port
// out of range, a configuration without a participant. So what is sent is exactly what ZooKeeper itself writes:
// server.N, group.N and weight.N lines and a version, nothing else.
func CheckConfigText(text []byte) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrConfigText}, args...)...)
	}
	if len(text) > frameBytesMax-notificationBytes {
		return bad("%d bytes", len(text))
	}
	participants, versioned := 0, false
	for line := range strings.SplitSeq(string(text), "\n") {
		key, value, ok := strings.Cut(line, "=")
		if !ok || strings.ContainsAny(line, "\\\r") {
			return bad("line %q", line)
		}
		kind, number, _ := strings.Cut(key, ".")
		if _, err := strconv.ParseInt(number, 10, 64); kind != "version" && err != nil {
			return bad("key %q", key)
		}
		switch kind {
		case "server":
			participant, err := checkMember(value)
			if err != nil {
				return bad("%s: %v", key, err)
			}
			if participant {
				participants++
			}
		case "group", "weight":
			for n := range strings.SplitSeq(value, ":") {
				if _, err := strconv.ParseInt(n, 10, 64); err != nil {
					return bad("%s: %q", key, value)
				}
			}
		case "version":
			if _, err := strconv.ParseInt(value, 16, 64); err != nil {
				return bad("version %q", value)
			}
			versioned = true
		default:
			return bad("key %q", key)
		}
	}
	switch {
	case participants == 0:
		return bad("no participant")
	case !versioned:
		return bad("no version")
	}
	return nil
}

// checkMember takes host:port:port[|host:port:port...][:role][;[host:]port] apart.
func checkMember(value string) (participant bool, err error) {
	servers, client, has := strings.Cut(value, ";")
	if has && !isPort(client[strings.LastIndexByte(client, ':')+1:]) {
		return false, fmt.Errorf("client address %q", client)
	}
	participant = true
	if rest, ok := strings.CutSuffix(servers, ":observer"); ok {
		servers, participant = rest, false
	} else {
		servers = strings.TrimSuffix(servers, ":participant")
	}
	for a := range strings.SplitSeq(servers, "|") {
		i := strings.LastIndexByte(a, ':')
		if i < 0 || !isPort(a[i+1:]) {
			return false, fmt.Errorf("election port of %q", a)
		}
		host, port, err := net.SplitHostPort(a[:i])
		if err != nil || host == "" || !isPort(port) {
			return false, fmt.Errorf("address %q", a)
		}
	}
	return participant, nil
}

// isPort reports whether s is a port number.
func isPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}
