//go:build !unix

package server

import "io"

// lockLogDir locks nothing here.
func lockLogDir(string) (io.Closer, error) { return nil, nil }
