package znode

import (
	"github.com/quorate/quorate/wire"
)

// sessionErr is what the session check says of a request that makes an
// ephemeral, or does not.
func sessionErr(req *Request, ephemeral bool) wire.Code {
	if req.SessionErr == wire.ErrEphemeralOnLocalSession && !ephemeral {
		return wire.OK
	}
	return req.SessionErr
}

func ephemeralFlag(flags int32) bool {
	return flags == wire.FlagEphemeral || flags == wire.FlagEphemeralSequential
}

func sequentialFlag(flags int32) bool {
	return flags == wire.FlagPersistentSequential || flags == wire.FlagEphemeralSequential ||
		flags == wire.FlagPersistentSequentialTTL
}

func ttlFlag(flags int32) bool {
	return flags == wire.FlagPersistentTTL || flags == wire.FlagPersistentSequentialTTL
}

func knownFlag(flags int32) bool {
	return flags >= wire.FlagPersistent && flags <= wire.FlagPersistentSequentialTTL
}

// checkCreate is what can be said of a create without looking at the tree.
func (p *Preparer) checkCreate(req *Request, c *wire.CreateRequest, op wire.Op) (parent []byte, code wire.Code) {
	ttl := ttlFlag(c.Flags)
	switch {
	case !knownFlag(c.Flags):
		return nil, wire.ErrBadArguments
	case ttl && !p.rules.Kinds.Extended:
		return nil, wire.ErrUnimplemented
	case ttl && (c.TTL <= 0 || c.TTL > TTLMax), !ttl && op == wire.OpCreateTTL:
		return nil, wire.ErrBadArguments
	}
	if code := sessionErr(req, ephemeralFlag(c.Flags)); code != wire.OK {
		return nil, code
	}
	return parentOf(c.Path)
}

// create appends the record of create, create2, createContainer or createTTL.
func (p *Preparer) create(dst []byte, req *Request, c *wire.CreateRequest, op wire.Op) ([]byte, wire.Code) {
	parentPath, code := p.checkCreate(req, c, op)
	if code != wire.OK {
		return dst, code
	}
	acl, vec, code := p.fixACL(c.ACL, req.IDs)
	if code != wire.OK {
		return dst, code
	}
	var parent, node nodeState
	if code := p.find(parentPath, &parent); code != wire.OK {
		return dst, code
	}
	if !p.allowed(&parent, wire.PermCreate, req) {
		return dst, wire.ErrNoAuth
	}
	path := c.Path
	if sequentialFlag(c.Flags) {
		p.path = appendSequence(append(p.path[:0], path...), parent.Stat.Cversion)
		path = p.path
	}
	if code := p.mayCreate(path, c.Data, &parent, &node); code != wire.OK {
		return dst, code
	}

	txn := CreateTxn{
		Path: path, Data: c.Data, ACL: vec, TTL: c.TTL,
		Ephemeral: ephemeralFlag(c.Flags), ParentCversion: parent.Stat.Cversion + 1,
	}
	node.exists, node.acl = true, acl
	node.Info = Info{
		Stat: Stat{
			Czxid: req.Zxid, Mzxid: req.Zxid, Pzxid: req.Zxid, Ctime: req.Time, Mtime: req.Time,
			EphemeralOwner: txn.Owner(op, req.Session),
		},
		DataLength: dataLength(c.Data), Prefix: DataPrefix(path, c.Data),
	}
	p.addChild(parentPath, &parent, txn.ParentCversion, req.Zxid)
	n := p.store(path, &node, req.Zxid)
	if txn.Ephemeral && node.Stat.EphemeralOwner == req.Session {
		p.pending.born.push(pendingChange{req.Zxid, n})
	}
	return txn.Append(dst, op), wire.OK
}

// mayCreate is the second half of a create's checks: of the path with its
// suffix, against the tree. node is left as that of a znode that is not there.
func (p *Preparer) mayCreate(path, data []byte, parent, node *nodeState) wire.Code {
	if code := ValidatePath(path); code != wire.OK {
		return code
	}
	if string(path) == rootLimitsPath {
		// A Java server dies of this.
		return wire.ErrBadArguments
	}
	switch code := p.find(path, node); {
	case code == wire.OK:
		return wire.ErrNodeExists
	case code != wire.ErrNoNode:
		return code
	case p.rules.Kinds.Of(parent.Stat.EphemeralOwner) == Ephemeral:
		return wire.ErrNoChildrenForEphemerals
	case !p.withinQuota(path, 1, int64(len(data))):
		return wire.ErrQuotaExceeded
	}
	return wire.OK
}

