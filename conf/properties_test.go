package conf

import (
	"slices"
	"testing"
)

// TestPropertiesSyntax states what java.util.Properties (Java 17) makes of
// each text; the expectations were taken from it.
func TestPropertiesSyntax(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       []entry
	}{
		{"empty", "", nil},
		{"blank lines and comments", "\n  \t\n# a=b\n  ! c=d\n\f\n", nil},
		{"separators", "a=1\nb:2\nc 3\nd\t4\ne = 5\nf  :  6\n", []entry{{"a", "1", 1}, {"b", "2", 2}, {"c", "3", 3}, {"d", "4", 4}, {"e", "5", 5}, {"f", "6", 6}}},
		{"only one separator is taken", "a==1\nb=:2\nc : = 3", []entry{{"a", "=1", 1}, {"b", ":2", 2}, {"c", "= 3", 3}}},
		{"no value, no key", "a\nb=\n=c\n", []entry{{"a", "", 1}, {"b", "", 2}, {"", "c", 3}}},
		{"escaped separators", `a\=b\:c\ d=e\=f`, []entry{{"a=b:c d", "e=f", 1}}},
		{"line ends", "a=1\r\nb=2\rc=3\n\rd=4", []entry{{"a", "1", 1}, {"b", "2", 2}, {"c", "3", 3}, {"d", "4", 5}}},
		{"continued lines", "a=1\\\n   2\\\r\n3\nb=4", []entry{{"a", "123", 1}, {"b", "4", 4}}},
		{"a continued key", "a\\\n  b=c", []entry{{"ab", "c", 1}}},
		{"a comment sign in a continuation", "a=1\\\n#2\nb=3", []entry{{"a", "1#2", 1}, {"b", "3", 3}}},
		{"a comment does not continue", "# a\\\nb=1", []entry{{"b", "1", 2}}},
		{"an even number of backslashes ends a line", "a=1\\\\\nb=2", []entry{{"a", `1\`, 1}, {"b", "2", 2}}},
		{"a backslash with nothing before it", "\\\n# no\na=1", []entry{{"a", "1", 3}}},
		{"a backslash at the end of the file", `a=1\`, []entry{{"a", "1", 1}}},
		{"escapes", `a=y\t\n\r\f\z\\\"x`, []entry{{"a", "y\t\n\r\fz\\\"x", 1}}},
		{"unicode", `\u0061\u00E9=\ud83d\ude00`, []entry{{"aé", "\U0001F600", 1}}},
		{"ISO-8859-1", "a=\xe9", []entry{{"a", "é", 1}}},
		{"trailing blanks go, as in ZooKeeper", "a=1 \t\nb= 2\f", []entry{{"a", "1", 1}, {"b", "2", 2}}},
		{"duplicates are kept in order", "a=1\na=2", []entry{{"a", "1", 1}, {"a", "2", 2}}},
		{"a byte order mark", "\xef\xbb\xbfa=1", []entry{{"a", "1", 1}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := parseProperties([]byte(tc.text))
			if !slices.Equal(got.entries, tc.want) {
				t.Errorf("%q\n got %+v\nwant %+v", tc.text, got.entries, tc.want)
			}
			if len(got.faults) > 0 {
				t.Errorf("faults: %v", got.faults)
			}
		})
	}
}

func TestBadEscapesAreFaultsWithTheirLine(t *testing.T) {
	got := parseProperties([]byte("a=1\nb=\\u12\nc\\u00g0=1\nd=\\\n  \\uABC\ne=2"))
	lines := []int{}
	for _, f := range got.faults {
		lines = append(lines, f.line)
	}
	if want := []int{2, 3, 4}; !slices.Equal(lines, want) {
		t.Errorf("faults in lines %v, want %v", lines, want)
	}
	if want := []entry{{"a", "1", 1}, {"e", "2", 6}}; !slices.Equal(got.entries, want) {
		t.Errorf("entries %+v, want %+v", got.entries, want)
	}
}

func TestForeignBytesAreWarnedAbout(t *testing.T) {
	got := parseProperties([]byte("\xef\xbb\xbfa=1\nb=\xc3\xa9\n# \xe9\nc=2"))
	if len(got.warnings) != 2 || got.warnings[0].line != 1 || got.warnings[1].line != 2 {
		t.Errorf("warnings %+v, want one for the mark in line 1 and one for line 2", got.warnings)
	}
}

// FuzzParseProperties looks for panics and for line numbers outside the file.
func FuzzParseProperties(f *testing.F) {
	for _, seed := range []string{"a=1\\\n 2\r\n#x\n!y\nb:\\u0041", "\\", "\\u", "=\\\n\\\n", "\xef\xbb\xbf k\tv"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		naturalLines := 1
		for _, b := range text {
			if b == '\n' || b == '\r' {
				naturalLines++
			}
		}
		parsed := parseProperties(text)
		for _, e := range parsed.entries {
			if e.line < 1 || e.line > naturalLines {
				t.Errorf("entry %q in line %d of %d", e.key, e.line, naturalLines)
			}
		}
		if len(parsed.entries)+len(parsed.faults) > 2*naturalLines {
			t.Errorf("%d entries from %d lines", len(parsed.entries), naturalLines)
		}
	})
}
