package server

import (
	"fmt"
	"os"
	"os/user"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/quorate/quorate/internal/replica"
	"github.com/quorate/quorate/wire"
)

// AuditConfig is the audit log: a line for every change that a client of this
// server asked for (audit.enable).
type AuditConfig struct {
	// File is appended to; "" = the lines go into the server's log, under the name
	// audit.
	File string
}

// auditor writes the lines. Any goroutine may use it.
type auditor struct {
	log  *zap.Logger
	user string // who the server runs as

	mu     sync.Mutex
	file   *os.File // nil: into log
	failed bool     // the last line could not be written
	line   []byte
}

// openAudit opens the audit log; nil when there is none.
func openAudit(c *AuditConfig, log *zap.Logger) (*auditor, error) {
	if c == nil {
		return nil, nil
	}
	a := &auditor{log: log.Named("audit"), user: "unknown"}
	if u, err := user.Current(); err == nil {
		a.user = u.Username
	}
	if c.File == "" {
		return a, nil
	}
	var err error
	if a.file, err = os.OpenFile(c.File, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640); err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	return a, nil
}

// close closes the file; it may be called of nil.
func (a *auditor) close() error {
	if a == nil || a.file == nil {
		return nil
	}
	return a.file.Close()
}

// server tells of the server itself: serverStart and serverStop.
func (a *auditor) server(operation, result string) {
	if a != nil {
		a.write(result != "failure", fmt.Sprintf("user=%s\toperation=%s\tresult=%s", a.user, operation, result))
	}
}

// record tells of a change. It has the fields and their order of ZooKeeper's
// AuditEvent.
func (a *auditor) record(r *replica.AuditRecord) {
	var b strings.Builder
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s=%s\t", name, printable(value))
		}
	}
	field("session", fmt.Sprintf("0x%x", r.Session))
	if r.Remote.IsValid() {
		field("user", users(r.IDs))
		field("ip", r.Remote.String())
	} else {
		field("user", a.user)
	}
	field("operation", r.Operation)
	field("znode", string(r.Path))
	field("znode_type", r.NodeType)
	field("acl", aclText(r.ACL))
	result := "result=success"
	if !r.OK {
		result = "result=failure"
	}
	a.write(r.OK, b.String()+result)
}

// write writes one line. A file that takes no more does not stop the server: that
// it does is told once.
func (a *auditor) write(ok bool, text string) {
	level := "INFO"
	if !ok {
		level = "ERROR"
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.file == nil && ok:
		a.log.Info(text)
	case a.file == nil:
		a.log.Error(text)
	default:
		a.line = fmt.Appendf(a.line[:0], "%s %s audit.AuditLogger: %s\n", time.Now().Format("2006-01-02 15:04:05,000"), level, text)
		_, err := a.file.Write(a.line)
		if err != nil && !a.failed {
			a.log.Error("the audit log cannot be written", zap.Error(err))
		}
		a.failed = err != nil
	}
}

// users are the names of a connection's ids, as their schemes tell them.
func users(ids []wire.ID) string {
	names := make([]string, 0, len(ids))
	for _, id := range ids {
		switch name, _, _ := strings.Cut(id.ID, ":"); id.Scheme {
		case "super": // has no provider that could name it
		case "digest":
			names = append(names, name)
		default:
			names = append(names, id.ID)
		}
	}
	return strings.Join(names, ",")
}

// aclText is a list as ZooKeeper writes it: entries one after the other, without
// anything between them.
func aclText(acl []wire.ACL) string {
	var b strings.Builder
	for _, a := range acl {
		fmt.Fprintf(&b, "%s:%s:", a.ID.Scheme, a.ID.ID)
		for i, c := range "cdrwa" {
			if a.Perms&[...]int32{wire.PermCreate, wire.PermDelete, wire.PermRead, wire.PermWrite, wire.PermAdmin}[i] != 0 {
				b.WriteRune(c)
			}
		}
	}
	return b.String()
}

// printable replaces what would look like another field or line: a request that is
// refused may name anything.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return '?'
		}
		return c
	}, s)
}
