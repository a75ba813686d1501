package znode

import (
	"bytes"
	"errors"
	"fmt"
)

// What the keys of a [Store] begin with. The first byte divides the key space;
// the rest of a node's or an index entry's key is its path in storage order.
const (
	keyFormat = 'f' // the one key that says whose directory this is
	keyMeta   = 'm' // the one key that holds Meta
	keyNode   = 'n' // 'n' parent 0x00 name -> record
	keyOwned  = 'o' // 'o' parent 0x00 name -> owner, 8 bytes big-endian
)

// keySeparator stands between parent and name. No path contains it, so keys
// sort as CompareKeys does: all children of one znode side by side.
const keySeparator = 0

// errPathForm is what a path must look like to be stored.
var errPathForm = errors.New("a stored path begins with '/', does not end with one, and has neither empty components nor NUL")

// checkStoredPath refuses what keys cannot represent. It is not the rule for
// clients, which is stricter.
func checkStoredPath(path []byte) error {
	if len(path) == 1 && path[0] == '/' {
		return nil
	}
	bad := len(path) == 0 || path[0] != '/' || path[len(path)-1] == '/' ||
		bytes.IndexByte(path, keySeparator) >= 0 || bytes.Contains(path, []byte("//"))
	if bad {
		return fmt.Errorf("znode: path %q: %w", path, errPathForm)
	}
	return nil
}

// appendNodeKey appends the key of the record of path. The index entry's key
// differs in the first byte.
func appendNodeKey(dst, path []byte) []byte {
	parent, name := SplitPath(path)
	dst = append(append(dst, keyNode), parent...)
	return append(append(dst, keySeparator), name...)
}

// appendKeyPath appends the path of a record's or an index entry's key.
func appendKeyPath(dst, key []byte) ([]byte, error) {
	i := bytes.IndexByte(key, keySeparator)
	if i < 1 {
		return dst, fmt.Errorf("znode: key %q is not that of a path", key)
	}
	parent, name := key[1:i], key[i+1:]
	if len(parent) != 1 {
		dst = append(dst, parent...)
	}
	return append(append(dst, '/'), name...), nil
}

// childBounds returns the half-open range of the node keys of path's children.
// Both bounds share one allocation.
func childBounds(path []byte) (lower, upper []byte) {
	n := len(path) + 2
	b := make([]byte, 0, 2*n)
	b = append(append(append(b, keyNode), path...), keySeparator)
	b = append(append(append(b, keyNode), path...), keySeparator+1)
	return b[:n:n], b[n:]
}
