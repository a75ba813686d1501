package server

import (
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// gate holds up what writes to a store while it is shut.
type gate struct {
	on      atomic.Bool
	once    sync.Once
	waiting chan struct{} // closed when the first is held up
	open    chan struct{}
}

func newGate() *gate { return &gate{waiting: make(chan struct{}), open: make(chan struct{})} }

func (g *gate) shut()    { g.on.Store(true) }
func (g *gate) release() { close(g.open) }

// wrap returns the file system of the operating system behind the gate.
func (g *gate) wrap(string) vfs.FS {
	return errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if g.on.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			g.once.Do(func() { close(g.waiting) })
			<-g.open
		}
		return nil
	}))
}

// fullDisk is a file system that has no room for a checkpoint while it is full.
type fullDisk struct{ full atomic.Bool }

func (d *fullDisk) wrap() vfs.FS {
	return errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if d.full.Load() && op.Kind == errorfs.OpCreate {
			return syscall.ENOSPC
		}
		return nil
	}))
}