const rootLimitsPath = QuotaRoot + "/" + QuotaLimitsName

// withinQuota judges by the usage that is applied: what is pending does not
// count, nor do earlier operations of the same multi.
func (p *Preparer) withinQuota(path []byte, count, bytes int64) bool {
	if !p.rules.EnforceQuota {
		return true
	}
	_, lim, use, ok := p.view.Quota(path)
	return !ok || !lim.Exceeded(use, count, bytes)
}

func dataLength(data []byte) int32 {
	if data == nil {
		return -1
	}
	return int32(len(data))
}

// deleteNode appends the record of delete.
func (p *Preparer) deleteNode(dst []byte, req *Request, d *wire.PathVersion) ([]byte, wire.Code) {
	if code := sessionErr(req, false); code != wire.OK {
		return dst, code
	}
	parentPath, code := deletableParent(d.Path)
	if code != wire.OK {
		return dst, code
	}
	var parent, node nodeState
	if code := p.find(parentPath, &parent); code != wire.OK {
		return dst, code
	}
	if !p.allowed(&parent, wire.PermDelete, req) {
		return dst, wire.ErrNoAuth
	}
	if code := p.find(d.Path, &node); code != wire.OK {
		return dst, code
	}
	if _, ok := nextVersion(node.Stat.Version, d.Version); !ok {
		return dst, wire.ErrBadVersion
	}
	if node.NumChildren > 0 {
		return dst, wire.ErrNotEmpty
	}
	p.dropChild(parentPath, &parent, req.Zxid)
	p.dropNode(d.Path, &node, req.Zxid)
	return DeleteTxn{d.Path}.Append(dst), wire.OK
}

// deletableParent is [parentOf] for a znode to delete, which is none of those
// every server has.
func deletableParent(path []byte) ([]byte, wire.Code) {
	if systemPath(path) {
		return nil, wire.ErrBadArguments
	}
	return parentOf(path)
}

// deleteContainer appends the record of deleteContainer. The reaper asks for it
// for containers and TTL znodes it found idle, a while ago. A client's request
// is refused by ZooKeeper's own codes for znodes with children (-111) and
// ephemerals (-103); where ZooKeeper would delete any other znode, whoever asks,
// we want an empty container (-8) and the permission a delete takes (-102).
func (p *Preparer) deleteContainer(dst []byte, req *Request, r *wire.Reader) ([]byte, wire.Code) {
	path := r.Ustring()
	if r.Err() != nil || path == nil {
		return dst, codeUnparsed
	}
	if code := sessionErr(req, false); code != wire.OK && !req.Internal {
		return dst, code
	}
	parentPath, code := deletableParent(path)
	if code != wire.OK {
		return dst, code
	}
	var parent, node nodeState
	if code := p.find(path, &node); code != wire.OK {
		return dst, code
	}
	if code := p.mayReap(req, &node); code != wire.OK {
		return dst, code
	}
	if code := p.find(parentPath, &parent); code != wire.OK {
		return dst, code
	}
	if !req.Internal && !p.allowed(&parent, wire.PermDelete, req) {
		return dst, wire.ErrNoAuth
	}
	p.dropChild(parentPath, &parent, req.Zxid)
	p.dropNode(path, &node, req.Zxid)
	return DeleteTxn{path}.Append(dst), wire.OK
}

// mayReap judges the znode that deleteContainer is about. One that was changed
// since the reaper saw it expire may be wanted again (-103).
func (p *Preparer) mayReap(req *Request, node *nodeState) wire.Code {
	kind := p.rules.Kinds.Of(node.Stat.EphemeralOwner)
	switch {
	case node.NumChildren > 0:
		return wire.ErrNotEmpty
	case kind == Ephemeral:
		return wire.ErrBadVersion
	case kind == Container:
		return wire.OK
	case kind != TTL || !req.Internal:
		return wire.ErrBadArguments
	case req.Time-node.Stat.Mtime <= p.rules.Kinds.TTLOf(node.Stat.EphemeralOwner):
		return wire.ErrBadVersion
	}
	return wire.OK
}

