package znode

import (
	"bytes"
	"unicode/utf8"

	"github.com/quorate/quorate/wire"
)

// What a byte of a path needs: most need nothing.
const (
	bytePlain = iota
	byteSlash
	byteRefused
	byteWide // part of a character beyond ASCII
)

var pathBytes = func() (t [256]uint8) {
	for b := range t {
		switch {
		case b == '/':
			t[b] = byteSlash
		case b < ' ' || b == 0x7f:
			t[b] = byteRefused
		case b >= utf8.RuneSelf:
			t[b] = byteWide
		}
	}
	return t
}()

// ValidatePath says whether a znode may be called this: OK, or
// [wire.ErrBadArguments]. The rules are ZooKeeper's, which looks at UTF-16
// units: so every character beyond the basic plane is refused, as surrogates
// are, and malformed UTF-8, which it would read as U+FFFD.
func ValidatePath(path []byte) wire.Code {
	if len(path) == 0 || path[0] != '/' {
		return wire.ErrBadArguments
	}
	if len(path) == 1 {
		return wire.OK
	}
	component := 1
	for i := 1; i < len(path); i++ {
		switch pathBytes[path[i]] {
		case bytePlain:
		case byteSlash:
			if !validComponent(path[component:i]) {
				return wire.ErrBadArguments
			}
			component = i + 1
		case byteRefused:
			return wire.ErrBadArguments
		default:
			r, n := utf8.DecodeRune(path[i:])
			if !validWide(r) {
				return wire.ErrBadArguments
			}
			i += n - 1
		}
	}
	if !validComponent(path[component:]) {
		return wire.ErrBadArguments
	}
	return wire.OK
}

// validComponent refuses empty and relative components.
func validComponent(c []byte) bool {
	switch len(c) {
	case 0:
		return false
	case 1:
		return c[0] != '.'
	case 2:
		return c[0] != '.' || c[1] != '.'
	default:
		return true
	}
}

// validWide judges a character beyond ASCII. [utf8.RuneError] is in the last
// of the refused ranges.
func validWide(r rune) bool {
	return r > 0x9f && (r < 0xd800 || r > 0xf8ff) && r < 0xfff0
}

// The znodes that every server has and none may delete.
const (
	zookeeperPath = "/zookeeper"
	configPath    = "/zookeeper/config"
)

func systemPath(path []byte) bool {
	switch string(path) {
	case "/", zookeeperPath, QuotaRoot, configPath:
		return true
	default:
		return false
	}
}

// parentOf checks a path only as far as finding its parent needs, as a server
// does before it looks anything up: there is a slash and no NUL. The parent of
// "/a" is "/", of "//a" too, and of "a/b" the impossible "a". A null path is a
// malformed request.
func parentOf(path []byte) (parent []byte, code wire.Code) {
	if path == nil {
		return nil, wire.ErrMarshalling
	}
	slash := bytes.LastIndexByte(path, '/')
	if slash < 0 || bytes.IndexByte(path, 0) >= 0 {
		return nil, wire.ErrBadArguments
	}
	return path[:max(slash, 1)], wire.OK
}
