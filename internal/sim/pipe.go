package sim

// parcel is something on its way through a pipe.
type parcel struct {
	at int64 // arrives not before
	it any
}

// pipe carries parcels from one place to another, in order. What is blocked, or
// finds the receiver paused, waits.
type pipe struct {
	s        *sim
	from, to int // places
	queue    []parcel
	planned  bool
	held     bool // waits for the blockade to end
	cut      bool // nothing arrives any more
	last     int64
	take     func(it any)
	// ended, if not nil, is called once when the pipe is empty and nothing more
	// will come.
	ended  func()
	closed bool // nothing more is put in
}

// put sends it, to arrive after at least delay more than the usual.
func (p *pipe) put(it any, delay int64) {
	if p.cut || p.closed {
		return
	}
	at := max(p.last, p.s.now+p.s.latency(p.from, p.to)+delay)
	p.last = at
	p.queue = append(p.queue, parcel{at, it})
	p.plan()
}

// plan sees to it that the first parcel arrives.
func (p *pipe) plan() {
	if p.planned || p.held {
		return
	}
	switch {
	case len(p.queue) > 0:
		p.planned = true
		p.s.at(p.queue[0].at, p.arrive)
	case p.closed && p.ended != nil:
		p.planned = true
		p.s.after(p.s.latency(p.from, p.to), p.arrive)
	}
}

// arrive hands over the first parcel, or the end.
func (p *pipe) arrive() {
	p.planned = false
	if p.cut {
		return
	}
	if p.s.blocked[p.from][p.to] {
		p.held = true
		p.s.heldPipes = append(p.s.heldPipes, p)
		return
	}
	if t := p.s.pausedUntil[p.to]; t > p.s.now {
		p.planned = true
		p.s.at(t, p.arrive)
		return
	}
	if len(p.queue) == 0 {
		if f := p.ended; f != nil && p.closed {
			p.ended, p.cut = nil, true
			f()
		}
		return
	}
	it := p.queue[0].it
	p.queue[0] = parcel{}
	p.queue = p.queue[1:]
	p.take(it)
	p.plan()
}

// close lets what is in the pipe arrive, and then the end.
func (p *pipe) close() {
	if !p.closed {
		p.closed = true
		p.plan()
	}
}

// breakAfter loses all but the first keep parcels; then comes the end.
func (p *pipe) breakAfter(keep int) {
	p.queue = p.queue[:min(keep, len(p.queue))]
	p.close()
}

// drop loses everything, the end too.
func (p *pipe) drop() { p.cut, p.queue, p.ended = true, nil, nil }

// release lets go on what was held, after a blockade has ended or changed.
func (s *sim) releasePipes() {
	list := s.heldPipes
	s.heldPipes = nil
	for _, p := range list {
		p.held = false
		if p.cut {
			continue
		}
		p.planned = true
		s.after(s.latency(p.from, p.to), p.arrive)
	}
}
