package integration

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quorate/quorate/wire"
)

// names turn what differs from run to run into what does not: zxids count from
// the script's beginning, session ids become the session's name, and a time is
// checked against the zxid it belongs to.
type names struct {
	base     int64            // the zxid before the script's first request
	fresh    bool             // nobody wrote to the server before the script
	sessions map[int64]string // by id
	times    map[int64]int64  // zxid to ms, as first seen
	since    int64            // ms; no time may be earlier
}

// zxid names a zxid: zN is the Nth transaction since the script began, old is
// one before that.
func (n *names) zxid(z int64) string {
	switch {
	case z == 0 || z == -1:
		return "z" + strconv.FormatInt(z, 10)
	case z <= n.base:
		return "old"
	default:
		return "z" + strconv.FormatInt(z-n.base, 10)
	}
}

// offset is the inverse of zxid.
func (n *names) offset(k int64) int64 {
	if k <= 0 {
		return k
	}
	return n.base + k
}

func (n *names) session(id int64) string {
	if id == 0 {
		return "0"
	}
	if s, ok := n.sessions[id]; ok {
		return s
	}
	return fmt.Sprintf("unknown session 0x%x", id)
}

// timeFault returns what is wrong with the time of a transaction: one zxid has
// one time, and it lies between the script's start and now.
func (n *names) timeFault(field string, zxid, ms int64) string {
	if zxid == 0 {
		if ms == 0 {
			return ""
		}
		return fmt.Sprintf(" %s=%d without a zxid", field, ms)
	}
	if seen, ok := n.times[zxid]; ok && seen != ms {
		return fmt.Sprintf(" %s=%d but %s was at %d", field, ms, n.zxid(zxid), seen)
	}
	n.times[zxid] = ms
	if now := time.Now().UnixMilli(); zxid > n.base && (ms < n.since-2 || ms > now+2) {
		return fmt.Sprintf(" %s=%d is not between %d and %d", field, ms, n.since, now)
	}
	return ""
}

func (n *names) stat(r *wire.Reader) string {
	var s wire.Stat
	s.Decode(r)
	if s.Czxid == 0 && !n.fresh {
		// What was done to a system node before the script is none of its business.
		return fmt.Sprintf("{system m=%s p=%s len=%d n=%d}", n.zxid(max(s.Mzxid, 1)), n.zxid(max(s.Pzxid, 1)), s.DataLength, s.NumChildren)
	}
	return fmt.Sprintf("{c=%s m=%s p=%s v=%d cv=%d av=%d owner=%s len=%d n=%d%s%s}",
		n.zxid(s.Czxid), n.zxid(s.Mzxid), n.zxid(s.Pzxid), s.Version, s.Cversion, s.Aversion,
		n.session(s.EphemeralOwner), s.DataLength, s.NumChildren,
		n.timeFault("ctime", s.Czxid, s.Ctime), n.timeFault("mtime", s.Mzxid, s.Mtime))
}

// shown prints bytes: null, quoted, or shortened when they are long.
func shown(b []byte) string {
	switch {
	case b == nil:
		return "null"
	case len(b) > 64 && len(bytes.Trim(b, "x")) == 0:
		return fmt.Sprintf("fill:%d", len(b))
	default:
		return strconv.QuoteToASCII(string(b))
	}
}

func shownStrings(list []string) string {
	slices.Sort(list)
	for i := range list {
		list[i] = strconv.QuoteToASCII(list[i])
	}
	return "[" + strings.Join(list, " ") + "]"
}

func shownACLs(r *wire.Reader) string {
	v := r.ACLVector()
	if v.IsNull() {
		return "null"
	}
	list, err := v.Decode()
	if err != nil {
		return err.Error()
	}
	var out []string
	for _, e := range list {
		entry := fmt.Sprintf("%s:%s:%s", e.Scheme, e.ID, shownPerms(e.Perms))
		if quoted := strconv.QuoteToASCII(entry); quoted != `"`+entry+`"` {
			entry = quoted
		}
		out = append(out, entry)
	}
	return "[" + strings.Join(out, ",") + "]"
}

