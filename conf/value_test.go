package conf

import (
	"math"
	"testing"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "17": 17, "-1": -1, "4k": 4096, "512m": 512 << 20, "4G": 4 << 30, "2 GiB": 2 << 30, "3mb": 3 << 20, "1t": 1 << 40, "5b": 5,
	} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "g", "1x", "1.5g", "0x10", "9223372036854775807k", "8388608t", "-9000000t", "1gg", "ib"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q was read as %d", text, got)
		}
	}
}

func TestParseDecodedIsJavasIntegerDecodeWithoutOctal(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "-5": -5, "+5": 5, "0x10": 16, "0XfF": 255, "#10": 16, "-0x10": -16, "9223372036854775807": math.MaxInt64,
	} {
		if got, err := parseDecoded(text); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-", "0x", "#", "010", "--5", "0x-5", "5 ", "1_000", "9223372036854775808"} {
		if got, err := parseDecoded(text); err == nil {
			t.Errorf("%q was read as %d", text, got)
		}
	}
}
