//go:build !linux

package bench

// defaultDriver is the only one of the system.
var defaultDriver driver = perGoroutine

// defaultConnector is the only one of the system.
var defaultConnector connector = connectPerGoroutine
