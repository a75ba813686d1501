package session

import (
	"crypto/subtle"
	"encoding/binary"
)

// PasswordBytes is the length of a session's password.
const PasswordBytes = 16

// passwordSalt is the number that ZooKeeper mixes with the id. It is public,
// so a password proves only that a client knows its id; it must be this one
// because any server of a mixed ensemble has to accept it.
const passwordSalt = 0xB3415C00

// The generator of java.util.Random: s' = s*lcgFactor + lcgTerm modulo 2^48.
const (
	lcgFactor = 0x5DEECE66D
	lcgTerm   = 0xB
	lcgMask   = 1<<48 - 1
)

// Password returns the password of the session: the first 16 bytes of
// java.util.Random seeded with the id and a constant.
func Password(id int64) [PasswordBytes]byte {
	var pw [PasswordBytes]byte
	s := (uint64(id) ^ passwordSalt ^ lcgFactor) & lcgMask
	for i := 0; i < PasswordBytes; i += 4 {
		s = (s*lcgFactor + lcgTerm) & lcgMask
		binary.LittleEndian.PutUint32(pw[i:], uint32(s>>16))
	}
	return pw
}

// CheckPassword reports whether pw is the password of the session. The time it
// takes does not depend on where the two differ. Session 0 does not exist, so
// nothing is its password.
func CheckPassword(id int64, pw []byte) bool {
	want := Password(id)
	return id != 0 && subtle.ConstantTimeCompare(want[:], pw) == 1
}
