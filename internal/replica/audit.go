package replica

import (
	"bytes"
	"net/netip"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/znode"
)

// AuditRecord is a change that a client of this server has asked for, or the end
// of an ephemeral (AuditHelper of ZooKeeper).
type AuditRecord struct {
	Session int64
	// IDs are the connection's as it asked; nil for what nobody asked for.
	IDs    []wire.ID
	Remote netip.Addr
	// Operation is ZooKeeper's word: create, delete, setData, setAcl, reconfig,
	// multiOperation, ephemeralZNodeDeletionOnSessionCloseOrExpire.
	Operation string
	// Path is the znode, of a create with its suffix, empty for a multi that
	// failed. NodeType is of a create alone, ACL of a setAcl.
	Path     []byte
	NodeType string
	ACL      []wire.ACL
	OK       bool
}

// auditNote is what of a request has to be known when its transaction is applied.
type auditNote struct {
	session int64
	ids     []wire.ID
	body    []byte
}

// auditNote keeps what an audit will need; nil when there is none.
func (r *Replica) auditNote(session int64, ids []wire.ID, body []byte) *auditNote {
	if r.opt.Audit == nil {
		return nil
	}
	return &auditNote{session: session, ids: ids, body: bytes.Clone(body)}
}

// audit tells of a write whose transaction has been applied. Only the loop calls it.
func (r *Replica) audit(o *owner, res *znode.Result) {
	n := o.audit
	base := AuditRecord{Session: n.session, IDs: n.ids, Remote: o.client.remote, OK: res.Code == wire.OK}
	rd := wire.NewReader(n.body)
	if o.op != wire.OpMulti {
		r.auditOne(base, &rd, o.op, res)
		return
	}
	if !base.OK || subFailed(res) {
		base.Operation, base.OK = "multiOperation", false
		r.opt.Audit(&base)
		return
	}
	for i := range res.Sub {
		var h wire.MultiHeader
		h.Decode(&rd)
		if h.Done || rd.Err() != nil {
			return
		}
		r.auditOne(base, &rd, h.Op, &res.Sub[i])
	}
}

func subFailed(res *znode.Result) bool {
	for i := range res.Sub {
		if res.Sub[i].Code != wire.OK {
			return true
		}
	}
	return false
}

// auditOne tells of one operation, whose record is next in rd.
func (r *Replica) auditOne(rec AuditRecord, rd *wire.Reader, op wire.Op, res *znode.Result) {
	switch op {
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		var c wire.CreateRequest
		c.Decode(rd, op)
		rec.Operation, rec.Path, rec.NodeType = "create", c.Path, nodeType(c.Flags)
		if rec.OK && len(res.Path) > 0 {
			rec.Path = res.Path
		}
	case wire.OpDelete, wire.OpDeleteContainer:
		rec.Operation = "delete"
		if op == wire.OpDelete {
			var p wire.PathVersion
			p.Decode(rd)
			rec.Path = p.Path
		} else {
			rec.Path = rd.Ustring()
		}
	case wire.OpSetData:
		var s wire.SetDataRequest
		s.Decode(rd)
		rec.Operation, rec.Path = "setData", s.Path
	case wire.OpSetACL:
		var s wire.SetACLRequest
		s.Decode(rd)
		acl := wire.NewReader(s.ACL)
		rec.Operation, rec.Path, rec.ACL = "setAcl", s.Path, wire.DecodeACLs(&acl)
	case wire.OpReconfig:
		rec.Operation = "reconfig"
	case wire.OpCheck:
		var p wire.PathVersion
		p.Decode(rd)
		return
	default:
		return
	}
	r.opt.Audit(&rec)
}

// nodeType is a create's mode as ZooKeeper's enumeration CreateMode names it.
func nodeType(flags int32) string {
	switch flags {
	case wire.FlagPersistent:
		return "persistent"
	case wire.FlagPersistentSequential:
		return "persistent_sequential"
	case wire.FlagEphemeral:
		return "ephemeral"
	case wire.FlagEphemeralSequential:
		return "ephemeral_sequential"
	case wire.FlagContainer:
		return "container"
	case wire.FlagPersistentTTL:
		return "persistent_with_ttl"
	case wire.FlagPersistentSequentialTTL:
		return "persistent_sequential_with_ttl"
	}
	return "unknown"
}

// auditEnd tells of the ephemerals that went with a session: the events of the
// transaction that closed it.
func (r *Replica) auditEnd(session int64, events []znode.Event) {
	for i := range events {
		if events[i].Type == wire.EventNodeDeleted {
			r.opt.Audit(&AuditRecord{
				Session: session, Operation: "ephemeralZNodeDeletionOnSessionCloseOrExpire", Path: events[i].Path, OK: true,
			})
		}
	}
}
