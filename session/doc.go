// Package session holds what a server must know of its clients' sessions: the
// ids it hands out, the passwords that belong to them, the timeout a client
// gets, a [Tracker] that says which sessions have not been heard from for too
// long, and the [Clock] by which that is measured.
//
// The package computes and nothing more. It starts no goroutine, takes no lock
// and reads no clock: every time is an argument, in milliseconds of any clock
// that does not jump. A value of this package belongs to one goroutine at a
// time, unless it says otherwise.
package session
