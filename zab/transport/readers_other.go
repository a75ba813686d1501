//go:build !linux

package transport

// readers does nothing here: each connection has a goroutine that reads.
type readers struct{ t *Transport }

func (r *readers) takeOver(*conn) {}

func (r *readers) serve(*conn) (ok bool, err error) { return false, nil }

func (r *readers) relieve() {}

func (r *readers) stop() {}
