package conf

import (
	"fmt"
	"strings"
	"unicode/utf16"
)

// entry is one key and value of a properties file with the line its key
// begins on.
type entry struct {
	key, value string
	line       int
}

// lineNote is a remark about one line of a properties file: a fault when the
// file cannot be read that way at all, a warning otherwise.
type lineNote struct {
	line int
	key  string
	text string
}

// properties is a parsed file in java.util.Properties syntax.
type properties struct {
	entries  []entry // in file order, duplicates included
	faults   []lineNote
	warnings []lineNote
}

// parseProperties reads text as java.util.Properties.load does: comments by #
// or !, separators = : or blank, continued lines, escapes. It goes on after a
// fault, so that one reading finds them all. Like ZooKeeper it trims blanks
// around keys and values, and takes bytes as ISO-8859-1; neither of the
// known libraries keeps line numbers, which is why this is our own.
func parseProperties(text []byte) properties {
	var p properties
	text = p.dropByteOrderMark(text)
	r := lineReader{rest: text}
	for {
		line, ok := r.next()
		if !ok {
			return p
		}
		p.noteEncoding(line)
		p.add(line)
	}
}

// dropByteOrderMark tolerates what Windows editors put before the first line.
// Java would make it a part of the first key, which helps nobody.
func (p *properties) dropByteOrderMark(text []byte) []byte {
	const mark = "\xef\xbb\xbf"
	if !strings.HasPrefix(string(text[:min(len(text), len(mark))]), mark) {
		return text
	}
	p.warnings = append(p.warnings, lineNote{line: 1, text: "the file begins with a byte order mark, which is skipped; Java would read it as a part of the first key"})
	return text[len(mark):]
}

func (p *properties) noteEncoding(line logicalLine) {
	for _, b := range line.text {
		if b >= 0x80 {
			p.warnings = append(p.warnings, lineNote{line: line.number, text: `bytes beyond ASCII are read as ISO-8859-1, as Java does; write \uXXXX for other characters`})
			return
		}
	}
}

// add splits a logical line into key and value and unescapes both.
func (p *properties) add(line logicalLine) {
	key, value := splitKey(line.text)
	k, errKey := unescape(key)
	v, errValue := unescape(value)
	k, v = strings.TrimSpace(k), strings.TrimSpace(v)
	for _, err := range []error{errKey, errValue} {
		if err != nil {
			p.faults = append(p.faults, lineNote{line: line.number, key: k, text: err.Error()})
		}
	}
	if errKey != nil || errValue != nil {
		return
	}
	p.entries = append(p.entries, entry{key: k, value: v, line: line.number})
}

// logicalLine is one natural line, or several joined by backslashes at their
// ends; number is the one of the first, counted from 1.
type logicalLine struct {
	text   []byte
	number int
}

// lineReader cuts a file into logical lines.
type lineReader struct {
	rest   []byte
	number int // of the natural line read last
}

// next returns the next logical line that is neither blank nor a comment.
func (r *lineReader) next() (logicalLine, bool) {
	for len(r.rest) > 0 {
		text := trimLeftBlanks(r.natural())
		if len(text) > 0 && (text[0] == '#' || text[0] == '!') {
			continue
		}
		if string(text) == `\` && len(r.rest) > 0 {
			continue // continues nothing: to Java the next line is a new one
		}
		if number := r.number; len(text) > 0 {
			return logicalLine{number: number, text: r.joined(text)}, true
		}
	}
	return logicalLine{}, false
}

// joined appends the lines that continue the given one. A comment sign at the
// start of a continuation is an ordinary character, and leading blanks are
// dropped there: both as in Java.
func (r *lineReader) joined(text []byte) []byte {
	if !continued(text) {
		return text
	}
	out := append([]byte(nil), text[:len(text)-1]...)
	for len(r.rest) > 0 {
		more := trimLeftBlanks(r.natural())
		if !continued(more) {
			return append(out, more...)
		}
		out = append(out, more[:len(more)-1]...)
	}
	return out
}

// natural cuts one line off the input; \n, \r and \r\n end a line.
func (r *lineReader) natural() []byte {
	r.number++
	end := 0
	for end < len(r.rest) && r.rest[end] != '\n' && r.rest[end] != '\r' {
		end++
	}
	line := r.rest[:end]
	skip := end
	switch {
	case end+1 < len(r.rest) && r.rest[end] == '\r' && r.rest[end+1] == '\n':
		skip += 2
	case end < len(r.rest):
		skip++
	}
	r.rest = r.rest[skip:]
	return line
}

// continued reports whether an odd number of backslashes ends the line.
func continued(line []byte) bool {
	n := 0
	for n < len(line) && line[len(line)-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}

func isBlank(b byte) bool { return b == ' ' || b == '\t' || b == '\f' }

func trimLeftBlanks(line []byte) []byte {
	for len(line) > 0 && isBlank(line[0]) {
		line = line[1:]
	}
	return line
}

// splitKey cuts a logical line at the first separator that is not escaped: a
// run of blanks with at most one = or : in it.
func splitKey(line []byte) (key, value []byte) {
	end := 0
	for end < len(line) && !isBlank(line[end]) && line[end] != '=' && line[end] != ':' {
		if line[end] == '\\' {
			end++
		}
		end++
	}
	end = min(end, len(line))
	value = trimLeftBlanks(line[end:])
	if len(value) > 0 && (value[0] == '=' || value[0] == ':') {
		value = trimLeftBlanks(value[1:])
	}
	return line[:end], value
}

// unescape resolves backslash escapes and decodes ISO-8859-1.
func unescape(raw []byte) (string, error) {
	units := make([]uint16, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			units = append(units, uint16(raw[i]))
			continue
		}
		i++
		if i == len(raw) {
			break // a backslash at the end of the file
		}
		if raw[i] != 'u' {
			units = append(units, uint16(escapedByte(raw[i])))
			continue
		}
		unit, ok := hexUnit(raw[i+1:])
		if !ok {
			return string(utf16.Decode(units)), fmt.Errorf(`\u must be followed by four hexadecimal digits`)
		}
		units = append(units, unit)
		i += 4
	}
	return string(utf16.Decode(units)), nil
}

func escapedByte(b byte) byte {
	switch b {
	case 't':
		return '\t'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 'f':
		return '\f'
	}
	return b
}

// hexUnit reads the four digits of a \u escape.
func hexUnit(digits []byte) (uint16, bool) {
	if len(digits) < 4 {
		return 0, false
	}
	var unit uint16
	for _, d := range digits[:4] {
		v := strings.IndexByte("0123456789abcdef", d|0x20)
		if v < 0 || d < '0' {
			return 0, false
		}
		unit = unit<<4 | uint16(v)
	}
	return unit, true
}
