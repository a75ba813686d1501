package conf

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/quorate/quorate/zab/members"
)

// Running is what a running server knows and its configuration does not.
type Running struct {
	// ClientPort and SecureClientPort are the ports in use; <= 0 for none.
	ClientPort       int
	SecureClientPort int
	// DataDirBytes and DataLogDirBytes are the sizes of the two directories.
	DataDirBytes    int64
	DataLogDirBytes int64
	// Membership is the member list in force; empty means the configured one.
	Membership string
}

// Text is the answer to the four-letter word conf: every line ends in a
// newline, except the last of an ensemble's.
func (c *Config) Text(r Running) string {
	var b strings.Builder
	line := func(key string, value any) { fmt.Fprintf(&b, "%s=%v\n", key, value) }
	line("clientPort", portOrNone(r.ClientPort))
	line("secureClientPort", portOrNone(r.SecureClientPort))
	line("dataDir", c.SnapshotDir())
	line("dataDirSize", r.DataDirBytes)
	line("dataLogDir", c.TxnLogDir())
	line("dataLogSize", r.DataLogDirBytes)
	line("tickTime", c.TickTime.Milliseconds())
	line("maxClientCnxns", c.MaxClientCnxns)
	line("minSessionTimeout", c.MinSessionTimeout.Milliseconds())
	line("maxSessionTimeout", c.MaxSessionTimeout.Milliseconds())
	line("clientPortListenBacklog", c.ClientPortListenBacklog)
	if !c.Distributed() {
		line("serverId", 0)
		return b.String()
	}
	line("serverId", c.Quorum.MyID)
	line("initLimit", c.Quorum.InitLimitTicks)
	line("syncLimit", c.Quorum.SyncLimitTicks)
	line("electionAlg", c.Quorum.ElectionAlg)
	line("electionPort", c.ownPorts(func(a members.Address) int { return a.ElectionPort }))
	line("quorumPort", c.ownPorts(func(a members.Address) int { return a.QuorumPort }))
	line("peerType", int(c.Quorum.Role()))
	b.WriteString("membership: \n")
	if r.Membership == "" {
		r.Membership = c.Quorum.Text()
	}
	b.WriteString(r.Membership)
	return b.String()
}

func portOrNone(port int) int {
	if port <= 0 {
		return -1
	}
	return port
}

// ownPorts joins one port of each own address with |.
func (c *Config) ownPorts(port func(members.Address) int) string {
	self := c.Quorum.Self()
	if self == nil {
		return ""
	}
	ports := make([]string, len(self.Addresses))
	for i, a := range self.Addresses {
		ports[i] = strconv.Itoa(port(a))
	}
	return strings.Join(ports, "|")
}
