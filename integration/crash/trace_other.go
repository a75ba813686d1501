//go:build linux && !amd64

package crash

import "errors"

var errUnsupported = errors.New("not on this kind of processor")

func available() error { return errUnsupported }

func trace(Order, []string) error { return errUnsupported }
