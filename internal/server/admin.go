package server

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
)

// AdminConfig is the HTTP administration server.
type AdminConfig struct {
	// Addr is the host:port to listen on. If it cannot be, the server runs
	// without, and says so.
	Addr string
	// CommandURL is the path under which the commands lie; "" = /commands.
	CommandURL string
	// IdleTimeout is how long a connection may be idle; 0 = 30 s.
	IdleTimeout time.Duration
	// NoSnapshot refuses the command snapshot (admin.snapshot.enabled=false);
	// SnapshotInterval lies between two of them; 0 = no bound.
	NoSnapshot       bool
	SnapshotInterval time.Duration
	// ForwardedFor takes a client's address from the header X-Forwarded-For
	// (IPAuthenticationProvider.usexforwardedfor).
	ForwardedFor bool
	// InitialConfig is what the command initial_configuration shows: the text of
	// the configuration file.
	InitialConfig string
	// Properties are what the command system_properties shows, by Java's names.
	Properties map[string]string
}

func (c *AdminConfig) fillDefaults() {
	setDefault(&c.IdleTimeout, 30*time.Second)
	if c.CommandURL = "/" + strings.Trim(c.CommandURL, "/"); c.CommandURL == "/" {
		c.CommandURL = "/commands"
	}
}

// openAdmin binds the administration server. As for a member of ZooKeeper's, an
// address that is taken is no reason not to start.
func (s *Server) openAdmin() {
	c := s.cfg.Admin
	if c == nil {
		return
	}
	var err error
	s.admin, err = listenHTTP("admin", c.Addr, c.IdleTimeout, &adminHandler{s: s, url: c.CommandURL}, s.log)
	if err != nil {
		s.log.Warn("running without the administration server", zap.String("address", c.Addr), zap.Error(err))
	}
}

// AdminAddr is where the administration server listens; "" when there is none.
func (s *Server) AdminAddr() string {
	if s.admin == nil {
		return ""
	}
	return s.admin.addr()
}

// adminCommand is one command.
type adminCommand struct {
	name    string
	aliases []string
	// always says that it is run even while no requests are served.
	always bool
	run    func(*Server, *adminQuery)
}

// adminQuery is a command that is being run: into the object, which becomes the
// answer. role is one look at this server's part.
type adminQuery struct {
	jsonObject
	role role
	args url.Values
}

// fail makes the answer an error.
func (q *adminQuery) fail(text string) { q.put("error", text) }

// adminHandler serves the commands.
type adminHandler struct {
	s   *Server
	url string
}

// ServeHTTP implements [http.Handler].
func (h *adminHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, ok := strings.CutPrefix(r.URL.Path, h.url)
	switch {
	case r.Method == http.MethodTrace:
		w.WriteHeader(http.StatusForbidden)
	case !ok || name != "" && name[0] != '/':
		http.NotFound(w, r)
	case r.Method == http.MethodOptions:
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		h.answer(w, http.StatusMethodNotAllowed, jsonObject{
			{"command", strings.Trim(name, "/")}, {"error", "Method " + r.Method + " is not allowed"},
		})
	case strings.Trim(name, "/") == "":
		h.index(w)
	case name == "/snapshot" || name == "/snap":
		h.snapshot(w, r)
	default:
		h.answer(w, http.StatusOK, h.s.runAdmin(strings.Trim(name, "/"), r.URL.Query()))
	}
}

// index lists the commands as links.
func (h *adminHandler) index(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	names := []string{"snapshot"}
	for _, c := range adminCommands() {
		names = append(names, c.name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(w, "<a href=\"%s/%s\">%s</a>\n<br/>\n", h.url, name, name)
	}
}

func (h *adminHandler) answer(w http.ResponseWriter, status int, o jsonObject) {
	b, err := o.layout()
	if err != nil {
		h.s.log.Error("administration server", zap.Error(err))
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b) // who asked may be gone
}

// runAdmin runs a command by any of its names.
func (s *Server) runAdmin(name string, args url.Values) jsonObject {
	all := adminCommands()
	i := slices.IndexFunc(all, func(c adminCommand) bool { return c.name == name || slices.Contains(c.aliases, name) })
	if i < 0 {
		return jsonObject{{"command", name}, {"error", "Unknown command: " + name}}
	}
	c := &all[i]
	q := adminQuery{role: s.role(), args: args}
	if c.always || q.role.open() {
		c.run(s, &q)
		q.put("command", c.name)
	} else {
		q.put("command", c.name)
		q.fail(notServing)
	}
	if !q.has("error") {
		q.put("error", nil)
	}
	return q.jsonObject
}
