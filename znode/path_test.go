package znode

import (
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/quorate/quorate/wire"
)

// utf16Path is the rule as client-protocol.md section 8 states it: on UTF-16
// units, one after the other.
func utf16Path(path []byte) bool {
	units := utf16.Encode([]rune(string(path))) // malformed becomes U+FFFD
	if len(units) == 0 || units[0] != '/' {
		return false
	}
	if len(units) == 1 {
		return true
	}
	component := []uint16{}
	for _, u := range append(units[1:], '/') {
		if u == '/' {
			n := len(component)
			if n == 0 || n == 1 && component[0] == '.' || n == 2 && component[0] == '.' && component[1] == '.' {
				return false
			}
			component = component[:0]
			continue
		}
		component = append(component, u)
		if u <= 0x1f || u >= 0x7f && u <= 0x9f || u >= 0xd800 && u <= 0xf8ff || u >= 0xfff0 {
			return false
		}
	}
	return true
}

func checkPath(t fataler, path []byte) {
	t.Helper()
	got := ValidatePath(path)
	if got != wire.OK && got != wire.ErrBadArguments {
		t.Fatalf("%q: code %d", path, got)
	}
	if want := utf16Path(path); want != (got == wire.OK) {
		t.Fatalf("%q: %v, but by its UTF-16 units %v", path, got, want)
	}
}

func TestValidatePath(t *testing.T) {
	for path, want := range map[string]wire.Code{
		"/": wire.OK, "/a": wire.OK, "/a/b": wire.OK, "/...": wire.OK, "/.a": wire.OK, "/a.": wire.OK, "/..a/a..": wire.OK,
		"/zookeeper/config": wire.OK, "/ü": wire.OK, "/日本/語": wire.OK, "/ ": wire.OK, "/~": wire.OK,
		"": wire.ErrBadArguments, "a": wire.ErrBadArguments, "/a/": wire.ErrBadArguments, "//": wire.ErrBadArguments,
		"//a": wire.ErrBadArguments, "/a//b": wire.ErrBadArguments, "/.": wire.ErrBadArguments, "/..": wire.ErrBadArguments,
		"/./a": wire.ErrBadArguments, "/../a": wire.ErrBadArguments, "/a/.": wire.ErrBadArguments, "/a/..": wire.ErrBadArguments,
		"/a\x00": wire.ErrBadArguments, "/\x1f": wire.ErrBadArguments, "/\x7f": wire.ErrBadArguments,
		"/😀": wire.ErrBadArguments, "/a\xff": wire.ErrBadArguments, "/\xc0\xaf": wire.ErrBadArguments,
		"/\xe2\x82": wire.ErrBadArguments, "/\ufffd": wire.ErrBadArguments,
	} {
		if got := ValidatePath([]byte(path)); got != want {
			t.Errorf("%q: %v, want %v", path, got, want)
		}
	}
	if ValidatePath(nil) != wire.ErrBadArguments {
		t.Error("a null path is valid")
	}
	for r := rune(0); r <= utf8.MaxRune; r++ {
		checkPath(t, append([]byte("/a"), string(r)...))
	}
}

func TestValidatePathRandom(t *testing.T) {
	piece := rapid.SampledFrom([]string{"/", ".", "..", "a", "é", "\x01", "\x80", "\xed\xa0\x80", "\ud7ff", "\uf900", "\U00010000", "\xf4\x90"})
	rapid.Check(t, func(t *rapid.T) {
		path := "/"
		for _, p := range rapid.SliceOfN(piece, 0, 6).Draw(t, "pieces") {
			path += p
		}
		checkPath(t, []byte(path))
	})
}

func FuzzValidatePath(f *testing.F) {
	for _, s := range []string{"/", "/a/b", "/..", "/é/日本", "/\xff"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, path []byte) { checkPath(t, path) })
}

func TestValidatePathAllocs(t *testing.T) {
	for _, path := range [][]byte{[]byte("/bench/node-00000001"), []byte("/é/日本"), []byte("/a//b")} {
		if n := testing.AllocsPerRun(100, func() { ValidatePath(path) }); n != 0 {
			t.Errorf("%q: %v allocations", path, n)
		}
	}
}

func BenchmarkValidatePath(b *testing.B) {
	path := []byte("/services/orders/instances/node-0000000042")
	b.SetBytes(int64(len(path)))
	for b.Loop() {
		if ValidatePath(path) != wire.OK {
			b.Fatal(path)
		}
	}
}