// setData appends the record of setData.
func (p *Preparer) setData(dst []byte, req *Request, s *wire.SetDataRequest) ([]byte, wire.Code) {
	var node nodeState
	if code := p.findValid(req, s.Path, &node); code != wire.OK {
		return dst, code
	}
	if !p.allowed(&node, wire.PermWrite, req) {
		return dst, wire.ErrNoAuth
	}
	if !p.withinQuota(s.Path, 0, int64(len(s.Data))-int64(max(node.DataLength, 0))) {
		return dst, wire.ErrQuotaExceeded
	}
	version, ok := nextVersion(node.Stat.Version, s.Version)
	if !ok {
		return dst, wire.ErrBadVersion
	}
	p.storeData(req, s.Path, s.Data, version, &node)
	return SetDataTxn{s.Path, s.Data, version}.Append(dst), wire.OK
}

// findValid is how the operations on a single existing znode begin.
func (p *Preparer) findValid(req *Request, path []byte, node *nodeState) wire.Code {
	if code := sessionErr(req, false); code != wire.OK {
		return code
	}
	if code := ValidatePath(path); code != wire.OK {
		return code
	}
	return p.find(path, node)
}

func (p *Preparer) storeData(req *Request, path, data []byte, version int32, node *nodeState) {
	node.Stat.Version, node.Stat.Mtime, node.Stat.Mzxid = version, req.Time, req.Zxid
	node.DataLength, node.Prefix = dataLength(data), DataPrefix(path, data)
	p.store(path, node, req.Zxid)
}

// setACL appends the record of setACL.
func (p *Preparer) setACL(dst []byte, req *Request, s *wire.SetACLRequest) ([]byte, wire.Code) {
	if code := sessionErr(req, false); code != wire.OK {
		return dst, code
	}
	if code := ValidatePath(s.Path); code != wire.OK {
		return dst, code
	}
	acl, vec, code := p.fixACL(s.ACL, req.IDs)
	if code != wire.OK {
		return dst, code
	}
	var node nodeState
	if code := p.find(s.Path, &node); code != wire.OK {
		return dst, code
	}
	if !p.allowed(&node, wire.PermAdmin, req) {
		return dst, wire.ErrNoAuth
	}
	version, ok := nextVersion(node.Stat.Aversion, s.Version)
	if !ok {
		return dst, wire.ErrBadVersion
	}
	node.Stat.Aversion, node.acl = version, acl
	p.store(s.Path, &node, req.Zxid)
	return SetACLTxn{s.Path, vec, version}.Append(dst), wire.OK
}

// check appends the record of check, which says the version after the one that
// was found.
func (p *Preparer) check(dst []byte, req *Request, c *wire.PathVersion) ([]byte, wire.Code) {
	var node nodeState
	if code := p.findValid(req, c.Path, &node); code != wire.OK {
		return dst, code
	}
	if !p.allowed(&node, wire.PermRead, req) {
		return dst, wire.ErrNoAuth
	}
	version, ok := nextVersion(node.Stat.Version, c.Version)
	if !ok {
		return dst, wire.ErrBadVersion
	}
	return CheckVersionTxn{c.Path, version}.Append(dst), wire.OK
}

// reconfig appends the record of reconfig. Whether it is authorized comes last.
func (p *Preparer) reconfig(dst []byte, req *Request, r *wire.Reader) ([]byte, wire.Code) {
	var rr wire.ReconfigRequest
	if rr.Decode(r); r.Err() != nil {
		return dst, codeUnparsed
	}
	if !p.rules.ReconfigEnabled {
		return dst, wire.ErrReconfigDisabled
	}
	if code := sessionErr(req, false); code != wire.OK {
		return dst, code
	}
	if p.rules.Reconfig == nil {
		return dst, wire.ErrUnimplemented
	}
	config, code := p.rules.Reconfig(&rr, req.Zxid)
	if code != wire.OK {
		return dst, code
	}
	path := []byte(configPath)
	var node nodeState
	if code := p.find(path, &node); code != wire.OK {
		return dst, code
	}
	if !p.allowed(&node, wire.PermWrite, req) {
		return dst, wire.ErrNoAuth
	}
	p.storeData(req, path, config, -1, &node)
	return SetDataTxn{path, config, -1}.Append(dst), wire.OK
}
