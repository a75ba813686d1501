package members

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Role is what a member of an ensemble takes part in.
type Role uint8

// The roles. The numbers are those of the peerType line that the word conf
// prints.
const (
	// Participant members vote.
	Participant Role = 0
	// Observer members follow without a vote.
	Observer Role = 1
)

// String is the word of a server line.
func (r Role) String() string {
	if r == Observer {
		return "observer"
	}
	return "participant"
}

// Address is one address of a member for the traffic between servers.
type Address struct {
	// Host is a name or an address, without brackets.
	Host string
	// QuorumPort is where followers find the leader.
	QuorumPort int
	// ElectionPort is where votes go.
	ElectionPort int
}

// Quorum is host:port of the quorum port, to be dialled.
func (a Address) Quorum() string { return join(a.Host, a.QuorumPort) }

// Election is host:port of the election port, to be dialled.
func (a Address) Election() string { return join(a.Host, a.ElectionPort) }

// Member is one server of an ensemble.
type Member struct {
	// ID is the N of server.N, the server's sid; never negative.
	ID int64
	// Addresses are at least one, sorted by host.
	Addresses []Address
	// Role is what the member takes part in.
	Role Role
	// ClientHost and ClientPort are where it serves clients; port 0 when the
	// line does not say.
	ClientHost string
	ClientPort int
}

// QuorumAddrs are host:port of the quorum ports of all addresses.
func (m *Member) QuorumAddrs() []string { return m.each(Address.Quorum) }

// ElectionAddrs are host:port of the election ports of all addresses.
func (m *Member) ElectionAddrs() []string { return m.each(Address.Election) }

func (m *Member) each(f func(Address) string) []string {
	out := make([]string, len(m.Addresses))
	for i, a := range m.Addresses {
		out[i] = f(a)
	}
	return out
}

// ClientAddr is host:port for clients; empty when the line does not say.
func (m *Member) ClientAddr() string {
	if m.ClientPort == 0 {
		return ""
	}
	return join(m.ClientHost, m.ClientPort)
}

// String is the value of the server line as ZooKeeper prints it: the role
// always, the client part if there is one.
func (m *Member) String() string {
	var b strings.Builder
	for i, a := range m.Addresses {
		if i > 0 {
			b.WriteByte('|')
		}
		fmt.Fprintf(&b, "%s:%d", a.Quorum(), a.ElectionPort)
	}
	b.WriteString(":" + m.Role.String())
	if addr := m.ClientAddr(); addr != "" {
		b.WriteString(";" + addr)
	}
	return b.String()
}

// join is host:port, with brackets around an IPv6 address.
func join(host string, port int) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + strconv.Itoa(port)
}

// ParseMember reads the value of a server line:
// host:quorumPort:electionPort[:role][|...][;[clientHost:]clientPort].
func ParseMember(id int64, text string) (Member, error) {
	m := Member{ID: id}
	servers, client, hasClient := strings.Cut(text, ";")
	if hasClient {
		if err := m.parseClient(client); err != nil {
			return m, err
		}
	}
	roles := map[Role]bool{} // the ones written out; any address may carry it
	for part := range strings.SplitSeq(servers, "|") {
		address, role, err := parseAddress(strings.TrimSpace(part))
		if err != nil {
			return m, err
		}
		if role != "" {
			if m.Role, err = parseRole(role); err != nil {
				return m, err
			}
			roles[m.Role] = true
		}
		m.Addresses = append(m.Addresses, address)
	}
	if len(roles) > 1 {
		return m, errors.New("its addresses have different roles")
	}
	slices.SortStableFunc(m.Addresses, func(a, b Address) int { return strings.Compare(a.Host, b.Host) })
	return m, nil
}

func (m *Member) parseClient(text string) error {
	parts, err := split(strings.TrimSpace(text))
	if err != nil {
		return err
	}
	m.ClientHost = "0.0.0.0"
	switch len(parts) {
	case 1:
	case 2:
		m.ClientHost = parts[0]
	default:
		return fmt.Errorf("the client part %q is not [host:]port", text)
	}
	if m.ClientHost == "" {
		return fmt.Errorf("the client part %q has no host before the colon", text)
	}
	m.ClientPort, err = parsePort("client", parts[len(parts)-1])
	return err
}

// parseAddress reads one address and the text of its role, which is empty when
// there is none.
func parseAddress(text string) (a Address, role string, err error) {
	parts, err := split(text)
	if err != nil {
		return a, "", err
	}
	switch len(parts) {
	case 3:
	case 4:
		if role = parts[3]; role == "" {
			return a, "", fmt.Errorf("%q has no role behind its last colon", text)
		}
	default:
		return a, "", fmt.Errorf("%q is not host:quorumPort:electionPort[:role]", text)
	}
	if a.Host = parts[0]; a.Host == "" {
		return a, "", fmt.Errorf("%q has no host", text)
	}
	if a.QuorumPort, err = parsePort("quorum", parts[1]); err != nil {
		return a, "", err
	}
	if a.ElectionPort, err = parsePort("election", parts[2]); err != nil {
		return a, "", err
	}
	if a.QuorumPort == a.ElectionPort {
		return a, "", fmt.Errorf("quorum and election port are both %d", a.QuorumPort)
	}
	return a, role, nil
}

func parseRole(text string) (Role, error) {
	switch {
	case strings.EqualFold(text, "participant"):
		return Participant, nil
	case strings.EqualFold(text, "observer"):
		return Observer, nil
	}
	return 0, fmt.Errorf("%q is neither participant nor observer", text)
}

// split cuts at colons, except inside the brackets of an IPv6 host.
func split(text string) ([]string, error) {
	if !strings.HasPrefix(text, "[") {
		return strings.Split(text, ":"), nil
	}
	host, rest, ok := strings.Cut(text[1:], "]")
	if !ok {
		return nil, fmt.Errorf("%q has no closing bracket", text)
	}
	if rest == "" {
		return []string{host}, nil
	}
	if rest[0] != ':' {
		return nil, fmt.Errorf("%q has something other than a colon behind the bracket", text)
	}
	return append([]string{host}, strings.Split(rest[1:], ":")...), nil
}

func parsePort(which, text string) (int, error) {
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return 0, fmt.Errorf("the %s port %q is not a number from 1 to 65535", which, text)
	}
	return int(port), nil
}
