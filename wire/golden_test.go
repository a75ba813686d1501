package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// goldenFrame is a frame that a real program sent; testdata holds them, and
// `make record` makes them again.
type goldenFrame struct {
	file  string // the operation's name
	title string // "request, CLIENT to SERVER" and the like
	frame []byte // length in front
}

// goldenFrames reads the captures: a title line, then lines of hex that end in
// a comment.
func goldenFrames(tb testing.TB) []goldenFrame {
	tb.Helper()
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		tb.Fatal(err)
	}
	var out []goldenFrame
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			tb.Fatal(err)
		}
		frames, err := parseGolden(strings.TrimSuffix(filepath.Base(p), ".txt"), string(text))
		if err != nil {
			tb.Fatalf("%s: %v", p, err)
		}
		out = append(out, frames...)
	}
	if len(out) < 100 {
		tb.Fatalf("only %d captures", len(out))
	}
	return out
}

func parseGolden(file, text string) ([]goldenFrame, error) {
	var out []goldenFrame
	for line := range strings.Lines(text) {
		data, _, annotated := strings.Cut(strings.TrimSpace(line), "#")
		data = strings.TrimSpace(data)
		b, err := hex.DecodeString(data)
		switch {
		case data == "":
		case err != nil && annotated:
			return nil, fmt.Errorf("%q: %w", line, err)
		case err != nil:
			out = append(out, goldenFrame{file: file, title: data})
		case len(out) == 0:
			return nil, errors.New("hex before a title")
		default:
			last := &out[len(out)-1]
			last.frame = append(last.frame, b...)
		}
	}
	return out, nil
}

// body returns what follows the length, which it checks.
func (g goldenFrame) body(tb testing.TB) []byte {
	tb.Helper()
	if len(g.frame) < FrameHeaderBytes || int(FrameLength(g.frame)) != len(g.frame)-FrameHeaderBytes {
		tb.Fatalf("%s: %s: the length is wrong: % x", g.file, g.title, g.frame)
	}
	return g.frame[FrameHeaderBytes:]
}

// request reports whether a client sent the frame.
func (g goldenFrame) request() bool { return strings.HasPrefix(g.title, "request") }

// goldenOps are the operations by the names of their files.
func goldenOps() map[string]Op {
	ops := map[string]Op{}
	for op, names := range opNames {
		ops[names[0]] = op
	}
	return ops
}

// TestGolden decodes every capture to its last byte and encodes it again to
// the same bytes.
func TestGolden(t *testing.T) {
	ops := goldenOps()
	seen := map[Op]bool{}
	for _, g := range goldenFrames(t) {
		op, known := ops[g.file]
		if !known && g.file != "connect" {
			t.Fatalf("no operation is called %s", g.file)
		}
		body := g.body(t)
		again, err := reencode(g, op, body)
		switch {
		case err != nil:
			t.Errorf("%s: %s: %v", g.file, g.title, err)
		case !bytes.Equal(again, body):
			t.Errorf("%s: %s:\n%x is encoded again as\n%x", g.file, g.title, body, again)
		}
		seen[op] = seen[op] || g.request()
	}
	// Every request a client can send was captured; check travels in multis,
	// and these two have no client.
	for op := range requestBodies {
		if !seen[op] && op != OpCheck && op != OpDeleteContainer && op != OpSASL && op != OpCreateSession {
			t.Errorf("no capture of %v", op)
		}
	}
}

// reencode decodes a frame's body and returns its encoding.
func reencode(g goldenFrame, op Op, body []byte) ([]byte, error) {
	r := NewReader(body)
	var again []byte
	switch {
	case g.file == "connect" && g.request():
		var c ConnectRequest
		c.Decode(&r)
		again = c.Append(nil)
	case g.file == "connect":
		var c ConnectResponse
		c.Decode(&r)
		again = c.Append(nil)
	case g.request():
		var h RequestHeader
		h.Decode(&r)
		if h.Op != op {
			return nil, fmt.Errorf("the header says %v", h.Op)
		}
		v := requestBodies[op]()
		v.decode(&r)
		again = v.append(h.Append(nil))
	default:
		var h ReplyHeader
		h.Decode(&r)
		again = h.Append(nil)
		if h.Err == OK {
			again = copyReply(again, &r, op)
		}
	}
	if left := r.Remaining(); len(left) > 0 && r.Err() == nil {
		return nil, fmt.Errorf("%d bytes are left: % x", len(left), left)
	}
	return again, r.Err()
}

