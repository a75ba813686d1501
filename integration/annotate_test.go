package integration

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/quorate/quorate/wire"
)

// A layout names the fields of a record in order, "name type" separated by
// commas. It is written down apart from package wire, so that a capture is
// annotated by another description than the one it is to test.
const (
	layoutStat = "czxid long, mzxid long, ctime long, mtime long, version int, cversion int, aversion int, " +
		"ephemeralOwner long, dataLength int, numChildren int, pzxid long"
	layoutCreate = "path string, data buffer, acl acls, flags int"
)

var requestLayouts = map[wire.Op]string{
	wire.OpCreate:               layoutCreate,
	wire.OpCreate2:              layoutCreate,
	wire.OpCreateContainer:      layoutCreate,
	wire.OpCreateTTL:            layoutCreate + ", ttl long",
	wire.OpDelete:               "path string, version int",
	wire.OpCheck:                "path string, version int",
	wire.OpExists:               "path string, watch bool",
	wire.OpGetData:              "path string, watch bool",
	wire.OpGetChildren:          "path string, watch bool",
	wire.OpGetChildren2:         "path string, watch bool",
	wire.OpSetData:              "path string, data buffer, version int",
	wire.OpGetACL:               "path string",
	wire.OpSetACL:               "path string, acl acls, version int",
	wire.OpSync:                 "path string",
	wire.OpPing:                 "",
	wire.OpMulti:                "ops multi",
	wire.OpMultiRead:            "ops multi",
	wire.OpReconfig:             "joiningServers string, leavingServers string, newMembers string, curConfigId long",
	wire.OpCheckWatches:         "path string, type int",
	wire.OpRemoveWatches:        "path string, type int",
	wire.OpAddWatch:             "path string, mode int",
	wire.OpAuth:                 "type int, scheme string, auth buffer",
	wire.OpSASL:                 "token buffer",
	wire.OpSetWatches:           "relativeZxid long, dataWatches strings, existWatches strings, childWatches strings",
	wire.OpSetWatches2:          "relativeZxid long, dataWatches strings, existWatches strings, childWatches strings, persistentWatches strings, persistentRecursiveWatches strings",
	wire.OpGetEphemerals:        "prefixPath string",
	wire.OpGetAllChildrenNumber: "path string",
	wire.OpWhoAmI:               "",
	wire.OpCloseSession:         "",
}

var replyLayouts = map[wire.Op]string{
	wire.OpCreate:               "path string",
	wire.OpCreate2:              "path string, " + layoutStat,
	wire.OpCreateContainer:      "path string, " + layoutStat,
	wire.OpCreateTTL:            "path string, " + layoutStat,
	wire.OpExists:               layoutStat,
	wire.OpGetData:              "data buffer, " + layoutStat,
	wire.OpGetChildren:          "children strings",
	wire.OpGetChildren2:         "children strings, " + layoutStat,
	wire.OpSetData:              layoutStat,
	wire.OpGetACL:               "acl acls, " + layoutStat,
	wire.OpSetACL:               layoutStat,
	wire.OpSync:                 "path string",
	wire.OpMulti:                "results results",
	wire.OpMultiRead:            "results results",
	wire.OpAddWatch:             "err int",
	wire.OpSASL:                 "token buffer",
	wire.OpGetEphemerals:        "ephemerals strings",
	wire.OpGetAllChildrenNumber: "totalNumber int",
	wire.OpWhoAmI:               "clientInfo ids",
	wire.OpNotification:         "type int, state int, path string",
}

const (
	layoutConnectRequest  = "protocolVersion int, lastZxidSeen long, timeOut int, sessionId long, passwd buffer, readOnly tail"
	layoutConnectResponse = "protocolVersion int, timeOut int, sessionId long, passwd buffer, readOnly tail"
)

// annotator writes a frame as hex, one field a line with its name and value.
type annotator struct {
	out  strings.Builder
	r    wire.Reader
	body []byte
	from int
}

// annotate returns the lines of one frame: its length, then each layout's
// fields. It fails when the layouts do not end where the frame ends.
func annotate(body []byte, layouts ...string) (string, error) {
	a := &annotator{r: wire.NewReader(body), body: body}
	fmt.Fprintf(&a.out, "%08x  # length = %d\n", len(body), len(body))
	for _, l := range layouts {
		a.fields("", l)
	}
	if err := a.r.Err(); err != nil {
		return "", err
	}
	if left := a.r.Remaining(); len(left) > 0 {
		return "", fmt.Errorf("%d bytes after the last field: %x", len(left), left)
	}
	return a.out.String(), nil
}

// line ends a field that began at a.from.
func (a *annotator) line(name string, value any) {
	text := hex.EncodeToString(a.body[a.from:a.r.Offset()])
	for len(text) > 64 {
		fmt.Fprintf(&a.out, "%s\n", text[:64])
		text = text[64:]
	}
	fmt.Fprintf(&a.out, "%s  # %s = %v\n", text, name, value)
	a.from = a.r.Offset()
}

func (a *annotator) fields(prefix, layout string) {
	if layout == "" {
		return
	}
	for _, f := range strings.Split(layout, ", ") {
		name, typ, _ := strings.Cut(f, " ")
		a.field(prefix+name, typ)
		if a.r.Err() != nil {
			return
		}
	}
}

func (a *annotator) field(name, typ string) {
	switch typ {
	case "bool":
		a.line(name, a.r.Bool())
	case "tail":
		if len(a.r.Remaining()) > 0 {
			a.line(name, a.r.Bool())
		}
	case "int":
		a.line(name, a.r.Int())
	case "long":
		v := a.r.Long()
		a.line(name, fmt.Sprintf("%d (0x%x)", v, uint64(v)))
	case "string":
		a.line(name, shown(a.r.Buffer()))
	case "buffer":
		b := a.r.Buffer()
		a.line(name, shown(b))
	case "multi", "results":
		a.multi(name, typ == "results")
	default:
		a.vector(name, strings.TrimSuffix(typ, "s"))
	}
}

func (a *annotator) vector(name, typ string) {
	n := a.r.Int()
	a.line(name+" count", n)
	for i := int32(0); i < n && a.r.Err() == nil; i++ {
		at := fmt.Sprintf("%s[%d]", name, i)
		switch typ {
		case "string":
			a.field(at, "string")
		case "acl":
			a.fields(at+".", "perms int, scheme string, id string")
		case "id":
			a.fields(at+".", "authScheme string, user string")
		}
	}
}

func (a *annotator) multi(name string, results bool) {
	for i := 0; a.r.Err() == nil; i++ {
		at := fmt.Sprintf("%s[%d]", name, i)
		op := wire.Op(a.r.Int())
		a.line(at+" type", op)
		done := a.r.Bool()
		a.line(at+" done", done)
		a.line(at+" err", a.r.Int())
		if done {
			return
		}
		switch {
		case results && op == wire.OpError:
			a.fields(at+".", "err int")
		case results:
			a.fields(at+".", replyLayouts[op])
		default:
			a.fields(at+".", requestLayouts[op])
		}
	}
}
