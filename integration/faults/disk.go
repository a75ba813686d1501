//go:build linux

package faults

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/integration/ensemble"
	"github.com/quorate/quorate/wire"
)

// diskBytes is the size of each member's disk when disks can be full.
const diskBytes = 192 << 20

func hasDisks(w *world) bool { return w.disks }

// ballast is the file that fills a disk.
func ballast(m *ensemble.Member) string { return filepath.Join(m.DataDir(), "ballast") }

// mountDisk gives a member a disk of its own.
func mountDisk(m *ensemble.Member) error {
	if err := os.MkdirAll(m.DataDir(), 0o755); err != nil {
		return err
	}
	if err := syscall.Mount("disk", m.DataDir(), "tmpfs", 0, fmt.Sprintf("size=%d", diskBytes)); err != nil {
		return fmt.Errorf("mount a disk for member %v: %w", m, err)
	}
	return nil
}

// Lines of logs.
var (
	// says is what Quorate prints when it stops for want of room.
	says = regexp.MustCompile(`the server stops.*no space left on device`)
	// threadOfDisk is what a Java server prints when its disk is full.
	threadOfDisk = regexp.MustCompile("Severe unrecoverable error, from thread : SyncThread")
)

// expected are lines that a server prints when its disk is full.
func expected(disks bool) *regexp.Regexp {
	if !disks {
		return nil
	}
	return threadOfDisk
}

// atOnce is how soon a member has to stop when its log cannot be written. It is
// far less than any timeout by which others would notice, and enough for a busy
// machine.
const atOnce = 10 * time.Second

// fill leaves no room on a member's disk, until the member has noticed, stopped,
// and said why. The undo makes room and starts the member, as an operator would.
func fill(who whom) inflictor {
	return func(w *world) (func() error, error) { return w.fill(who(w)[0]) }
}

func (w *world) fill(m *ensemble.Member) (func() error, error) {
	said, err := m.Logged(says)
	if err != nil {
		return nil, err
	}
	if err := writeBallast(m); err != nil {
		return nil, err
	}
	begun := time.Now()
	if err := w.exhaust(m); err != nil {
		return nil, err
	}
	w.t.Logf("member %v stopped %v after its disk was full", m, time.Since(begun).Round(time.Millisecond))
	now, err := m.Logged(says)
	if err == nil && now == said && m.Kind() == integration.Quorate {
		err = fmt.Errorf("member %v stopped without saying why\n%s", m, m.LastLines(30))
	}
	if err != nil {
		return nil, err
	}
	return func() error {
		if m.Running() {
			return fmt.Errorf("member %v runs though its disk is full", m)
		}
		return errors.Join(os.Remove(ballast(m)), m.Start())
	}, nil
}

// writeBallast takes all room.
func writeBallast(m *ensemble.Member) error {
	f, err := os.Create(ballast(m))
	if err != nil {
		return err
	}
	defer f.Close()
	for page := make([]byte, 64<<10); len(page) > 0; page = page[:len(page)/2] {
		for err == nil {
			_, err = f.Write(page)
		}
		if !errors.Is(err, syscall.ENOSPC) {
			return err
		}
		err = nil
	}
	return nil
}

// heavy is a znode whose large values use up the room that a log had reserved.
const heavy = "/heavy"

// exhaust writes large values through a member until it ends.
func (w *world) exhaust(m *ensemble.Member) error {
	s, err := integration.Connect(m.Addr(), integration.ConnectOptions{})
	if err != nil {
		return fmt.Errorf("member %v: %w", m, err)
	}
	defer s.Drop()
	s.Patience = time.Second
	if _, err := s.Create(heavy, nil, 0); err != nil && !errors.Is(err, wire.ErrNodeExists) {
		return fmt.Errorf("member %v: %w", m, err)
	}
	for range 20 { // more than a log reserves
		if _, err := s.Set(heavy, make([]byte, 256<<10), -1); err != nil {
			break
		}
	}
	select {
	case <-m.Done():
		return nil
	case <-time.After(atOnce):
		return fmt.Errorf("member %v runs %v after its disk was full\n%s", m, atOnce, m.LastLines(30))
	}
}