func shownPerms(p int32) string {
	if p&^wire.PermAll != 0 || p == 0 {
		return strconv.Itoa(int(p))
	}
	var s strings.Builder
	for i, r := range permLetters {
		if p&(1<<i) != 0 {
			s.WriteRune(r)
		}
	}
	return s.String()
}

// body prints the body of a successful answer to op; what is left in r after
// it is too much.
func (n *names) body(op wire.Op, r *wire.Reader) string {
	switch op {
	case wire.OpCreate, wire.OpSync:
		return shown(r.Buffer())
	case wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		return shown(r.Buffer()) + " " + n.stat(r)
	case wire.OpExists, wire.OpSetData, wire.OpSetACL:
		return n.stat(r)
	case wire.OpGetData, wire.OpReconfig:
		return shown(r.Buffer()) + " " + n.stat(r)
	case wire.OpGetACL:
		return shownACLs(r) + " " + n.stat(r)
	case wire.OpGetChildren, wire.OpGetEphemerals:
		return shownStrings(stringsOf(r))
	case wire.OpGetChildren2:
		return shownStrings(stringsOf(r)) + " " + n.stat(r)
	case wire.OpGetAllChildrenNumber, wire.OpAddWatch:
		return strconv.Itoa(int(r.Int()))
	case wire.OpSASL:
		return shown(r.Buffer())
	case wire.OpWhoAmI:
		return shownIDs(r)
	case wire.OpMulti, wire.OpMultiRead:
		return n.results(r)
	default:
		return ""
	}
}

// shownIDs prints whoAmI's entries, which come in no order.
func shownIDs(r *wire.Reader) string {
	var out []string
	for c := r.Count(8); c > 0 && r.Err() == nil; c-- {
		scheme, user := r.String(), r.String()
		out = append(out, scheme+":"+user)
	}
	return shownStrings(out)
}

// results prints the results of a multi, each with its header's type.
func (n *names) results(r *wire.Reader) string {
	var out []string
	for r.Err() == nil {
		var h wire.MultiHeader
		h.Decode(r)
		if h.Done {
			if h != wire.MultiEnd {
				out = append(out, fmt.Sprintf("a strange end %+v", h))
			}
			break
		}
		if h.Op == wire.OpError {
			code := r.Int()
			text := fmt.Sprintf("err %d", code)
			if int32(h.Err) != code {
				text += fmt.Sprintf(" under header %d", h.Err)
			}
			out = append(out, text)
			continue
		}
		text := h.Op.String()
		if h.Err != 0 {
			text += fmt.Sprintf(" under header %d", h.Err)
		}
		out = append(out, strings.TrimRight(text+" "+n.body(h.Op, r), " "))
	}
	return "[" + strings.Join(out, "; ") + "]"
}

// reply prints a whole answer.
func (n *names) reply(op wire.Op, rep Reply) string {
	head := "ok"
	if rep.Err != wire.OK {
		head = strconv.Itoa(int(rep.Err))
	}
	head += " " + n.zxid(rep.Zxid)
	r := wire.NewReader(rep.Body)
	if rep.Err == wire.OK {
		if b := n.body(op, &r); b != "" {
			head += " " + b
		}
	}
	if r.Err() != nil {
		return fmt.Sprintf("%s (%v in %s)", head, r.Err(), hex.EncodeToString(rep.Body))
	}
	if left := r.Remaining(); len(left) > 0 {
		head += fmt.Sprintf(" +%d bytes %s", len(left), hex.EncodeToString(left[:min(len(left), 64)]))
	}
	return head
}

var eventNames = map[wire.EventType]string{
	wire.EventNodeCreated: "created", wire.EventNodeDeleted: "deleted",
	wire.EventNodeDataChanged: "changed", wire.EventNodeChildrenChanged: "children",
}

// event prints a notification.
func (n *names) event(rep Reply) string {
	e, err := rep.Event()
	if err != nil {
		return fmt.Sprintf("event %v in %s", err, hex.EncodeToString(rep.Body))
	}
	text := fmt.Sprintf("event %s %s %s", n.zxid(rep.Zxid), eventNames[e.Type], shown(e.Path))
	if e.State != wire.StateSyncConnected {
		text += fmt.Sprintf(" state %d", e.State)
	}
	if rep.Err != wire.OK {
		text += fmt.Sprintf(" err %d", rep.Err)
	}
	return text
}
