package integration

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/quorate/quorate/wire"
)

// arguments are the words of one line of a script behind its verb. A word is
// plain, "quoted" as in Go, or name=value. The first fault is kept.
type arguments struct {
	words []string
	named map[string]string
	zxid  func(offset int64) int64 // turns zN into a zxid
	err   error
}

// splitWords cuts a line at spaces outside of double quotes.
func splitWords(line string) []string {
	var words []string
	var word strings.Builder
	quoted, escaped := false, false
	for _, r := range line {
		switch {
		case r == ' ' && !quoted:
			if word.Len() > 0 {
				words = append(words, word.String())
				word.Reset()
			}
			continue
		case escaped:
			escaped = false
		case r == '\\' && quoted:
			escaped = true
		case r == '"':
			quoted = !quoted
		}
		word.WriteRune(r)
	}
	if word.Len() > 0 {
		words = append(words, word.String())
	}
	return words
}

func parseArguments(words []string, zxid func(int64) int64) *arguments {
	a := &arguments{named: map[string]string{}, zxid: zxid}
	if len(words) > 0 && (words[0] == "multi" || words[0] == "multiRead") {
		a.words = words // each part has its own named words
		return a
	}
	for _, w := range words {
		name, value, ok := strings.Cut(w, "=")
		if ok && isWord(name) {
			a.named[name] = value
		} else {
			a.words = append(a.words, w)
		}
	}
	return a
}

func isWord(s string) bool {
	for _, r := range s {
		if r < 'a' || r > 'z' {
			return false
		}
	}
	return s != ""
}

func (a *arguments) fail(format string, args ...any) {
	if a.err == nil {
		a.err = fmt.Errorf(format, args...)
	}
}

// next takes the next word, or missing when there is none.
func (a *arguments) next(missing string) string {
	if len(a.words) == 0 {
		return missing
	}
	w := a.words[0]
	a.words = a.words[1:]
	return w
}

// bytes reads a word as bytes: null, "quoted" (\xNN for bytes), fill:N for N
// times x, hex:NN, or the word itself.
func (a *arguments) bytes(w string) []byte {
	switch {
	case w == "null":
		return nil
	case strings.HasPrefix(w, `"`):
		s, err := strconv.Unquote(w)
		if err != nil {
			a.fail("%s: %w", w, err)
		}
		return []byte(s)
	case strings.HasPrefix(w, "fill:"):
		return []byte(strings.Repeat("x", int(a.number(w[5:]))))
	case strings.HasPrefix(w, "hex:"):
		b, err := hex.DecodeString(w[4:])
		if err != nil {
			a.fail("%s: %w", w, err)
		}
		return b
	}
	return []byte(w)
}

// number reads a word as an integer, or zN as the script's Nth zxid.
func (a *arguments) number(w string) int64 {
	if n, ok := strings.CutPrefix(w, "z"); ok && a.zxid != nil {
		return a.zxid(a.number(n))
	}
	v, err := strconv.ParseInt(w, 0, 64)
	if err != nil {
		a.fail("%q is no number", w)
	}
	return v
}

func (a *arguments) int32(w string) int32 { return int32(a.number(w)) }

// option returns a named word or its default.
func (a *arguments) option(name, missing string) string {
	v, ok := a.named[name]
	delete(a.named, name)
	if !ok {
		return missing
	}
	return v
}

// flag takes the next word if it is w.
func (a *arguments) flag(w string) bool {
	if len(a.words) > 0 && a.words[0] == w {
		a.words = a.words[1:]
		return true
	}
	return false
}

// done reports words nobody wanted.
func (a *arguments) done() error {
	if a.err == nil && len(a.words)+len(a.named) > 0 {
		a.fail("words left over: %q %v", a.words, a.named)
	}
	return a.err
}

// acls reads null, empty, or entries scheme:id:perms separated by commas; the
// id may hold colons, the perms are letters of cdrwa or a number. A scheme or
// id of (null) is null.
func (a *arguments) acls(w string) []byte {
	switch w {
	case "null":
		return be32(-1)
	case "empty":
		return be32(0)
	case "open":
		return wire.OpenACL
	}
	if strings.HasPrefix(w, `"`) {
		w = string(a.bytes(w))
	}
	entries := strings.Split(w, ",")
	out := be32(int32(len(entries)))
	for _, e := range entries {
		first, last := strings.Index(e, ":"), strings.LastIndex(e, ":")
		if first < 0 || last == first {
			a.fail("ACL entry %q is not scheme:id:perms", e)
			return nil
		}
		out = wire.AppendInt(out, a.perms(e[last+1:]))
		out = appendNullable(out, e[:first])
		out = appendNullable(out, e[first+1:last])
	}
	return out
}

