//go:build !(linux && amd64)

package sysmon

import (
	"errors"
	"time"
)

// Relax does nothing on this system.
func Relax(time.Duration) error { return errors.ErrUnsupported }
