package server

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/znode"
)

// snapshots are the command that takes one of a running server.
type snapshots struct {
	mu              sync.Mutex
	next            time.Time // not before
	underWay        bool
	failed, limited int64
}

// begin takes the turn, if it is not too soon. A turn that fails does not count.
func (p *snapshots) begin(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.underWay || now.Before(p.next) {
		p.limited++
		return false
	}
	p.underWay = true
	return true
}

func (p *snapshots) end(err error, now time.Time, interval time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.underWay = false
	if err != nil {
		p.failed++
		return
	}
	p.next = now.Add(interval)
}

// metrics are what ZooKeeper tells of the command.
func (p *snapshots) metrics(m *metricSet) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m.counter("snapshot_error_count", p.failed)
	m.counter("snapshot_rate_limited_count", p.limited)
}

// snapshot serves the command: a snapshot of the present state as a file for Java
// servers, which this server starts from too, in the body of the answer or, with
// streaming=false, in dataDir.
func (h *adminHandler) snapshot(w http.ResponseWriter, r *http.Request) {
	s := h.s
	fail := func(status int, text string) {
		o := jsonObject{{"command", "snapshot"}, {"error", nil}}
		if text != "" {
			o[1].value = text
		}
		h.answer(w, status, o)
	}
	if status, text := s.authorize(r); status != http.StatusOK {
		fail(status, text)
		return
	}
	role := s.role()
	switch {
	case s.cfg.Admin.NoSnapshot:
		fail(http.StatusServiceUnavailable, "admin.snapshot.enabled is false")
		return
	case !role.open():
		fail(http.StatusOK, notServing)
		return
	case !s.snapshots.begin(time.Now()):
		fail(http.StatusTooManyRequests, "")
		return
	}
	began := time.Now()
	started, err := s.takeSnapshot(w, r.URL.Query().Get("streaming") != "false")
	s.snapshots.end(err, began, s.cfg.Admin.SnapshotInterval)
	switch {
	case err == nil && !started:
		fail(http.StatusOK, "")
	case err != nil && started:
		s.log.Warn("a snapshot could not be sent", zap.Error(err))
		panic(http.ErrAbortHandler) // so that it does not look complete
	case err != nil:
		s.log.Warn("a snapshot could not be taken", zap.Error(err))
		fail(http.StatusInternalServerError, err.Error())
	}
}

// authorize looks whether who asks may see everything: it must hold all five
// permissions on the root. ZooKeeper takes it from an open root that everybody
// does, even by address alone; here somebody has to be named, in the root's list or
// as super.
func (s *Server) authorize(r *http.Request) (status int, text string) {
	scheme, data, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if scheme == "" {
		return http.StatusUnauthorized, "Auth info is missing for the command"
	}
	remote, err := s.remoteOf(r)
	if err != nil {
		return http.StatusUnauthorized, "Not authenticated"
	}
	ids, code := s.rules.Auth.Authenticate(scheme, []byte(strings.TrimSpace(data)), remote)
	if code != wire.OK || len(ids) == 0 {
		return http.StatusUnauthorized, "Not authenticated"
	}
	acl, err := s.rootACL()
	if err != nil {
		return http.StatusInternalServerError, err.Error()
	}
	for perm := int32(1); perm <= wire.PermAll; perm <<= 1 {
		if !s.rules.Auth.Allowed(acl, perm, ids) {
			return http.StatusForbidden, "Not authorized"
		}
	}
	return http.StatusOK, ""
}

// remoteOf is the address of who asks: of the socket, or the first of those that proxies
// wrote down.
func (s *Server) remoteOf(r *http.Request) (netip.Addr, error) {
	if by := r.Header.Get("X-Forwarded-For"); by != "" && s.cfg.Admin.ForwardedFor {
		first, _, _ := strings.Cut(by, ",")
		return netip.ParseAddr(strings.TrimSpace(first))
	}
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	return remote.Addr().Unmap(), err
}

// rootACL is the list of the root without what it allows to everybody; what is left
// is never empty, as that would allow everything.
func (s *Server) rootACL() (acl []wire.ACL, err error) {
	for {
		res, list := znode.Absent, []wire.ACL(nil)
		s.view(func(tree *znode.Tree) {
			var n znode.Node
			if res = tree.Find([]byte("/"), &n); res == znode.Found {
				list = tree.ACLs().Get(n.ACL)
			}
		})
		if res == znode.NotResident {
			s.rep.View(func(tree *znode.Tree) { err = tree.Load([]byte("/")) })
			if err != nil {
				return nil, err
			}
			continue
		}
		acl = append(acl, wire.ACL{ID: wire.ID{Scheme: "digest"}}) // allows nothing to nobody
		for _, a := range list {
			if a.ID.Scheme != "world" {
				acl = append(acl, a)
			}
		}
		return acl, nil
	}
}

// takeSnapshot has the present state written to rest, and makes a file of that.
// started tells that the body of the answer has begun.
func (s *Server) takeSnapshot(w http.ResponseWriter, stream bool) (started bool, err error) {
	if err := s.checkpointApplied(); err != nil {
		return false, err
	}
	r := s.history.hold()
	if r == nil {
		return false, errClosed
	}
	defer r.readers.Done()
	snap, err := r.store.Snapshot()
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, snap.Close()) }()
	m, err := snap.Meta()
	if err != nil {
		return false, err
	}
	w.Header().Set("last_zxid", fmt.Sprintf("0x%x", m.Zxid))
	if !stream {
		path, err := znode.ExportJavaSnapshot(snap, s.cfg.exportOptions(s.cfg.DataDir))
		if err == nil {
			s.log.Info("wrote a snapshot", zap.String("file", path))
		}
		return false, err
	}
	var size countWriter
	if err := znode.WriteJavaSnapshot(&size, snap, s.cfg.exportOptions("").Snapshot); err != nil {
		return false, err
	}
	for key, value := range map[string]string{
		"snapshot_size": size.String(), "Content-Length": size.String(), "Content-Type": "application/octet-stream",
	} {
		w.Header().Set(key, value)
	}
	return true, znode.WriteJavaSnapshot(&patientWriter{w: w, c: http.NewResponseController(w)}, snap, s.cfg.exportOptions("").Snapshot)
}

// countWriter counts what is written to it.
type countWriter int64

// Write implements [io.Writer].
func (n *countWriter) Write(p []byte) (int, error) { *n += countWriter(len(p)); return len(p), nil }

// String is the count.
func (n countWriter) String() string { return strconv.FormatInt(int64(n), 10) }

// patientWriter lets a long answer take its time, as long as some of it is taken
// now and then.
type patientWriter struct {
	w io.Writer
	c *http.ResponseController
}

// Write implements [io.Writer].
func (p *patientWriter) Write(b []byte) (int, error) {
	if err := p.c.SetWriteDeadline(time.Now().Add(httpWriteTime)); err != nil {
		return 0, err
	}
	return p.w.Write(b)
}
