//go:build linux

package netns

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// Of linux/if_packet.h, which package syscall lacks.
const (
	packetVnetHdr        = 15 // offloading stays on: checksums and large segments are described, not made
	packetIgnoreOutgoing = 23
)

// A frame is read and written behind a virtio_net_hdr of 10 bytes; the
// destination's hardware address is the first thing in it.
const (
	vnetHeaderBytes = 10
	frameBytesMax   = vnetHeaderBytes + 14 + 65536
	queueFramesMax  = 2000 // waiting on one delayed link; what comes then is lost
)

// netSwitch carries frames between ports by the last byte of the destination's
// hardware address.
type netSwitch struct {
	ports   []*os.File
	readers sync.WaitGroup

	mu     sync.Mutex
	links  map[[2]int]Link
	queues map[[2]int]*queue
	lost   map[netip.Addr]bool // what goes there or comes from there does not arrive
	seed   uint64
	chance map[[2]int]*rand.Rand // of each link, so that what others carry changes nothing
}

// newSwitch opens the ports and starts to carry.
func newSwitch(names []string, seed uint64) (*netSwitch, error) {
	s := &netSwitch{links: map[[2]int]Link{}, queues: map[[2]int]*queue{}, lost: map[netip.Addr]bool{}, seed: seed, chance: map[[2]int]*rand.Rand{}}
	for _, name := range names {
		f, err := openPort(name)
		if err != nil {
			s.close()
			return nil, fmt.Errorf("port %s: %w", name, err)
		}
		s.ports = append(s.ports, f)
	}
	for from := range s.ports {
		s.readers.Go(func() { s.carry(from) })
	}
	return s, nil
}

func openPort(name string) (*os.File, error) {
	const all = syscall.ETH_P_ALL
	proto := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, all))
	dev, err := net.InterfaceByName(name)
	if err != nil {
		return nil, err
	}
	fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	for _, o := range [][3]int{
		{syscall.SOL_PACKET, packetVnetHdr, 1},
		{syscall.SOL_PACKET, packetIgnoreOutgoing, 1},
		{syscall.SOL_SOCKET, syscall.SO_RCVBUFFORCE, 16 << 20},
		{syscall.SOL_SOCKET, syscall.SO_SNDBUFFORCE, 16 << 20},
	} {
		if err := syscall.SetsockoptInt(fd, o[0], o[1], o[2]); err != nil {
			f.Close()
			return nil, fmt.Errorf("option %d: %w", o[1], err)
		}
	}
	if err := syscall.Bind(fd, &syscall.SockaddrLinklayer{Protocol: proto, Ifindex: dev.Index}); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// carry reads the frames of one port until it is closed.
func (s *netSwitch) carry(from int) {
	buf := make([]byte, frameBytesMax)
	for {
		n, err := s.ports[from].Read(buf)
		if err != nil {
			return
		}
		if n < vnetHeaderBytes+14 || buf[vnetHeaderBytes] != 2 {
			continue // broadcasts: nobody needs them
		}
		if to := int(buf[vnetHeaderBytes+5]); to < len(s.ports) {
			s.pass(from, to, buf[:n])
		}
	}
}

// pass lets a frame over a link, now, later or not at all.
func (s *netSwitch) pass(from, to int, frame []byte) {
	key := [2]int{from, to}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.links[key]
	if l.Cut || s.astray(frame) || l.Loss > 0 && s.random(key).Float64() < l.Loss {
		return
	}
	q := s.queues[key]
	if l.Delay == 0 && l.Jitter == 0 && (q == nil || q.idle()) {
		_, _ = s.ports[to].Write(frame) // a full device loses frames as a cable would
		return
	}
	if q == nil {
		q = newQueue(s.ports[to])
		s.queues[key] = q
	}
	var jitter time.Duration
	if l.Jitter > 0 {
		jitter = time.Duration(s.random(key).Int64N(int64(l.Jitter) + 1))
	}
	q.put(l.Delay+jitter, frame)
}

// astray reports whether a frame goes to or comes from an address that is lost. The
// caller holds mu.
func (s *netSwitch) astray(frame []byte) bool {
	const header = vnetHeaderBytes + 14
	if len(s.lost) == 0 || len(frame) < header+20 || binary.BigEndian.Uint16(frame[header-2:]) != syscall.ETH_P_IP {
		return false
	}
	from, to := frame[header+12:header+16], frame[header+16:header+20]
	return s.lost[netip.AddrFrom4([4]byte(from))] || s.lost[netip.AddrFrom4([4]byte(to))]
}

func (s *netSwitch) lose(a netip.Addr, lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if lost {
		s.lost[a] = true
	} else {
		delete(s.lost, a)
	}
}

// random returns the source of a link's chance. The caller holds mu.
func (s *netSwitch) random(key [2]int) *rand.Rand {
	r := s.chance[key]
	if r == nil {
		r = rand.New(rand.NewPCG(s.seed, uint64(key[0])<<32|uint64(key[1])))
		s.chance[key] = r
	}
	return r
}

func (s *netSwitch) set(from, to int, l Link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.links[[2]int{from, to}] = l
}

func (s *netSwitch) heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.links)
	clear(s.lost)
}

// close ends all goroutines and waits for them.
func (s *netSwitch) close() {
	for _, f := range s.ports {
		f.Close()
	}
	s.readers.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range s.queues {
		q.close()
	}
}

// queue holds the frames of one delayed link in their order.
type queue struct {
	to     *os.File
	frames chan delayed
	last   time.Time     // when the last one put in is due
	done   chan struct{} // closed when the goroutine has ended
}

type delayed struct {
	due   time.Time
	frame []byte
}

func newQueue(to *os.File) *queue {
	q := &queue{to: to, frames: make(chan delayed, queueFramesMax), done: make(chan struct{})}
	go q.run()
	return q
}

// idle reports whether all that was put in is due, so that what comes now may
// overtake nothing.
func (q *queue) idle() bool { return len(q.frames) == 0 && time.Now().After(q.last) }

func (q *queue) put(delay time.Duration, frame []byte) {
	due := time.Now().Add(delay)
	if due.Before(q.last) {
		due = q.last // the order stays
	}
	select {
	case q.frames <- delayed{due, append([]byte(nil), frame...)}:
		q.last = due
	default:
	}
}

func (q *queue) run() {
	defer close(q.done)
	for d := range q.frames {
		time.Sleep(time.Until(d.due))
		_, _ = q.to.Write(d.frame)
	}
}

func (q *queue) close() {
	close(q.frames)
	<-q.done
}
