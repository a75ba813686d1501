package wire

import (
	"bytes"
	"errors"
	"reflect"
	"runtime"
	"runtime/metrics"
	"testing"
)

// FuzzDecodeRequest decodes any bytes as the body of any operation: it must not
// panic nor allocate by what a length field claims, it must blame the frame
// with one of the two errors, and what it accepts must survive being encoded.
func FuzzDecodeRequest(f *testing.F) {
	for op, b := range sampleRequests {
		f.Add(int32(op), b.append(nil))
		f.Add(int32(op), []byte{})
		f.Add(int32(op), bytes.Repeat([]byte{0x7f}, 40))
	}
	addGolden(f, func(g goldenFrame) bool { return g.file != "connect" && g.request() },
		func(op Op, body []byte) { f.Add(int32(op), body[RequestHeaderBytes:]) })
	f.Fuzz(func(t *testing.T, op int32, frame []byte) {
		if body, ok := requestBodies[Op(op)]; ok {
			decodeAny(t, body, frame)
		}
	})
}

// FuzzDecodeMulti looks deeper into the one body that nests others.
func FuzzDecodeMulti(f *testing.F) {
	f.Add(sampleRequests[OpMulti].append(nil))
	f.Add(sampleRequests[OpMultiRead].append(nil))
	f.Add(MultiEnd.Append(nil))
	f.Add(MultiHeader{Op: OpCreate}.Append(nil))
	f.Fuzz(func(t *testing.T, frame []byte) { decodeAny(t, body[multi], frame) })
}

