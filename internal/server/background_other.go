//go:build !linux

package server

// threadsStandBack tells that standBack does something.
const threadsStandBack = false

// standBack does nothing where threads have no priority of their own.
func standBack() {}
