package shell

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/quorate/quorate/wire"
)

// javaDate is the layout of java.util.Date.
const javaDate = "Mon Jan 02 15:04:05 MST 2006"

// printStat prints the eleven lines of a Stat, times in the local zone.
func printStat(w io.Writer, s *wire.Stat) {
	date := func(ms int64) string { return time.UnixMilli(ms).Local().Format(javaDate) }
	fmt.Fprintf(w, "cZxid = 0x%x\nctime = %s\nmZxid = 0x%x\nmtime = %s\npZxid = 0x%x\n",
		uint64(s.Czxid), date(s.Ctime), uint64(s.Mzxid), date(s.Mtime), uint64(s.Pzxid))
	fmt.Fprintf(w, "cversion = %d\ndataVersion = %d\naclVersion = %d\nephemeralOwner = 0x%x\ndataLength = %d\nnumChildren = %d\n",
		s.Cversion, s.Version, s.Aversion, uint64(s.EphemeralOwner), s.DataLength, s.NumChildren)
}

// printEvent prints what zkCli's default watcher prints.
func printEvent(w io.Writer, e Event) {
	path := e.Path
	if path == "" {
		path = "null"
	}
	fmt.Fprintf(w, "\nWATCHER::\n\nWatchedEvent state:%s type:%s path:%s zxid: %d\n", e.State, e.Type, path, e.Zxid)
}

// list is how Java prints a list.
func list(names []string) string { return "[" + strings.Join(names, ", ") + "]" }

// printHexdump prints bytes in the table that zkCli takes from Netty.
func printHexdump(w io.Writer, data []byte) {
	const rule = "+--------+-------------------------------------------------+----------------+\n"
	fmt.Fprint(w, "         +-------------------------------------------------+\n"+
		"         |  0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f |\n"+rule)
	for start := 0; start < len(data); start += 16 {
		row := data[start:min(start+16, len(data))]
		hex, text := "", ""
		for _, b := range row {
			hex += fmt.Sprintf(" %02x", b)
			if b <= 0x1f || b >= 0x7f {
				b = '.'
			}
			text += string(rune(b))
		}
		fmt.Fprintf(w, "|%08x|%-48s |%-16s|\n", start, hex, text)
	}
	fmt.Fprint(w, rule)
}

// nodeErrors are the codes zkCli words itself.
var nodeErrors = map[wire.Code]string{
	wire.ErrNoNode:                  "Node does not exist: ",
	wire.ErrNoChildrenForEphemerals: "Ephemerals cannot have children: ",
	wire.ErrNodeExists:              "Node already exists: ",
	wire.ErrNotEmpty:                "Node not empty: ",
	wire.ErrNotReadOnly:             "Not a read-only call: ",
	wire.ErrInvalidACL:              "Acl is not valid : ",
	wire.ErrNoAuth:                  "Insufficient permission : ",
	wire.ErrBadArguments:            "Arguments are not valid : ",
	wire.ErrBadVersion:              "version No is not valid : ",
	wire.ErrQuotaExceeded:           "Quota has exceeded : ",
}

// describe words what a request on a path failed with; path may be empty.
func describe(err error, path string) string {
	var code wire.Code
	isCode := errors.As(err, &code)
	if text, ok := nodeErrors[code]; isCode && ok {
		return text + path
	}
	if !isCode && !errors.Is(err, ErrConnectionLoss) {
		return err.Error()
	}
	text := "KeeperErrorCode = " + err.Error()
	if path != "" {
		text += " for " + path
	}
	return text
}

// permissions are the letters of an ACL in the order tools print them.
var permissions = []struct {
	letter byte
	bit    int32
}{{'c', wire.PermCreate}, {'d', wire.PermDelete}, {'r', wire.PermRead}, {'w', wire.PermWrite}, {'a', wire.PermAdmin}}

func permLetters(perms int32) string {
	var letters []byte
	for _, p := range permissions {
		if perms&p.bit != 0 {
			letters = append(letters, p.letter)
		}
	}
	return string(letters)
}

func parsePerms(letters string) (perms int32, err error) {
	for i := range len(letters) {
		bit := int32(0)
		for _, p := range permissions {
			if p.letter == letters[i] {
				bit = p.bit
			}
		}
		if bit == 0 {
			return 0, fmt.Errorf("unknown permission %q; there are c, d, r, w and a", letters[i])
		}
		perms |= bit
	}
	return perms, nil
}

// parseACL reads "scheme:id:perms,...". The first and the last colon count, so
// an id may have colons, but no comma.
func parseACL(text string) ([]wire.ACL, error) {
	var acl []wire.ACL
	for _, entry := range strings.Split(text, ",") {
		first, last := strings.IndexByte(entry, ':'), strings.LastIndexByte(entry, ':')
		if first == last {
			return nil, fmt.Errorf("%s does not have the form scheme:id:perm", entry)
		}
		perms, err := parsePerms(entry[last+1:])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", entry, err)
		}
		acl = append(acl, wire.ACL{Perms: perms, ID: wire.ID{Scheme: entry[:first], ID: entry[first+1 : last]}})
	}
	return acl, nil
}
