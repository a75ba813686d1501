//go:build !linux

package txnlog

// Preallocate sets the size; systems other than Linux reserve nothing.
func (f *osFile) Preallocate(size int64) error {
	return f.growTo(size)
}
