package znode

import (
	"slices"

	"github.com/quorate/quorate/wire"
)

// createSession appends the record of createSession, whose body is the record.
func (p *Preparer) createSession(dst []byte, r *wire.Reader) ([]byte, wire.Code) {
	var c CreateSessionTxn
	if c.Decode(r); r.Err() != nil {
		return dst, codeUnparsed
	}
	return c.Append(dst), wire.OK
}

// closeSession appends the record of closeSession, which names the ephemerals
// that go with the session: those applied and those pending, less those that
// will be gone.
func (p *Preparer) closeSession(dst []byte, req *Request) ([]byte, wire.Code) {
	digest := p.digest
	p.pending.begin()
	bare := len(dst)
	names := p.ephemerals(req.Session)
	dst = wire.AppendInt(dst, int32(len(names)))
	for _, name := range names {
		dst = wire.AppendString(dst, name)
		if code := p.dropEphemeral([]byte(name), req.Zxid); code == codeIO {
			p.pending.rollback(req.Zxid)
			p.digest = digest
			return dst, codeIO
		}
	}
	p.pending.commit()
	if p.rules.BareCloseSession {
		return dst[:bare], wire.OK
	}
	return dst, wire.OK
}

// ephemerals returns the sorted paths of the session's ephemerals, in a slice
// that the next call reuses. Sorting makes the record a function of the tree.
func (p *Preparer) ephemerals(session int64) []string {
	names := p.names[:0]
	for _, name := range p.view.Ephemerals(session) {
		p.path = append(p.path[:0], name...)
		n := p.pending.find(p.path)
		if n == nil || n.exists && n.Stat.EphemeralOwner == session {
			names = append(names, name)
		}
	}
	for i := range p.pending.born.len() {
		n := p.pending.born.at(i).node
		if n.exists && n.Stat.EphemeralOwner == session {
			names = append(names, string(n.path))
		}
	}
	slices.Sort(names)
	p.names = names
	return slices.Compact(names)
}

func (p *Preparer) dropEphemeral(path []byte, zxid int64) wire.Code {
	var parent, node nodeState
	if code := p.find(path, &node); code != wire.OK {
		return code
	}
	parentPath, _ := parentOf(path)
	if code := p.find(parentPath, &parent); code != wire.OK {
		return code
	}
	p.dropChild(parentPath, &parent, zxid)
	p.dropNode(path, &node, zxid)
	return wire.OK
}
