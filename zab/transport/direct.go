package transport

import "syscall"

// directBytesMax is up to how much a sender writes by itself; more is the writer's, which may wait.
const directBytesMax = 64 << 10

// send has what was queued written: at once by the caller, if the writer has nothing to do and the socket has room,
// which saves waking a goroutine for every packet of a quiet ensemble; else by the writer.
func (c *conn) send() {
	if c.direct == nil {
		c.out.wake()
		return
	}
	buf := c.out.borrow()
	if buf == nil {
		c.out.wake()
		return
	}
	n, err := c.direct.write(buf)
	if err != nil {
		c.fail(err)
	}
	c.out.repay(buf, n)
}

// direct writes to a socket without waiting. It belongs to whoever has borrowed what waits. What a write needs is kept
// here, because a function literal for each of them would be three allocations.
type direct struct {
	raw syscall.RawConn
	try func(fd uintptr) bool
	buf []byte
	n   int
	err error
}

// newDirect returns nil if nc is no socket.
func newDirect(nc any) *direct {
	raw := rawConn(nc)
	if raw == nil {
		return nil
	}
	d := &direct{raw: raw}
	d.try = func(fd uintptr) bool {
		d.n, d.err = writeSome(fd, d.buf)
		return true // do not wait for room
	}
	return d
}

// rawConn returns what is below nc; nil if it is no socket.
func rawConn(nc any) syscall.RawConn {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// write writes what the socket takes at once.
func (d *direct) write(b []byte) (n int, err error) {
	d.buf = b
	err = d.raw.Write(d.try)
	d.buf = nil
	if err != nil {
		return 0, err
	}
	return d.n, d.err
}

// borrow returns all that waits, for the caller to write and repay; nil if the writer has to do it.
func (q *outbox) borrow() []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.parked || q.lent || q.closing || q.dead || len(q.orders) > 0 || len(q.buf) == 0 || len(q.buf) > directBytesMax {
		return nil
	}
	buf := q.buf
	q.buf, q.spare = q.spare[:0], nil
	q.lent = true
	return buf
}

// repay gives back what borrow returned, of which n bytes have been written. The writer goes on with the rest.
func (q *outbox) repay(buf []byte, n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lent = false
	if q.dead {
		q.ready.Signal()
		return
	}
	q.bytes -= n
	q.grace = max(0, q.grace-n)
	if n < len(buf) {
		q.buf = append(buf[n:], q.buf...)
	} else {
		q.keep(buf)
	}
	if len(q.buf) > 0 || len(q.orders) > 0 || q.closing {
		q.ready.Signal()
		return
	}
	q.packets = 0
}
