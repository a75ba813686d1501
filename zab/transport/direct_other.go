//go:build !unix

package transport

// writeSome leaves everything to the writer.
func writeSome(uintptr, []byte) (n int, err error) { return 0, nil }
