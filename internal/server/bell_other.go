//go:build !linux

package server

import "time"

type hammer struct{ c chan struct{} }

func (h *hammer) open()   { h.c = make(chan struct{}, 1) }
func (h *hammer) strike() { h.c <- struct{}{} }
func (h *hammer) await()  { <-h.c }
func (h *hammer) close()  {}

// nap is a sleep.
func nap(d time.Duration) { time.Sleep(d) }
