package server

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/zab/members"
)

func quorumPort(a members.Address) int   { return a.QuorumPort }
func electionPort(a members.Address) int { return a.ElectionPort }

func (s *Server) adminLeader(q *adminQuery) {
	if q.role.alone || !q.role.serving {
		q.fail("server is not initialized")
		return
	}
	q.put("is_leader", q.role.leads())
	q.put("leader_id", q.role.status.Leader)
	q.put("leader_ip", s.leaderIP(q.role.status.Leader))
}

// leaderIP is the leader's address: the one in the list, or, if that is a name, the
// one of this server's connection.
func (s *Server) leaderIP(leader int64) string {
	list := s.membership()
	m := list.Find(leader)
	if m == nil {
		return ""
	}
	host := m.Addresses[0].Host
	if _, err := netip.ParseAddr(host); err == nil {
		return host
	}
	for _, p := range s.member.net.Peers() {
		if p.ID != leader || !p.Dialled {
			continue
		}
		if remote, err := netip.ParseAddrPort(p.Remote); err == nil {
			return remote.Addr().Unmap().String()
		}
	}
	return host
}

func (s *Server) adminObservers(q *adminQuery) {
	f := s.following()
	list := []any{}
	for i := range f.learners {
		l := &f.learners[i]
		if !isObserver(l) || !l.Live {
			continue
		}
		list = append(list, jsonObject{
			{"remote_socket_address", "/" + l.Remote},
			{"sid", l.ID},
			{"established", l.Since.UnixMilli()},
			{"queued_packets", l.QueuedPackets},
			{"queued_packets_size", l.QueuedBytes},
			{"packets_received", l.Received},
			{"packets_sent", l.PeerStat.Sent},
			{"requests", 0}, // nobody counts them apart
			{"last_zxid", l.LearnerStatus.Sent},
		})
	}
	q.put("synced_observers", len(list))
	q.put("observers", list)
}

// adminVotingView lists the voters.
func (s *Server) adminVotingView(q *adminQuery) {
	view := jsonObject{}
	list := s.membership()
	if q.role.readOnly {
		list = members.List{} // as in ZooKeeper
	}
	for _, m := range list.Voters() {
		client := m.ClientAddr()
		if m.ID == s.cfg.Ensemble.MyID {
			client = s.clientAddr()
		}
		view.put(strconv.FormatInt(m.ID, 10), jsonObject{
			{"server_addresses", listOf(m.QuorumAddrs())},
			{"election_addresses", listOf(m.ElectionAddrs())},
			{"client_address", client},
			{"learner_type", m.Role.String()},
		})
	}
	q.put("current_config", view)
}

// clientAddr is where this server takes clients, in Java's notation; "" for none.
func (s *Server) clientAddr() string {
	if len(s.listeners) == 0 {
		return ""
	}
	return strings.Replace(s.listeners[0].Addr().String(), "[::]:", "0.0.0.0:", 1)
}

// adminZabState tells the part of this server in its ensemble, also while there is
// no leader.
func (s *Server) adminZabState(q *adminQuery) {
	e := s.cfg.Ensemble
	if e == nil {
		q.put("voting", false)
		q.put("zabstate", "")
		return
	}
	st, self := &q.role.status, e.self()
	list := s.membership()
	me := list.Find(e.MyID)
	q.put("myid", e.MyID)
	q.put("is_leader", q.role.leads())
	q.put("quorum_address", addressView(self, quorumPort))
	q.put("election_address", addressView(self, electionPort))
	q.put("client_address", s.clientAddr())
	q.put("voting", me != nil && me.Role == members.Participant)
	q.put("last_zxid", fmt.Sprintf("0x%x", st.LastZxid))
	q.put("zab_epoch", zab.Epoch(st.LastZxid))
	q.put("zab_counter", st.LastZxid&0xffffffff)
	q.put("zabstate", strings.ToLower(st.Phase.String()))
}

// addressView is MultipleAddresses of ZooKeeper. Nobody looks here whether an
// address can be reached: all count as such.
func addressView(m *members.Member, port func(members.Address) int) jsonObject {
	hosts, ports := addresses(m, port)
	wild := make([]string, len(hosts))
	for i := range wild {
		wild[i] = "0.0.0.0"
	}
	all := hostPorts(hosts, ports)
	return jsonObject{
		{"empty", len(all) == 0},
		{"all_addresses", all},
		{"wildcard_addresses", hostPorts(wild, ports)},
		{"all_ports", listOf(ports)},
		{"all_host_strings", listOf(hosts)},
		{"reachable_address", all[0]},
		{"all_reachable_addresses", all},
		{"all_reachable_addresses_or_all", all},
		{"reachable_or_one", all[0]},
		{"one", all[0]},
	}
}
