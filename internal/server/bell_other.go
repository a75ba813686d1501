//go:build !linux

package server

import (
	"sync"
	"time"
)

// bell has a channel with room for one stroke.
type bell struct {
	state bellState
	once  sync.Once
	c     chan struct{}
}

func (b *bell) strokes() chan struct{} {
	b.once.Do(func() { b.c = make(chan struct{}, 1) })
	return b.c
}

func (b *bell) strike() {
	select {
	case b.strokes() <- struct{}{}:
	default:
	}
}

func (b *bell) await(d time.Duration) {
	if d == forever {
		<-b.strokes()
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-b.strokes():
	case <-t.C:
	}
}

// nap is a sleep.
func nap(d time.Duration) { time.Sleep(d) }
