package conf

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/quorate/quorate/zab/members"
)

// loadEnsemble reads the member list, from the main file or the dynamic one,
// and the id of this server.
func (l *loader) loadEnsemble() {
	if dynamic := l.config.Quorum.DynamicConfigFile; dynamic != "" {
		l.refuseStaticMembers()
		l.loadDynamicFile(dynamic)
	} else {
		for _, name := range sortedKeys(l.settings) {
			l.addMember(l.settings[name])
		}
	}
	l.loadMyID()
	l.takeClientPort()
}

func isMemberKey(key *Key) bool {
	return key.Name == "server.N" || key.Name == "group.N" || key.Name == "weight.N"
}

func (l *loader) refuseStaticMembers() {
	for _, name := range sortedKeys(l.settings) {
		if s := l.settings[name]; isMemberKey(s.key) {
			l.faults.add(s.origin, name, "must stand in the dynamic file, because dynamicConfigFile is set")
		}
	}
}

func (l *loader) loadDynamicFile(path string) {
	text, err := l.read(path)
	if err != nil {
		l.faults = append(l.faults, Fault{
			Origin: l.config.origins["dynamicConfigFile"], Key: "dynamicConfigFile",
			Text: fmt.Sprintf("%s cannot be read: %v", path, err), Err: err,
		})
		return
	}
	l.config.Quorum.Version = versionOf(path)
	parsed := parseProperties(text)
	l.notes(path, parsed)
	for _, e := range l.lastOfEach(path, parsed.entries) {
		origin := Origin{File: path, Line: e.line}
		key := l.table.lookup(e.key)
		if key == nil || !isMemberKey(key) {
			if !strings.HasPrefix(e.key, "version") {
				l.faults.add(origin, e.key, "a dynamic file may have server, group, weight and version lines only")
			}
			continue
		}
		l.config.origins[e.key] = origin
		l.addMember(setting{key: key, name: e.key, text: e.value, origin: origin})
	}
}

// versionOf reads the version off the suffix of a dynamic file's name; a name
// without one has version 0.
func versionOf(path string) int64 {
	version, err := strconv.ParseInt(strings.TrimPrefix(filepath.Ext(path), "."), 16, 64)
	if err != nil || version < 0 {
		return 0
	}
	return version
}

// addMember takes one server, group or weight line; others are ignored.
func (l *loader) addMember(s setting) {
	if !isMemberKey(s.key) {
		return
	}
	prefix, _ := s.key.Family()
	id, err := strconv.ParseInt(strings.TrimPrefix(s.name, prefix), 10, 64)
	if err != nil || id < 0 {
		l.faults.add(s.origin, s.name, "the part behind the dot is not a number of 0 or more")
		return
	}
	switch s.key.Name {
	case "server.N":
		err = l.addServer(id, s.text)
	case "group.N":
		err = l.config.Quorum.AddGroup(id, s.text)
	case "weight.N":
		err = l.config.Quorum.AddWeight(id, s.text)
	}
	if err != nil {
		l.faults.add(s.origin, s.name, "%s", err)
	}
}

func (l *loader) addServer(id int64, text string) error {
	m, err := members.ParseMember(id, text)
	if err != nil {
		return err
	}
	return l.config.Quorum.Add(m)
}

func (l *loader) loadMyID() {
	if l.config.DataDir == "" {
		return
	}
	path := filepath.Join(l.config.DataDir, "myid")
	text, err := l.read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return // check complains when the ensemble needs it
	}
	if err != nil {
		l.myIDFault(path, err, "cannot be read: "+err.Error())
		return
	}
	first, _, _ := strings.Cut(string(text), "\n")
	id, err := strconv.ParseInt(strings.TrimSuffix(first, "\r"), 10, 64)
	if err != nil || id < 0 {
		l.myIDFault(path, nil, "the first line is not a server's number")
		return
	}
	l.config.Quorum.MyID, l.config.Quorum.HasMyID = id, true
	l.config.origins[myIDKey] = Origin{File: path, Line: 1}
}

// myIDKey is where origins keeps the place of the own id.
const myIDKey = "myid"

// myIDFault is a fault in an ensemble only: a standalone server needs no id.
func (l *loader) myIDFault(path string, cause error, text string) {
	if len(l.config.Quorum.Members) == 0 {
		l.warnings.add(Origin{File: path}, "", "%s; a standalone server does not need it", text)
		return
	}
	l.faults = append(l.faults, Fault{Origin: Origin{File: path, Line: 1}, Text: text, Err: cause})
}

// takeClientPort brings the client address of the own server line and the one
// of the static keys together.
func (l *loader) takeClientPort() {
	c := l.config
	self := c.Quorum.Self()
	if len(c.Quorum.Members) == 1 && !c.Quorum.HasMyID {
		self = &c.Quorum.Members[0] // who else
	}
	if self == nil || self.ClientPort == 0 {
		return
	}
	if c.ClientPort != 0 && c.ClientPort != self.ClientPort {
		l.faults.add(c.origins["clientPort"], "clientPort", "differs from the client port %d in the line of server.%d", self.ClientPort, self.ID)
		return
	}
	if !wildcard(c.ClientPortAddress) && c.ClientPortAddress != self.ClientHost {
		l.warnings.add(c.origins["clientPortAddress"], "clientPortAddress", "the client address %s in the line of server.%d is used instead", self.ClientHost, self.ID)
	}
	c.ClientPort, c.ClientPortAddress = self.ClientPort, self.ClientHost
}

// wildcard reports whether a host means all interfaces.
func wildcard(host string) bool { return host == "" || host == "0.0.0.0" || host == "::" }

func serverKey(id int64) string { return numbered("server.", id) }

func numbered(prefix string, id int64) string { return prefix + strconv.FormatInt(id, 10) }