func appendNullable(dst []byte, s string) []byte {
	if s == "(null)" {
		return append(dst, be32(-1)...)
	}
	return wire.AppendString(dst, s)
}

const permLetters = "rwcda" // in the order of their bits

func (a *arguments) perms(s string) int32 {
	if n, err := strconv.ParseInt(s, 0, 32); err == nil {
		return int32(n)
	}
	var p int32
	for _, r := range s {
		bit := strings.IndexRune(permLetters, r)
		if bit < 0 {
			a.fail("no permission %q", r)
			return 0
		}
		p |= 1 << bit
	}
	return p
}

// payload reads the rest as raw fields: i8:N, i32:N, i64:N, s:<bytes> and
// b:<bytes> with a length in front, anything else as bytes alone.
func (a *arguments) payload() []byte {
	var out []byte
	for len(a.words) > 0 {
		w := a.next("")
		kind, rest, _ := strings.Cut(w, ":")
		switch kind {
		case "i8":
			out = append(out, byte(a.number(rest)))
		case "i32":
			out = wire.AppendInt(out, a.int32(rest))
		case "i64":
			out = wire.AppendLong(out, a.number(rest))
		case "s", "b":
			out = wire.AppendBuffer(out, a.bytes(rest))
		default:
			out = append(out, a.bytes(w)...)
		}
	}
	return out
}

// encoders build the body of each operation from the words behind its name.
var encoders = map[string]struct {
	op     wire.Op
	encode func(a *arguments) []byte
}{
	"create":               {wire.OpCreate, encodeCreate},
	"create2":              {wire.OpCreate2, encodeCreate},
	"createContainer":      {wire.OpCreateContainer, encodeCreateContainer},
	"createTTL":            {wire.OpCreateTTL, encodeCreateTTL},
	"delete":               {wire.OpDelete, encodePathVersion},
	"check":                {wire.OpCheck, encodePathVersion},
	"deleteContainer":      {wire.OpDeleteContainer, encodePath},
	"exists":               {wire.OpExists, encodePathWatch},
	"getData":              {wire.OpGetData, encodePathWatch},
	"getChildren":          {wire.OpGetChildren, encodePathWatch},
	"getChildren2":         {wire.OpGetChildren2, encodePathWatch},
	"setData":              {wire.OpSetData, encodeSetData},
	"getACL":               {wire.OpGetACL, encodePath},
	"setACL":               {wire.OpSetACL, encodeSetACL},
	"sync":                 {wire.OpSync, encodePath},
	"ping":                 {wire.OpPing, encodeNothing},
	"reconfig":             {wire.OpReconfig, encodeReconfig},
	"checkWatches":         {wire.OpCheckWatches, encodePathNumber},
	"removeWatches":        {wire.OpRemoveWatches, encodePathNumber},
	"addWatch":             {wire.OpAddWatch, encodePathNumber},
	"auth":                 {wire.OpAuth, encodeAuth},
	"setWatches":           {wire.OpSetWatches, encodeSetWatches},
	"setWatches2":          {wire.OpSetWatches2, encodeSetWatches},
	"sasl":                 {wire.OpSASL, encodeSASL},
	"getEphemerals":        {wire.OpGetEphemerals, encodePath},
	"getAllChildrenNumber": {wire.OpGetAllChildrenNumber, encodePath},
	"whoAmI":               {wire.OpWhoAmI, encodeNothing},
	"close":                {wire.OpCloseSession, encodeNothing},
}

// encodeRequest builds a request from "name words...", "op N fields..." or
// "multi request ; request".
func encodeRequest(a *arguments) (wire.Op, []byte, error) {
	name := a.next("")
	switch name {
	case "op":
		op := wire.Op(a.int32(a.next("")))
		body := a.payload()
		return op, body, a.done()
	case "multi":
		body := encodeMulti(a)
		return wire.OpMulti, body, a.done()
	case "multiRead":
		body := encodeMulti(a)
		return wire.OpMultiRead, body, a.done()
	}
	e, ok := encoders[name]
	if !ok {
		return 0, nil, fmt.Errorf("no request is called %q", name)
	}
	body := e.encode(a)
	return e.op, body, a.done()
}

func encodeNothing(*arguments) []byte { return nil }

func (a *arguments) path() []byte { return wire.AppendBuffer(nil, a.bytes(a.next("null"))) }

func encodePath(a *arguments) []byte { return a.path() }

func encodePathVersion(a *arguments) []byte {
	return wire.AppendInt(a.path(), a.int32(a.next("-1")))
}

