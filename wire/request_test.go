package wire

import (
	"errors"
	"fmt"
	"reflect"
)

// record is anything with a body to decode and to append again.
type record interface {
	decode(r *Reader)
	append(dst []byte) []byte
}

// The adapters that make records of what wire exports.
type (
	createBody     struct{ v CreateRequest }
	createTTLBody  struct{ v CreateRequest }
	pathVersion    struct{ v PathVersion }
	pathWatch      struct{ v PathWatch }
	pathType       struct{ v PathType }
	setData        struct{ v SetDataRequest }
	setACL         struct{ v SetACLRequest }
	reconfig       struct{ v ReconfigRequest }
	auth           struct{ v AuthPacket }
	setWatches     struct{ v SetWatchesRequest }
	setWatches2    struct{ v SetWatchesRequest }
	connectRequest struct{ v ConnectRequest }
	buffer         struct{ v []byte }
	number         struct{ v int32 }
	nothing        struct{}
	multi          struct{ ops []multiOp }
)

type multiOp struct {
	header MultiHeader
	body   record
}

func (b *createBody) decode(r *Reader)     { b.v.Decode(r, OpCreate) }
func (b *createTTLBody) decode(r *Reader)  { b.v.Decode(r, OpCreateTTL) }
func (b *pathVersion) decode(r *Reader)    { b.v.Decode(r) }
func (b *pathWatch) decode(r *Reader)      { b.v.Decode(r) }
func (b *pathType) decode(r *Reader)       { b.v.Decode(r) }
func (b *setData) decode(r *Reader)        { b.v.Decode(r) }
func (b *setACL) decode(r *Reader)         { b.v.Decode(r) }
func (b *reconfig) decode(r *Reader)       { b.v.Decode(r) }
func (b *auth) decode(r *Reader)           { b.v.Decode(r) }
func (b *setWatches) decode(r *Reader)     { b.v.Decode(r, OpSetWatches) }
func (b *setWatches2) decode(r *Reader)    { b.v.Decode(r, OpSetWatches2) }
func (b *connectRequest) decode(r *Reader) { b.v.Decode(r) }
func (b *buffer) decode(r *Reader)         { b.v = r.Buffer() }
func (b *number) decode(r *Reader)         { b.v = r.Int() }
func (*nothing) decode(*Reader)            {}

func (b *createBody) append(dst []byte) []byte     { return b.v.Append(dst, OpCreate) }
func (b *createTTLBody) append(dst []byte) []byte  { return b.v.Append(dst, OpCreateTTL) }
func (b *pathVersion) append(dst []byte) []byte    { return b.v.Append(dst) }
func (b *pathWatch) append(dst []byte) []byte      { return b.v.Append(dst) }
func (b *pathType) append(dst []byte) []byte       { return b.v.Append(dst) }
func (b *setData) append(dst []byte) []byte        { return b.v.Append(dst) }
func (b *setACL) append(dst []byte) []byte         { return b.v.Append(dst) }
func (b *reconfig) append(dst []byte) []byte       { return b.v.Append(dst) }
func (b *auth) append(dst []byte) []byte           { return b.v.Append(dst) }
func (b *setWatches) append(dst []byte) []byte     { return b.v.Append(dst, OpSetWatches) }
func (b *setWatches2) append(dst []byte) []byte    { return b.v.Append(dst, OpSetWatches2) }
func (b *connectRequest) append(dst []byte) []byte { return b.v.Append(dst) }
func (b *buffer) append(dst []byte) []byte         { return AppendBuffer(dst, b.v) }
func (b *number) append(dst []byte) []byte         { return AppendInt(dst, b.v) }
func (*nothing) append(dst []byte) []byte          { return dst }

var errMulti = errors.New("an operation that no multi may hold")

// decode reads a multi as a server does: header by header, until the one that
// says it is done.
func (b *multi) decode(r *Reader) {
	for r.Err() == nil {
		var h MultiHeader
		if h.Decode(r); h.Done || r.Err() != nil {
			return
		}
		body, ok := multiBodies[h.Op]
		if !ok {
			r.fail(errMulti)
			return
		}
		op := multiOp{header: h, body: body()}
		op.body.decode(r)
		b.ops = append(b.ops, op)
	}
}

func (b *multi) append(dst []byte) []byte {
	for _, op := range b.ops {
		dst = op.body.append(op.header.Append(dst))
	}
	return MultiEnd.Append(dst)
}

func body[T any, P interface {
	*T
	record
}]() record {
	return P(new(T))
}

// requestBodies are the bodies of all requests a client may send.
var requestBodies = map[Op]func() record{
	OpCreate:               body[createBody],
	OpCreate2:              body[createBody],
	OpCreateContainer:      body[createBody],
	OpCreateTTL:            body[createTTLBody],
	OpDelete:               body[pathVersion],
	OpDeleteContainer:      body[buffer],
	OpCheck:                body[pathVersion],
	OpExists:               body[pathWatch],
	OpGetData:              body[pathWatch],
	OpGetChildren:          body[pathWatch],
	OpGetChildren2:         body[pathWatch],
	OpSetData:              body[setData],
	OpGetACL:               body[buffer],
	OpSetACL:               body[setACL],
	OpSync:                 body[buffer],
	OpPing:                 body[nothing],
	OpMulti:                body[multi],
	OpMultiRead:            body[multi],
	OpReconfig:             body[reconfig],
	OpCheckWatches:         body[pathType],
	OpRemoveWatches:        body[pathType],
	OpAddWatch:             body[pathType],
	OpAuth:                 body[auth],
	OpSASL:                 body[buffer],
	OpSetWatches:           body[setWatches],
	OpSetWatches2:          body[setWatches2],
	OpGetEphemerals:        body[buffer],
	OpGetAllChildrenNumber: body[buffer],
	OpWhoAmI:               body[nothing],
	OpCreateSession:        body[number],
	OpCloseSession:         body[nothing],
}

// multiBodies are those of the operations that a multi or a multiRead holds.
var multiBodies = map[Op]func() record{
	OpCreate:          body[createBody],
	OpCreate2:         body[createBody],
	OpCreateContainer: body[createBody],
	OpCreateTTL:       body[createTTLBody],
	OpDelete:          body[pathVersion],
	OpSetData:         body[setData],
	OpCheck:           body[pathVersion],
	OpGetData:         body[pathWatch],
	OpGetChildren:     body[pathWatch],
}

// stable fails unless what was decoded from frame encodes to bytes that decode
// to the same value, and those to the same bytes again.
func stable(v, again record, rest int) error {
	encoded := v.append(nil)
	r := NewReader(encoded)
	if again.decode(&r); r.Err() != nil {
		return fmt.Errorf("%#v encodes to % x: %w", v, encoded, r.Err())
	}
	if len(r.Remaining()) != rest {
		return fmt.Errorf("%#v leaves % x of what it encodes to", v, r.Remaining())
	}
	if !reflect.DeepEqual(v, again) {
		return fmt.Errorf("%#v comes back as %#v", v, again)
	}
	if second := again.append(nil); string(second) != string(encoded) {
		return fmt.Errorf("%#v encodes to % x, and then to % x", v, encoded, second)
	}
	return nil
}
