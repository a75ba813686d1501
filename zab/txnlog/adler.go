package txnlog

import "encoding/binary"

const (
	adlerMod = 65521
	// adlerWords is how many 8-byte words are summed before the lanes are emptied: a lane of 16 bits holds the sum of
	// 23 bytes weighted 0 to 22 (at most 255*253), and one word more would overflow it.
	adlerWords = 23
	// adlerBytes is how many bytes are summed before the sums are reduced, far below where 64 bits would overflow.
	adlerBytes = 1 << 16
	evenLanes  = 0x00ff00ff00ff00ff
)

// adler32 returns the Adler-32 checksum of data, as hash/adler32.Checksum does, several times faster: every entry
// is summed when it is written and again when it is read.
//
// Eight bytes are summed at a time, in eight lanes of 16 bits. With A[i] the sum of byte i of all words of a block
// and B[i] the sum of A[i] before each word, the block adds ΣA[i] to the first sum, and to the second 8·ΣB[i] for
// the words behind each byte and Σ(8-i)·A[i] for the place inside its own word.
func adler32(data []byte) uint32 {
	s1, s2 := uint64(1), uint64(0)
	for len(data) > adlerBytes {
		s1, s2 = adlerAdd(data[:adlerBytes], s1, s2)
		data = data[adlerBytes:]
	}
	s1, s2 = adlerAdd(data, s1, s2)
	return uint32(s2<<16 | s1) //nolint:gosec // both below 2^16
}

// adlerAdd adds at most adlerBytes to the sums and reduces them.
func adlerAdd(data []byte, s1, s2 uint64) (uint64, uint64) {
	for len(data) >= 8 {
		n := min(len(data)/8, adlerWords)
		s1, s2 = adlerBlock(data[:8*n], s1, s2)
		data = data[8*n:]
	}
	for _, c := range data {
		s1 += uint64(c)
		s2 += s1
	}
	return s1 % adlerMod, s2 % adlerMod
}

// adlerBlock adds a block of at most adlerWords whole words.
func adlerBlock(block []byte, s1, s2 uint64) (uint64, uint64) {
	var a0, a1, b0, b1 uint64 // bytes 7,5,3,1 and 6,4,2,0 of each word, lowest lane first
	s2 += s1 * uint64(len(block))
	for len(block) >= 8 {
		w := binary.BigEndian.Uint64(block)
		b0 += a0
		b1 += a1
		a0 += w & evenLanes
		a1 += w >> 8 & evenLanes
		block = block[8:]
	}
	s1 += laneSum(a0) + laneSum(a1)
	s2 += 8 * (laneSum(b0) + laneSum(b1))
	s2 += lane(a0, 0) + 3*lane(a0, 1) + 5*lane(a0, 2) + 7*lane(a0, 3)
	s2 += 2*lane(a1, 0) + 4*lane(a1, 1) + 6*lane(a1, 2) + 8*lane(a1, 3)
	return s1, s2
}

func lane(v uint64, i uint) uint64 {
	return v >> (16 * i) & 0xffff
}

func laneSum(v uint64) uint64 {
	return lane(v, 0) + lane(v, 1) + lane(v, 2) + lane(v, 3)
}
