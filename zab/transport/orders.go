package transport

import (
	"bufio"
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"

	"github.com/quorate/quorate/zab"
)

// aliveEvery is how often the handler is told that bytes of a snapshot flow.
const aliveEvery = 50 * time.Millisecond

// pulse tells the handler that bytes flow where no packet is complete.
type pulse struct {
	c    *conn
	next time.Time
}

func (p *pulse) beat() {
	now := time.Now()
	if now.Before(p.next) || p.c.closing.Load() {
		return
	}
	p.next = now.Add(aliveEvery)
	p.c.t.step(zab.Message{Type: zab.Alive, From: p.c.sid, To: p.c.t.o.ID, Conn: p.c.id})
}

// perform carries out an order of the core, on the writer.
func (c *conn) perform(m zab.Message) error {
	if m.Type == zab.LogRange {
		return c.sendLogRange(&m)
	}
	return c.sendSnapshot(&m)
}

// pulsing writes to the connection, and beats.
type pulsing struct {
	c *conn
	p pulse
}

// Write implements io.Writer.
func (w *pulsing) Write(b []byte) (int, error) {
	n, err := w.c.nc.Write(b)
	if err == nil {
		w.p.beat()
	}
	return n, err
}

// sendSnapshot writes a SNAP packet and the stream behind it. What is queued meanwhile waits. The packet says what the
// snapshot holds, which may be more than was asked for; what it holds is not sent once more: a learner of Java's would
// compare its digest with that of a tree which is ahead.
func (c *conn) sendSnapshot(m *zab.Message) error {
	w := bufio.NewWriterSize(&pulsing{c: c, p: pulse{c: c}}, slabBytes)
	begin := func(zxid int64) error {
		if err := c.out.cover(zxid); err != nil {
			return err
		}
		head := *m
		head.Zxid = max(m.Zxid, zxid)
		_, err := w.Write(appendPacket(nil, &head, c.dialled))
		return err
	}
	began := time.Now()
	if err := c.t.o.Storage.SendSnapshot(w, m.Through, begin); err != nil {
		return fmt.Errorf("sending a snapshot: %w", err)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("sending a snapshot: %w", err)
	}
	c.t.log.Info("snapshot sent", zap.Int64("sid", c.sid), zap.String("zxid", zab.FormatZxid(m.Zxid)),
		zap.Duration("took", time.Since(began)))
	if !c.closing.Load() {
		c.t.step(zab.Message{Type: zab.SnapshotSent, From: c.sid, To: c.t.o.ID, Conn: c.id, Zxid: m.Zxid})
	}
	return nil
}

// sendLogRange writes PROPOSAL and COMMIT for a range of the log on disk.
func (c *conn) sendLogRange(m *zab.Message) error {
	w := pulsing{c: c, p: pulse{c: c}}
	var buf []byte
	last := m.Zxid
	err := c.t.o.Storage.LogRange(m.Zxid, m.Through, func(zxid int64, data []byte) error {
		if zxid <= last || zxid > m.Through {
			return fmt.Errorf("%s does not belong behind %s", zab.FormatZxid(zxid), zab.FormatZxid(last))
		}
		last = zxid
		buf = appendPacket(buf, &zab.Message{Type: zab.Proposal, Zxid: zxid, Data: data}, c.dialled)
		buf = appendPacket(buf, &zab.Message{Type: zab.Commit, Zxid: zxid}, c.dialled)
		if len(buf) < slabBytes {
			return nil
		}
		_, err := w.Write(buf)
		buf = buf[:0]
		return err
	})
	if err == nil && last != m.Through {
		err = fmt.Errorf("the log ends at %s", zab.FormatZxid(last))
	}
	if err == nil {
		_, err = w.Write(buf)
	}
	if err != nil {
		return fmt.Errorf("sending the log from %s to %s: %w", zab.FormatZxid(m.Zxid), zab.FormatZxid(m.Through), err)
	}
	return nil
}

// receiveSnapshot takes the stream behind a SNAP packet to storage, on the reader, and then tells the handler.
func (c *conn) receiveSnapshot(m zab.Message) error {
	if !c.dialled {
		return fmt.Errorf("%w: SNAP from a learner", errPacketType)
	}
	c.flush()
	began := time.Now()
	// The stream is copied out, so one buffer serves for all of it. It is a new one: messages point into the old.
	c.in.renew()
	r := &incoming{c: c, p: pulse{c: c}}
	err := c.t.o.Storage.ReceiveSnapshot(r, c.id, m.Zxid)
	if err == nil && c.closing.Load() {
		err = errClosing
	}
	if err != nil {
		c.t.o.Storage.DropSnapshot(c.id)
		return fmt.Errorf("receiving a snapshot: %w", err)
	}
	c.t.log.Info("snapshot received", zap.Int64("sid", c.sid), zap.String("zxid", zab.FormatZxid(m.Zxid)),
		zap.Int64("bytes", r.bytes), zap.Duration("took", time.Since(began)))
	c.t.step(m)
	return nil
}

// incoming reads a snapshot stream from what the slab holds and then from the socket. Bytes behind the stream stay in
// the slab.
type incoming struct {
	c     *conn
	p     pulse
	bytes int64
}

// Read implements io.Reader.
func (r *incoming) Read(b []byte) (int, error) {
	in := &r.c.in
	for len(in.unread()) == 0 {
		if r.c.closing.Load() {
			return 0, errClosing
		}
		in.start, in.end = 0, 0
		if err := in.fill(1); err != nil {
			if err == io.EOF { //nolint:errorlint // a reader's own, never wrapped
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
		r.c.heard.Store(time.Now().UnixNano())
		r.p.beat()
	}
	n := copy(b, in.unread())
	in.take(n)
	r.bytes += int64(n)
	return n, nil
}
