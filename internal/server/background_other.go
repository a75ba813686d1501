//go:build !linux

package server

// standBack does nothing where threads have no priority of their own.
func standBack() {}
