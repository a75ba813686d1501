package sim

import (
	"fmt"
	"io"

	"github.com/quorate/quorate/zab"
)

// trace is what happened, in order: as a hash always, as text when somebody reads
// it. Formatting costs more than all the rest, so it is asked for first.
type trace struct {
	hash uint64
	out  io.Writer
}

const (
	hashStart = 14695981039346656037 // FNV-1a
	hashPrime = 1099511628211
)

// mix adds numbers to the hash.
func (t *trace) mix(ns ...int64) {
	h := t.hash
	for _, n := range ns {
		h = (h ^ uint64(n)) * hashPrime //nolint:gosec // bits
		h ^= h >> 29
	}
	t.hash = h
}

// mixBytes adds bytes to the hash.
func (t *trace) mixBytes(b []byte) {
	h := t.hash
	for _, c := range b {
		h = (h ^ uint64(c)) * hashPrime
	}
	t.hash = h
}

// say writes a line, if somebody listens.
func (s *sim) say(format string, args ...any) {
	if s.out != nil {
		fmt.Fprintf(s.out, "%9.3f ", float64(s.now)/float64(millisecond))
		fmt.Fprintf(s.out, format, args...)
		fmt.Fprintln(s.out)
	}
}

// telling reports whether lines are read.
func (s *sim) telling() bool { return s.out != nil }

// short writes a zxid as epoch.counter.
func short(z int64) string {
	if z < 0 {
		return fmt.Sprint(z)
	}
	return fmt.Sprintf("%d.%d", zab.Epoch(z), zab.Counter(z))
}

// message writes what travels between servers.
func message(m *zab.Message) string {
	switch m.Type {
	case zab.Notification:
		return fmt.Sprintf("%s round %d for %d (%d, %s)", m.State, m.Round, m.Vote.Leader, m.Vote.PeerEpoch, short(m.Vote.Zxid))
	case zab.Proposal, zab.Inform:
		return fmt.Sprintf("%s %s %s", m.Type, short(m.Zxid), transaction(m.Data))
	case zab.AckEpoch:
		return fmt.Sprintf("%s %s current %d", m.Type, short(m.Zxid), m.Epoch)
	case zab.Request, zab.Revalidate:
		return fmt.Sprintf("%s %x", m.Type, m.Data)
	default:
		return fmt.Sprintf("%s %s", m.Type, short(m.Zxid))
	}
}

// write writes an order to a disk.
func write(w *zab.Write) string {
	text := fmt.Sprintf("#%d %s", w.Seq, w.Kind)
	switch w.Kind { //nolint:exhaustive // the others say all with their kind and entries
	case zab.WriteAcceptedEpoch, zab.WriteCurrentEpoch:
		text += fmt.Sprintf(" %d", w.Epoch)
	case zab.WriteTruncate, zab.WriteInstall:
		text += " " + short(w.Zxid)
	}
	for i := range w.Entries {
		text += " " + short(w.Entries[i].Zxid)
	}
	return text
}
