package zabtest

import (
	"fmt"
	"math"
	"strings"

	"github.com/quorate/quorate/zab"
)

// short writes a zxid as epoch.counter, in decimal.
func short(z int64) string {
	switch z {
	case -1:
		return "-1"
	case math.MinInt64:
		return "none"
	}
	return fmt.Sprintf("%d.%d", zab.Epoch(z), zab.Counter(z))
}

func sid(id int64) string {
	if id == zab.NoServer {
		return "nobody"
	}
	return fmt.Sprint(id)
}

func vote(v zab.Vote) string {
	if v.Leader == zab.NoServer {
		return "nobody"
	}
	return fmt.Sprintf("%d(%s,e%d)", v.Leader, short(v.Zxid), v.PeerEpoch)
}

func entries(es []zab.Entry) string {
	var b strings.Builder
	for i, e := range es {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%s=%s", short(e.Zxid), e.Data)
	}
	return b.String()
}

// message writes what counts of m.
func message(m zab.Message) string {
	s := m.Type.String()
	switch m.Type {
	case zab.Notification:
		return fmt.Sprintf("%s %s vote=%s round=%d", s, m.State, vote(m.Vote), m.Round)
	case zab.AckEpoch:
		return fmt.Sprintf("%s %s e%d", s, short(m.Zxid), m.Epoch)
	case zab.Proposal, zab.Inform, zab.Request, zab.Revalidate:
		return fmt.Sprintf("%s %s %s", s, short(m.Zxid), m.Data)
	case zab.UpToDate, zab.Sync:
		return s
	case zab.Snap:
		if m.Through != m.Zxid {
			return fmt.Sprintf("%s %s through %s", s, short(m.Zxid), short(m.Through))
		}
	default:
	}
	return s + " " + short(m.Zxid)
}

func write(w zab.Write) string {
	s := w.Kind.String()
	switch w.Kind {
	case zab.WriteAcceptedEpoch, zab.WriteCurrentEpoch:
		return fmt.Sprintf("%s %d", s, w.Epoch)
	case zab.WriteAppend:
		return s + " " + entries(w.Entries)
	case zab.WriteInstall:
		return strings.TrimRight(fmt.Sprintf("%s %s %s", s, short(w.Zxid), entries(w.Entries)), " ")
	case zab.WriteTruncate:
		return s + " " + short(w.Zxid)
	case zab.WriteSyncMark:
	}
	return s
}
