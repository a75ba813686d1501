package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// jsonField is one member of a jsonObject.
type jsonField struct {
	key   string
	value any
}

// jsonObject is an object whose members keep their order. Values are other
// objects, lists ([]any) and what encoding/json writes as one token.
type jsonObject []jsonField

func (o *jsonObject) put(key string, value any) { *o = append(*o, jsonField{key, value}) }

// has reports whether a member is there.
func (o jsonObject) has(key string) bool {
	for _, f := range o {
		if f.key == key {
			return true
		}
	}
	return false
}

// listOf makes a list of any values.
func listOf[T any](values []T) []any {
	out := make([]any, len(values))
	for i, v := range values {
		out[i] = v
	}
	return out
}

// layout writes an object as ZooKeeper's does (JsonOutputter): two blanks for each
// level, a blank on either side of the colon, lists in one line.
func (o jsonObject) layout() ([]byte, error) {
	var w jsonWriter
	w.object(o, 0)
	return w.Bytes(), w.err
}

type jsonWriter struct {
	bytes.Buffer
	err error
}

func (w *jsonWriter) value(v any, depth int) {
	switch v := v.(type) {
	case jsonObject:
		w.object(v, depth)
	case []any:
		w.list(v, depth)
	default:
		b, err := json.Marshal(v)
		if err != nil && w.err == nil {
			w.err = fmt.Errorf("value %v: %w", v, err)
		}
		w.Write(b)
	}
}

func (w *jsonWriter) object(o jsonObject, depth int) {
	if len(o) == 0 {
		w.WriteString("{ }")
		return
	}
	w.WriteByte('{')
	for i, f := range o {
		if i > 0 {
			w.WriteByte(',')
		}
		w.WriteString("\n" + strings.Repeat("  ", depth+1))
		w.value(f.key, 0)
		w.WriteString(" : ")
		w.value(f.value, depth+1)
	}
	w.WriteString("\n" + strings.Repeat("  ", depth) + "}")
}

func (w *jsonWriter) list(l []any, depth int) {
	w.WriteByte('[')
	for i, v := range l {
		if i > 0 {
			w.WriteByte(',')
		}
		w.WriteByte(' ')
		w.value(v, depth)
	}
	w.WriteString(" ]")
}
