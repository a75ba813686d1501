// Package watch knows which connection waits for what to happen to which path,
// and says whom to tell when it does. See [Table].
//
// The package computes and nothing more: it starts no goroutine, takes no lock
// and reads no clock. A Table belongs to one goroutine at a time.
package watch
