//go:build linux

package netns

import (
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/integration/ensemble"
)

// Clients is the host of this process in a [Network]; members have ids from 1.
const Clients = 0

// Network joins namespaces, one for each member of an ensemble and that of this
// process, where the clients are. It is an [ensemble.Place].
type Network struct {
	number     int
	namespaces []string // by id; this process's is ""
	sw         *netSwitch
	planes     int // see Planes
}

var _ ensemble.Place = (*Network)(nil)

// networks numbers the networks of this process, whose names must differ.
var networks atomic.Int32

// NewNetwork makes a network for members 1 to n, without faults. What faults do
// by chance follows from the seed.
func NewNetwork(n int, seed uint64) (*Network, error) {
	w := &Network{number: int(networks.Add(1)), namespaces: []string{""}}
	for id := 1; id <= n; id++ {
		w.namespaces = append(w.namespaces, fmt.Sprintf("q%dm%d", w.number, id))
	}
	for id := range w.namespaces {
		if err := w.wire(id); err != nil {
			w.Close()
			return nil, err
		}
	}
	var err error
	if w.sw, err = newSwitch(w.ports(), seed); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// ports are the names of the switch's ends of the cables.
func (w *Network) ports() []string {
	var all []string
	for id := range w.namespaces {
		all = append(all, fmt.Sprintf("q%dp%d", w.number, id))
	}
	return all
}

// host is the address of a member, or of the clients, in the network's own /24.
func (w *Network) host(id int) string {
	return fmt.Sprintf("10.%d.%d.%d", 77+(w.number>>8)&0x7f, w.number&0xff, id+10)
}

func mac(id int) string { return fmt.Sprintf("02:00:00:00:00:%02x", id) }

// wire lays the cable of one host. Everybody's hardware address is fixed, so
// that a cut link loses packets and is not noticed by ARP.
func (w *Network) wire(id int) error {
	ns, port, dev := w.namespaces[id], w.ports()[id], "eth0"
	var lines []string
	if ns == "" {
		dev = fmt.Sprintf("q%dc", w.number)
		lines = []string{fmt.Sprintf("link add %s type veth peer name %s", port, dev)}
	} else {
		lines = []string{"netns add " + ns, fmt.Sprintf("link add %s type veth peer name %s netns %s", port, dev, ns)}
	}
	if err := ip("", append(lines, "link set "+port+" up")...); err != nil {
		return err
	}
	lines = []string{
		"link set lo up",
		fmt.Sprintf("link set %s address %s up", dev, mac(id)),
		fmt.Sprintf("addr add %s/24 dev %s", w.host(id), dev),
	}
	for other := range w.namespaces {
		if other != id {
			lines = append(lines, fmt.Sprintf("neigh replace %s lladdr %s dev %s nud permanent", w.host(other), mac(other), dev))
		}
	}
	return ip(ns, lines...)
}

// Address implements [ensemble.Place].
func (w *Network) Address(id int) (ensemble.Address, error) {
	if id < 1 || id >= len(w.namespaces) {
		return ensemble.Address{}, fmt.Errorf("the network has no member %d", id)
	}
	a := ensemble.Address{Host: w.host(id), Client: 2181, Quorum: 2888, Election: 3888}
	var peers []string
	for p := range w.planes {
		peers = append(peers, w.plane(p, id))
	}
	a.Peers = strings.Join(peers, "|")
	return a, nil
}

// Planes gives each member n further addresses, one in each of n planes, which the
// other members reach it by instead of the one that clients use. Call it before there
// are members.
func (w *Network) Planes(n int) error {
	w.planes = n
	var errs []error
	for id := 1; id < len(w.namespaces); id++ {
		var lines []string
		for p := range n {
			for other := 1; other < len(w.namespaces); other++ {
				line := fmt.Sprintf("neigh replace %s lladdr %s dev eth0 nud permanent", w.plane(p, other), mac(other))
				if other == id {
					line = fmt.Sprintf("addr add %s/24 dev eth0", w.plane(p, id))
				}
				lines = append(lines, line)
			}
		}
		errs = append(errs, ip(w.namespaces[id], lines...))
	}
	return errors.Join(errs...)
}

// plane is the address of a member in a plane, which is a /24 of its own, so that members
// come from an address in it, too.
func (w *Network) plane(p, id int) string {
	return fmt.Sprintf("172.%d.%d.%d", 16+p, w.number&0xff, id+10)
}

// CutPlane says whether what goes to or comes from the members' addresses in a plane is
// lost, and nobody told.
func (w *Network) CutPlane(p int, cut bool) {
	for id := 1; id < len(w.namespaces); id++ {
		w.sw.lose(netip.MustParseAddr(w.plane(p, id)), cut)
	}
}

// Start implements [ensemble.Place].
func (w *Network) Start(id int, cmd *exec.Cmd) error {
	path, err := exec.LookPath("ip")
	if err != nil {
		return err
	}
	args := cmd.Args
	args[0] = cmd.Path // the program that the caller has found
	cmd.Args = append([]string{"ip", "netns", "exec", w.namespaces[id]}, args...)
	cmd.Path = path
	return errors.Join(cmd.Err, cmd.Start())
}

// Close implements [ensemble.Place]: nothing is left of the network.
func (w *Network) Close() {
	if w.sw != nil {
		w.sw.close()
	}
	for id, port := range w.ports() {
		_ = ip("", "link del "+port) // not there when the network was not finished
		if ns := w.namespaces[id]; ns != "" {
			_ = ip("", "netns del "+ns)
		}
	}
}

// Link is what happens to what one host sends to another. The zero Link
// carries everything at once.
type Link struct {
	Cut           bool    // nothing arrives
	Loss          float64 // share of the frames that do not arrive, 0 to 1
	Delay, Jitter time.Duration
}

// Set says what happens from now on to what from sends to to.
func (w *Network) Set(from, to int, l Link) { w.sw.set(from, to, l) }

// SetAll says what happens between any two members. The clients' links stay as
// they are.
func (w *Network) SetAll(l Link) {
	for from := 1; from < len(w.namespaces); from++ {
		for to := 1; to < len(w.namespaces); to++ {
			w.Set(from, to, l)
		}
	}
}

// Partition cuts every link between members of different groups, in both
// directions. Members in no group keep their links, and so do clients.
func (w *Network) Partition(groups ...[]int) {
	for i, a := range groups {
		for _, b := range slices.Delete(slices.Clone(groups), i, i+1) {
			for _, from := range a {
				for _, to := range b {
					w.Set(from, to, Link{Cut: true})
				}
			}
		}
	}
}

// Heal ends all faults.
func (w *Network) Heal() { w.sw.heal() }
