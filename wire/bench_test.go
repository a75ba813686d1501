package wire

import (
	"bytes"
	"fmt"
	"testing"
)

// getDataFrame and setDataFrame are requests as they arrive, length excluded.
func getDataFrame() []byte {
	b := RequestHeader{Xid: 7, Op: OpGetData}.Append(nil)
	return PathWatch{Path: []byte("/bench/key-0000000042"), Watch: true}.Append(b)
}

func setDataFrame(size int) []byte {
	b := RequestHeader{Xid: 7, Op: OpSetData}.Append(nil)
	s := SetDataRequest{Path: []byte("/bench/key-0000000042"), Data: bytes.Repeat([]byte{'x'}, size), Version: -1}
	return s.Append(b)
}

func decodeGetData(frame []byte) (h RequestHeader, p PathWatch, err error) {
	r := NewReader(frame)
	h.Decode(&r)
	p.Decode(&r)
	return h, p, r.Err()
}

func decodeSetData(frame []byte) (h RequestHeader, s SetDataRequest, err error) {
	r := NewReader(frame)
	h.Decode(&r)
	s.Decode(&r)
	return h, s, r.Err()
}

// appendGetData appends a whole reply to getData.
func appendGetData(dst, data []byte, stat *Stat) []byte {
	dst, mark := BeginFrame(dst)
	dst = ReplyHeader{Xid: 7, Zxid: 99}.Append(dst)
	dst = stat.Append(AppendBuffer(dst, data))
	return EndFrame(dst, mark)
}

// TestNoAllocations on the way of a read and of a write.
func TestNoAllocations(t *testing.T) {
	get, set := getDataFrame(), setDataFrame(128)
	data, stat, out := make([]byte, 128), &Stat{Version: 3}, make([]byte, 0, 4096)
	for name, f := range map[string]func(){
		"decode getData": func() {
			if h, p, err := decodeGetData(get); err != nil || h.Op != OpGetData || !p.Watch {
				t.Fatalf("%v %v %v", h, p, err)
			}
		},
		"decode setData": func() {
			if h, s, err := decodeSetData(set); err != nil || h.Op != OpSetData || len(s.Data) != 128 {
				t.Fatalf("%v %v %v", h, s, err)
			}
		},
		"append getData's reply": func() {
			if out = appendGetData(out[:0], data, stat); int(FrameLength(out)) != ReplyHeaderBytes+4+128+StatBytes {
				t.Fatalf("frame of %d bytes", len(out))
			}
		},
		"append a notification": func() {
			out = AppendNotification(out[:0], 99, EventNodeDataChanged, get[12:33])
		},
		"read an ACL": func() {
			r := NewReader(OpenACL)
			if v := r.ACLVector(); len(v) != len(OpenACL) {
				t.Fatalf("% x", v)
			}
		},
	} {
		if allocs := testing.AllocsPerRun(100, f); allocs != 0 {
			t.Errorf("%s: %v allocations, want 0", name, allocs)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	b.Run("op=getData", func(b *testing.B) {
		frame := getDataFrame()
		b.ReportAllocs()
		b.SetBytes(int64(len(frame)))
		for b.Loop() {
			if _, _, err := decodeGetData(frame); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, size := range []int{128, 1024} {
		b.Run(fmt.Sprintf("op=setData/data=%d", size), func(b *testing.B) {
			frame := setDataFrame(size)
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			for b.Loop() {
				if _, _, err := decodeSetData(frame); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	stat := &Stat{Version: 3}
	out := make([]byte, 0, 4096)
	for _, size := range []int{128, 1024} {
		b.Run(fmt.Sprintf("reply=getData/data=%d", size), func(b *testing.B) {
			data := make([]byte, size)
			b.ReportAllocs()
			for b.Loop() {
				out = appendGetData(out[:0], data, stat)
			}
			b.SetBytes(int64(len(out)))
		})
	}
	b.Run("reply=setData", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var mark int
			out, mark = BeginFrame(out[:0])
			out = EndFrame(stat.Append(ReplyHeader{Xid: 7, Zxid: 99}.Append(out)), mark)
		}
		b.SetBytes(int64(len(out)))
	})
	b.Run("notification", func(b *testing.B) {
		path := []byte("/bench/key-0000000042")
		b.ReportAllocs()
		for b.Loop() {
			out = AppendNotification(out[:0], 99, EventNodeDataChanged, path)
		}
		b.SetBytes(int64(len(out)))
	})
}
