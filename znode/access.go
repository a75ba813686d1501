package znode

import (
	"bytes"
	"slices"
	"strings"

	"github.com/quorate/quorate/wire"
)

// Allowed reports whether a connection with these ids has the permission on a
// znode with this list. Entries add up and nothing is denied; an empty list
// restricts nothing. Entries of schemes that are not registered match nobody.
func (a *Auth) Allowed(acl []wire.ACL, perm int32, ids []wire.ID) bool {
	if a == nil {
		a = defaultAuth
	}
	if a.skipACL || len(acl) == 0 {
		return true
	}
	for i := range ids {
		if ids[i].Scheme == schemeSuper {
			return true
		}
	}
	for i := range acl {
		if acl[i].Perms&perm != 0 && a.satisfied(&acl[i].ID, ids) {
			return true
		}
	}
	return false
}

// satisfied reports whether one of the ids is what an ACL entry asks for.
func (a *Auth) satisfied(want *wire.ID, ids []wire.ID) bool {
	if want.Scheme == schemeWorld && want.ID == idAnyone {
		return true
	}
	s := a.schemes[want.Scheme]
	if s == nil {
		return false
	}
	for i := range ids {
		if ids[i].Scheme == want.Scheme && s.Matches(ids[i].ID, want.ID) {
			return true
		}
	}
	return false
}

// Allowed is [Auth.Allowed] with the schemes as they are by default.
func Allowed(acl []wire.ACL, perm int32, ids []wire.ID) bool {
	return defaultAuth.Allowed(acl, perm, ids)
}

// Bounds of what "auth" entries may grow a list to: each stands for all ids of the
// connection, and nothing else bounds the product.
const (
	aclEntriesMax = 1024
	aclBytesMax   = 1 << 20
)

// expansion counts what a list becomes.
type expansion struct{ entries, bytes int }

// add counts entries that have been added, and reports whether they are still within
// the bounds, or not more than was sent.
func (x *expansion) add(added []wire.ACL, sent expansion) bool {
	x.entries += len(added)
	for i := range added {
		x.bytes += 12 + len(added[i].ID.Scheme) + len(added[i].ID.ID)
	}
	return x.entries <= max(sent.entries, aclEntriesMax) && x.bytes <= max(sent.bytes, aclBytesMax)
}

// FixACL checks a list that a client wants to set and returns it as it is to
// be stored: exact duplicates removed and "auth" replaced by the ids it stands
// for. vec is v itself when nothing changed. The code is OK, ErrInvalidACL, or
// ErrMarshalling where a null id makes a Java server stumble.
func (a *Auth) FixACL(v wire.ACLVector, ids []wire.ID) (acl []wire.ACL, vec wire.ACLVector, code wire.Code) {
	if bytes.Equal(v, wire.OpenACL) {
		return openACLList, v, wire.OK
	}
	entries, err := v.Decode()
	if err != nil {
		return nil, nil, wire.ErrMarshalling
	}
	sent := len(entries)
	entries, code = uniqueEntries(entries)
	if code != wire.OK {
		return nil, nil, code
	}
	if len(entries) == 0 {
		return nil, nil, wire.ErrInvalidACL
	}
	same := len(entries) == sent
	bound, size := expansion{entries: len(entries), bytes: len(v)}, expansion{}
	acl = make([]wire.ACL, 0, len(entries))
	for _, e := range entries {
		before := len(acl)
		if string(e.Scheme) == schemeAuth {
			same = false
		}
		if acl, code = a.appendFixed(acl, e, ids); code != wire.OK {
			return nil, nil, code
		}
		if !size.add(acl[before:], bound) {
			return nil, nil, wire.ErrInvalidACL
		}
	}
	if same {
		return acl, v, wire.OK
	}
	return acl, wire.AppendACLs(nil, acl), wire.OK
}

// aclKey is an entry, or the first fields of one.
type aclKey struct {
	perms      int32
	fields     uint8
	scheme, id string
}

// uniqueEntries removes repeated entries. Comparing is where a null string
// breaks a Java server, but only when an earlier entry has the same fields
// before it.
func uniqueEntries(entries []wire.ACLEntry) ([]wire.ACLEntry, wire.Code) {
	if len(entries) < 2 {
		return entries, wire.OK
	}
	out := entries[:0]
	seen := make(map[aclKey]struct{}, 3*len(entries))
	for _, e := range entries {
		keys := [...]aclKey{{e.Perms, 1, "", ""}, {e.Perms, 2, string(e.Scheme), ""}, {e.Perms, 3, string(e.Scheme), string(e.ID)}}
		known := 3
		switch {
		case e.Scheme == nil:
			known = 1
		case e.ID == nil:
			known = 2
		}
		if _, again := seen[keys[known-1]]; again {
			if known < 3 {
				return nil, wire.ErrMarshalling
			}
			continue
		}
		for _, k := range keys[:known] {
			seen[k] = struct{}{}
		}
		out = append(out, e)
	}
	return out, wire.OK
}

// appendFixed appends what one entry is stored as.
func (a *Auth) appendFixed(acl []wire.ACL, e wire.ACLEntry, ids []wire.ID) ([]wire.ACL, wire.Code) {
	switch scheme := string(e.Scheme); {
	case e.Scheme == nil:
		return nil, wire.ErrInvalidACL
	case scheme == schemeAuth:
		before := len(acl)
		for _, id := range ids {
			if s := a.Scheme(id.Scheme); s != nil && s.Authenticated() {
				acl = append(acl, wire.ACL{Perms: e.Perms, ID: id})
			}
		}
		if len(acl) == before {
			return nil, wire.ErrInvalidACL
		}
		return acl, wire.OK
	case scheme == schemeWorld && e.ID == nil:
		return nil, wire.ErrMarshalling
	case scheme == schemeWorld && string(e.ID) == idAnyone:
	default:
		s := a.Scheme(scheme)
		if s == nil {
			return nil, wire.ErrInvalidACL
		}
		if e.ID == nil {
			return nil, wire.ErrMarshalling
		}
		if !s.Valid(string(e.ID)) {
			return nil, wire.ErrInvalidACL
		}
	}
	return append(acl, wire.ACL{Perms: e.Perms, ID: wire.ID{Scheme: string(e.Scheme), ID: string(e.ID)}}), wire.OK
}

// MaskDigests returns the list as getACL shows it to those without ADMIN: the
// hash of every digest id is hidden. The list itself is not changed.
func MaskDigests(acl []wire.ACL) []wire.ACL {
	digest := func(e wire.ACL) bool { return e.ID.Scheme == "digest" && strings.Contains(e.ID.ID, ":") }
	if !slices.ContainsFunc(acl, digest) {
		return acl
	}
	out := slices.Clone(acl)
	for i := range out {
		if digest(out[i]) {
			user, _, _ := strings.Cut(out[i].ID.ID, ":")
			out[i].ID.ID = user + ":x"
		}
	}
	return out
}
