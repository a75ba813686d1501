package wire

import "encoding/binary"

// FrameHeaderBytes is the size of the length in front of every packet.
const FrameHeaderBytes = 4

// FrameLength returns the length that b, which must hold at least
// [FrameHeaderBytes] bytes, announces. It may be negative or absurd: the
// caller compares it with its limit before it believes it.
func FrameLength(b []byte) int32 { return int32(binary.BigEndian.Uint32(b)) }

// BeginFrame appends room for a length and returns where it is. [EndFrame]
// fills it in.
func BeginFrame(dst []byte) (out []byte, mark int) {
	return append(dst, 0, 0, 0, 0), len(dst)
}

// EndFrame writes the length of what was appended since [BeginFrame].
func EndFrame(dst []byte, mark int) []byte {
	binary.BigEndian.PutUint32(dst[mark:], uint32(len(dst)-mark-FrameHeaderBytes))
	return dst
}