// FuzzDecodeConnect is the first packet of anybody who finds the port.
func FuzzDecodeConnect(f *testing.F) {
	request := ConnectRequest{LastZxidSeen: 5, TimeOut: 10_000, SessionID: 7, Passwd: make([]byte, PasswdBytes)}
	f.Add(request.Append(nil))
	request.HasReadOnly = true
	f.Add(request.Append(nil))
	addGolden(f, func(g goldenFrame) bool { return g.file == "connect" && g.request() },
		func(_ Op, body []byte) { f.Add(body) })
	f.Add([]byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
	f.Fuzz(func(t *testing.T, frame []byte) { decodeAny(t, body[connectRequest], frame) })
}

// FuzzDecodeReply reads any bytes as a client would read a reply.
func FuzzDecodeReply(f *testing.F) {
	header := ReplyHeader{Xid: 1, Zxid: 2}.Append(nil)
	stat := (&Stat{Czxid: 1, Pzxid: 2}).Append(nil)
	f.Add(append(header, stat...))
	f.Add(append(AppendBuffer(header, []byte("data")), stat...))
	f.Add(append(AppendACLs(header, []ACL{{PermAll, ID{"world", "anyone"}}}), stat...))
	f.Add(AppendNotification(nil, 3, EventNodeDeleted, "/a")[FrameHeaderBytes:])
	f.Add((&ConnectResponse{TimeOut: 1, SessionID: 2, Passwd: make([]byte, PasswdBytes)}).Append(nil))
	addGolden(f, func(g goldenFrame) bool { return !g.request() }, func(_ Op, body []byte) { f.Add(body) })
	f.Fuzz(func(t *testing.T, frame []byte) {
		for _, read := range replyBodies {
			var r Reader
			checkAllocations(t, frame, allocatedMax(frame), func() {
				r = NewReader(frame)
				read(&r)
			})
			checkFailure(t, &r, frame)
		}
		checkACLs(t, frame)
	})
}

// replyBodies are the shapes of replies.
var replyBodies = []func(r *Reader){
	func(r *Reader) { new(ConnectResponse).Decode(r) },
	func(r *Reader) { new(ReplyHeader).Decode(r); new(Stat).Decode(r) },
	func(r *Reader) { new(ReplyHeader).Decode(r); r.Buffer(); new(Stat).Decode(r) },
	func(r *Reader) { new(ReplyHeader).Decode(r); DecodeACLs(r); new(Stat).Decode(r) },
	func(r *Reader) { new(ReplyHeader).Decode(r); decodePaths(r); new(Stat).Decode(r) },
	func(r *Reader) { new(ReplyHeader).Decode(r); new(WatcherEvent).Decode(r) },
	func(r *Reader) { new(ReplyHeader).Decode(r); new(MultiHeader).Decode(r); _ = r.String() },
}

// checkACLs fails unless the two ways of decoding a list of ACLs agree.
func checkACLs(t *testing.T, frame []byte) {
	a, b := NewReader(frame), NewReader(frame)
	acls, vector := DecodeACLs(&a), b.ACLVector()
	if (a.Err() == nil) != (b.Err() == nil) || a.Offset() != b.Offset() {
		t.Fatalf("one way stops at %d, %v, the other at %d, %v", a.Offset(), a.Err(), b.Offset(), b.Err())
	}
	if b.Err() != nil {
		return
	}
	entries, err := vector.Decode()
	if err != nil || len(entries) != len(acls) {
		t.Fatalf("%d entries and %d, %v", len(acls), len(entries), err)
	}
	for i, e := range entries {
		if got := (ACL{e.Perms, ID{string(e.Scheme), string(e.ID)}}); got != acls[i] {
			t.Fatalf("entry %d is %v and %v", i, got, acls[i])
		}
	}
	if vector.IsNull() != (string(vector) == "\xff\xff\xff\xff") {
		t.Fatalf("% x: null is %v", vector, vector.IsNull())
	}
}

func decodeAny(t *testing.T, body func() record, frame []byte) {
	before := bytes.Clone(frame)
	var v record
	var r Reader
	checkAllocations(t, frame, allocatedMax(frame), func() {
		v, r = body(), NewReader(frame)
		v.decode(&r)
	})
	if !bytes.Equal(frame, before) {
		t.Errorf("decoding changed the frame")
	}
	checkFailure(t, &r, frame)
	if r.Err() != nil {
		return
	}
	if err := stable(v, body(), 0); err != nil {
		t.Error(err)
	}
}

func checkFailure(t *testing.T, r *Reader, frame []byte) {
	err := r.Err()
	if err != nil && !errors.Is(err, ErrShort) && !errors.Is(err, ErrLength) && !errors.Is(err, errMulti) {
		t.Errorf("unexpected error %v", err)
	}
	if r.Offset() < 0 || r.Offset() > len(frame) || r.Offset()+len(r.Remaining()) != len(frame) {
		t.Errorf("at byte %d of %d with %d remaining", r.Offset(), len(frame), len(r.Remaining()))
	}
}

// checkAllocations fails if f, which may be run again, allocates more than max
// bytes. Most inputs are let through by a cheap figure, which the runtime
// updates by whole spans, its own and others'; only the rest are measured with
// the world stopped, and thrice, since other goroutines may allocate meanwhile.
func checkAllocations(t *testing.T, frame []byte, limit uint64, f func()) {
	t.Helper()
	estimate := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(estimate)
	before := estimate[0].Value.Uint64()
	f()
	metrics.Read(estimate)
	if estimate[0].Value.Uint64()-before <= limit {
		return
	}
	if got := min(allocated(f), allocated(f), allocated(f)); got > limit {
		t.Errorf("%d bytes are allocated for a frame of %d, % x", got, len(frame), frame)
	}
}

func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// allocatedMax leaves room for slice headers in place of lengths (24 bytes for
// 4), for the operations of a multi that tests collect, and for the text of an
// error.
func allocatedMax(frame []byte) uint64 { return 8<<10 + 64*uint64(len(frame)) }

// TestHostileLengths: a small frame that claims a lot gets an error and next to
// no memory.
func TestHostileLengths(t *testing.T) {
	claims := []int32{1<<31 - 1, 1 << 30, 1 << 20, 1000, -2, -1 << 31}
	for op, newBody := range requestBodies {
		v := newBody()
		if _, ok := v.(*nothing); ok {
			continue
		}
		sample := sampleRequests[op].append(nil)
		for off := 0; off+4 <= len(sample); off++ {
			for _, claim := range claims {
				frame := bytes.Clone(sample)
				PutInt(frame, off, claim)
				checkAllocations(t, frame, 8<<10+16*uint64(len(frame)), func() {
					r := NewReader(frame)
					newBody().decode(&r)
				})
			}
		}
	}
}

// TestShortFrames: every body cut at any byte is refused, none is misread. Only
// what ends a body without a trace of its own may be missing.
func TestShortFrames(t *testing.T) {
	for op, newBody := range requestBodies {
		sample := sampleRequests[op].append(nil)
		for n := range sample {
			v, r := newBody(), NewReader(sample[:n])
			if v.decode(&r); !errors.Is(r.Err(), ErrShort) {
				t.Errorf("%v cut to %d of %d bytes: %v", op, n, len(sample), r.Err())
			}
		}
	}
}

// TestTrailingBytes: what follows a record is left alone, as jute does.
func TestTrailingBytes(t *testing.T) {
	for op, newBody := range requestBodies {
		sample := sampleRequests[op]
		v, r := newBody(), NewReader(append(sample.append(nil), "trailing"...))
		v.decode(&r)
		if r.Err() != nil || string(r.Remaining()) != "trailing" || !reflect.DeepEqual(v, sample) {
			t.Errorf("%v: %#v with %q remaining, %v", op, v, r.Remaining(), r.Err())
		}
	}
}
