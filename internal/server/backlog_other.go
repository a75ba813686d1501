//go:build !unix

package server

import "net"

// setBacklog leaves the length of the accept queue to the operating system here.
func setBacklog(net.Listener, int) error { return nil }