func encodePathNumber(a *arguments) []byte {
	return wire.AppendInt(a.path(), a.int32(a.next("")))
}

func encodePathWatch(a *arguments) []byte {
	return wire.AppendBool(a.path(), a.flag("watch"))
}

func encodeSetData(a *arguments) []byte {
	out := wire.AppendBuffer(a.path(), a.bytes(a.next("null")))
	return wire.AppendInt(out, a.int32(a.next("-1")))
}

func encodeSetACL(a *arguments) []byte {
	out := append(a.path(), a.acls(a.next("null"))...)
	return wire.AppendInt(out, a.int32(a.next("-1")))
}

// createModes are the names of the flags.
var createModes = map[string]int32{
	"ephemeral": wire.FlagEphemeral, "seq": wire.FlagPersistentSequential, "ephseq": wire.FlagEphemeralSequential,
	"container": wire.FlagContainer, "ttl": wire.FlagPersistentTTL, "seqttl": wire.FlagPersistentSequentialTTL,
}

// createBody reads: path [data] [mode] acl=... flags=N.
func createBody(a *arguments, flags int32) []byte {
	out := a.path()
	var data []byte
	if len(a.words) > 0 {
		if _, mode := createModes[a.words[0]]; !mode {
			data = a.bytes(a.next("null"))
		}
	}
	if len(a.words) > 0 {
		if f, ok := createModes[a.words[0]]; ok {
			flags = f
			a.next("")
		}
	}
	out = wire.AppendBuffer(out, data)
	out = append(out, a.acls(a.option("acl", "open"))...)
	return wire.AppendInt(out, a.int32(a.option("flags", fmt.Sprint(flags))))
}

func encodeCreate(a *arguments) []byte          { return createBody(a, wire.FlagPersistent) }
func encodeCreateContainer(a *arguments) []byte { return createBody(a, wire.FlagContainer) }

func encodeCreateTTL(a *arguments) []byte {
	ttl := a.number(a.option("ms", "0"))
	return wire.AppendLong(createBody(a, wire.FlagPersistentTTL), ttl)
}

func encodeReconfig(a *arguments) []byte {
	var out []byte
	for range 3 {
		out = wire.AppendBuffer(out, a.bytes(a.next("null")))
	}
	return wire.AppendLong(out, a.number(a.next("-1")))
}

func encodeAuth(a *arguments) []byte {
	out := wire.AppendInt(nil, a.int32(a.option("type", "0")))
	out = wire.AppendBuffer(out, a.bytes(a.next("null")))
	return wire.AppendBuffer(out, a.bytes(a.next("null")))
}

func encodeSASL(a *arguments) []byte { return wire.AppendBuffer(nil, a.bytes(a.next("null"))) }

// encodeSetWatches reads: zxid data=/a,/b exist= child= persistent= recursive=.
// setWatches takes the first three lists and must not be given the others.
func encodeSetWatches(a *arguments) []byte {
	out := wire.AppendLong(nil, a.number(a.next("")))
	names := []string{"data", "exist", "child"}
	if a.flag("five") {
		names = append(names, "persistent", "recursive")
	}
	for _, n := range names {
		list := a.option(n, "")
		var paths []string
		if list != "" {
			paths = strings.Split(list, ",")
		}
		out = wire.AppendInt(out, int32(len(paths)))
		for _, p := range paths {
			out = wire.AppendString(out, p)
		}
	}
	return out
}

// encodeMulti reads requests separated by ";". A request that begins with !N
// has the header type N instead of its own.
func encodeMulti(a *arguments) []byte {
	var out []byte
	for len(a.words) > 0 {
		var words []string
		for len(a.words) > 0 {
			w := a.next("")
			if w == ";" {
				break
			}
			words = append(words, w)
		}
		part, err := encodeMultiPart(words, a)
		if err != nil {
			a.fail("in a multi: %w", err)
			return nil
		}
		out = append(out, part...)
	}
	return wire.MultiEnd.Append(out)
}

func encodeMultiPart(words []string, outer *arguments) ([]byte, error) {
	if len(words) == 0 {
		return nil, errors.New("an empty request")
	}
	var typ wire.Op
	n, forced := strings.CutPrefix(words[0], "!")
	if forced {
		v, err := strconv.ParseInt(n, 10, 32)
		if err != nil {
			return nil, err
		}
		typ, words = wire.Op(v), words[1:]
	}
	op, body, err := encodeRequest(parseArguments(words, outer.zxid))
	if err != nil {
		return nil, err
	}
	if !forced {
		typ = op
	}
	return append(wire.MultiHeader{Op: typ, Err: -1}.Append(nil), body...), nil
}
