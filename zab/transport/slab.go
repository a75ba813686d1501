package transport

import "io"

const (
	slabBytes = 64 << 10
	// slabFirstBytes is enough for any introduction. A stranger has no more.
	slabFirstBytes = 512
	// slabLeastBytes is the least room a read is given.
	slabLeastBytes = 4 << 10
)

// slab is where a connection's bytes arrive. Messages point into it and are kept for ever, so bytes once read are never
// overwritten: reads fill one slab from its start to its end, then the next begins. So there is one allocation for as
// many packets as fit, however few of them a read brings.
type slab struct {
	r          io.Reader
	buf        []byte
	start, end int // what is read and not yet taken
}

func newSlab(r io.Reader) slab { return slab{r: r, buf: make([]byte, slabFirstBytes)} }

// unread returns what is there to take.
func (s *slab) unread() []byte { return s.buf[s.start:s.end] }

// take lets n bytes go.
func (s *slab) take(n int) { s.start += n }

// fill reads once. want is how long the packet under way is, as far as known: memory for it grows with what has
// arrived.
func (s *slab) fill(want int) error {
	have, room := s.end-s.start, len(s.buf)-s.end
	if room < min(slabLeastBytes, len(s.buf)/2) && (have == 0 || have+room < want || room == 0) {
		buf := make([]byte, max(slabBytes, min(want, 2*have)))
		copy(buf, s.unread())
		s.buf, s.start, s.end = buf, 0, have
	}
	n, err := s.r.Read(s.buf[s.end:])
	s.end += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// renew moves what is unread to a new slab, which no message points into.
func (s *slab) renew() {
	buf := make([]byte, max(slabBytes, s.end-s.start))
	s.end = copy(buf, s.unread())
	s.buf, s.start = buf, 0
}