// copyReply decodes the body of an answer to op and appends its encoding.
func copyReply(dst []byte, r *Reader, op Op) []byte {
	switch op {
	case OpCreate, OpSync, OpSASL:
		return AppendBuffer(dst, r.Buffer())
	case OpCreate2, OpCreateContainer, OpCreateTTL, OpGetData:
		return copyStat(AppendBuffer(dst, r.Buffer()), r)
	case OpExists, OpSetData, OpSetACL:
		return copyStat(dst, r)
	case OpGetACL:
		return copyStat(AppendACLs(dst, DecodeACLs(r)), r)
	case OpGetChildren, OpGetEphemerals:
		return copyStrings(dst, r)
	case OpGetChildren2:
		return copyStat(copyStrings(dst, r), r)
	case OpGetAllChildrenNumber, OpAddWatch:
		return AppendInt(dst, r.Int())
	case OpWhoAmI:
		n := r.Count(8)
		dst = AppendInt(dst, int32(n))
		for range n {
			dst = AppendBuffer(AppendBuffer(dst, r.Buffer()), r.Buffer())
		}
		return dst
	case OpMulti, OpMultiRead:
		return copyResults(dst, r)
	case OpNotification:
		var e WatcherEvent
		e.Decode(r)
		return AppendBuffer(AppendInt(AppendInt(dst, int32(e.Type)), e.State), e.Path)
	default:
		return dst
	}
}

func copyStat(dst []byte, r *Reader) []byte {
	var s Stat
	s.Decode(r)
	return s.Append(dst)
}

func copyStrings(dst []byte, r *Reader) []byte {
	paths := decodePaths(r)
	dst = AppendInt(dst, int32(len(paths)))
	for _, p := range paths {
		dst = AppendBuffer(dst, p)
	}
	return dst
}

func copyResults(dst []byte, r *Reader) []byte {
	for r.Err() == nil {
		var h MultiHeader
		h.Decode(r)
		dst = h.Append(dst)
		switch {
		case h.Done:
			return dst
		case h.Op == OpError:
			dst = AppendInt(dst, r.Int())
		default:
			dst = copyReply(dst, r, h.Op)
		}
	}
	return dst
}

// TestGoldenNotification encodes captured notifications by the function that
// the server uses.
func TestGoldenNotification(t *testing.T) {
	n := 0
	for _, g := range goldenFrames(t) {
		if g.file != OpNotification.String() {
			continue
		}
		n++
		r := NewReader(g.body(t))
		var h ReplyHeader
		var e WatcherEvent
		h.Decode(&r)
		e.Decode(&r)
		if got := AppendNotification(nil, h.Zxid, e.Type, e.Path); !bytes.Equal(got, g.frame) {
			t.Errorf("%s:\n%x is encoded as\n%x", g.title, g.frame, got)
		}
	}
	if n < 4 {
		t.Errorf("%d notifications", n)
	}
}

// addGolden seeds a fuzz target with what follows the header of every capture
// that choose accepts.
func addGolden(f *testing.F, choose func(g goldenFrame) bool, add func(op Op, body []byte)) {
	ops := goldenOps()
	for _, g := range goldenFrames(f) {
		if choose(g) {
			add(ops[g.file], g.body(f))
		}
	}
}

// FuzzGolden decodes variations of the captures as the frames they are.
func FuzzGolden(f *testing.F) {
	addGolden(f, func(g goldenFrame) bool { return g.file != "connect" && g.request() },
		func(op Op, body []byte) { f.Add(true, int32(op), body) })
	addGolden(f, func(g goldenFrame) bool { return g.file != "connect" && !g.request() },
		func(op Op, body []byte) { f.Add(false, int32(op), body) })
	f.Fuzz(func(t *testing.T, request bool, op int32, frame []byte) {
		newBody, ok := requestBodies[Op(op)]
		if request && ok && len(frame) >= RequestHeaderBytes {
			decodeAny(t, newBody, frame[RequestHeaderBytes:])
		}
		if request || len(frame) < ReplyHeaderBytes {
			return
		}
		r := NewReader(frame[ReplyHeaderBytes:])
		again := copyReply(nil, &r, Op(op))
		if r.Err() != nil {
			return
		}
		second := NewReader(again)
		if third := copyReply(nil, &second, Op(op)); second.Err() != nil || !bytes.Equal(again, third) {
			t.Errorf("%x is encoded as %x and then as %x, %v", frame, again, third, second.Err())
		}
	})
}
