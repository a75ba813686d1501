package zabtest

import (
	"fmt"
	"strings"
)

// state returns one line for each server.
func (c *Cluster) state() string {
	var b strings.Builder
	for _, n := range c.nodes {
		b.WriteString(n.state())
		b.WriteByte('\n')
	}
	return strings.TrimRight(b.String(), "\n")
}

func (n *node) state() string {
	if n.core == nil {
		d := &n.disk.synced
		return fmt.Sprintf("%d: down, accepted e%d, current e%d, last %s", n.id, d.accepted, d.current, short(d.last()))
	}
	s := n.core.Status()
	line := fmt.Sprintf("%d: %s %s", n.id, s.Role, s.Phase)
	if s.Role.String() != "LOOKING" {
		line += " leader=" + sid(s.Leader)
	}
	line += fmt.Sprintf(" round=%d accepted=e%d current=e%d last=%s applied=%s", s.Round, s.AcceptedEpoch, s.CurrentEpoch, short(s.LastZxid), short(s.Committed))
	if k := len(n.disk.orders); k > 0 {
		line += fmt.Sprintf(" unsynced=%d", k)
	}
	if n.core.FollowersSuffice() {
		line += " followers-suffice"
	}
	if n.serving {
		line += " serving"
	}
	if k := len(n.syncs) + len(n.remote); k > 0 {
		line += fmt.Sprintf(" syncs=%d", k)
	}
	return line
}
