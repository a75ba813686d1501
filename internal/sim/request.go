package sim

import (
	"fmt"
	"slices"

	"github.com/quorate/quorate/wire"
)

// request is one that a client has sent.
type request struct {
	xid     int32
	op      wire.Op
	path    string
	data    string
	version int32
	flags   int32
	watch   bool
	subs    []request // of a multi
	again   *rewatch  // of a setWatches

	asked int64 // when
	need  int64 // an answer must not be from before
	last  int64 // what was committed when it was sent
	// done, if not nil, is called with the answer once it was checked.
	done func(c *client, a *answer)
}

// String writes the request.
func (r *request) String() string {
	text := fmt.Sprintf("%d %s %s", r.xid, r.op, r.path)
	switch r.op { //nolint:exhaustive // the others say it all
	case wire.OpSetData:
		text += fmt.Sprintf("=%s version %d", r.data, r.version)
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		text += fmt.Sprintf("=%s flags %d", r.data, r.flags)
	case wire.OpMulti:
		for i := range r.subs {
			text += " [" + r.subs[i].String() + "]"
		}
	}
	if r.watch {
		text += " watch"
	}
	return text
}

// ephemeral reports whether an ephemeral is to be made.
func (r *request) ephemeral() bool {
	return r.flags == wire.FlagEphemeral || r.flags == wire.FlagEphemeralSequential ||
		slices.ContainsFunc(r.subs, func(q request) bool { return q.ephemeral() })
}

// body encodes the request behind its header.
func (r *request) body() []byte {
	switch r.op {
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		q := wire.CreateRequest{Path: []byte(r.path), Data: []byte(r.data), ACL: wire.OpenACL, Flags: r.flags, TTL: ttlMillis}
		return q.Append(nil, r.op)
	case wire.OpDelete, wire.OpCheck:
		return wire.PathVersion{Path: []byte(r.path), Version: r.version}.Append(nil)
	case wire.OpSetData:
		q := wire.SetDataRequest{Path: []byte(r.path), Data: []byte(r.data), Version: r.version}
		return q.Append(nil)
	case wire.OpGetData, wire.OpExists, wire.OpGetChildren, wire.OpGetChildren2:
		return wire.PathWatch{Path: []byte(r.path), Watch: r.watch}.Append(nil)
	case wire.OpSync:
		return wire.AppendString(nil, r.path)
	case wire.OpAddWatch, wire.OpRemoveWatches:
		return wire.PathType{Path: []byte(r.path), Type: r.flags}.Append(nil)
	case wire.OpSetWatches2:
		return r.again.body()
	case wire.OpMulti:
		var b []byte
		for i := range r.subs {
			b = wire.MultiHeader{Op: r.subs[i].op, Err: -1}.Append(b)
			b = append(b, r.subs[i].body()...)
		}
		return wire.MultiEnd.Append(b)
	default:
		return nil
	}
}

// ttlMillis is the time to live of TTL nodes.
const ttlMillis = 500

// answer is a packet that answers a request.
type answer struct {
	wire.ReplyHeader
	body []byte
	// What is in the body, by operation.
	path string
	data string
	stat wire.Stat
	kids []string
}

// decode reads the body.
func (a *answer) decode(op wire.Op) error {
	rd := wire.NewReader(a.body)
	switch op { //nolint:exhaustive // the others have none, or are read elsewhere
	case wire.OpCreate, wire.OpSync:
		a.path = rd.String()
	case wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		a.path = rd.String()
		a.stat.Decode(&rd)
	case wire.OpSetData, wire.OpExists:
		a.stat.Decode(&rd)
	case wire.OpGetData:
		a.data = rd.String()
		a.stat.Decode(&rd)
	case wire.OpGetChildren, wire.OpGetChildren2:
		for n := rd.Count(4); n > 0 && rd.Err() == nil; n-- {
			a.kids = append(a.kids, rd.String())
		}
		if op == wire.OpGetChildren2 {
			a.stat.Decode(&rd)
		}
	}
	return rd.Err()
}
