package conf

import (
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/quorate/quorate/zab/members"
)

// Validate reports everything that would keep a server from running with this
// configuration, in an *Error, or nil. Load has done it already; call it
// after changing a Config by hand.
func (c *Config) Validate() error { return c.check(new(warnings)).err() }

// check gathers the faults, and remarks that are none.
func (c *Config) check(ws *warnings) faults {
	v := validator{Config: c, warnings: ws}
	v.bounds()
	v.listeners()
	v.directories()
	v.sessionTimeouts()
	v.authentication()
	v.watchManager()
	v.members()
	if c.Distributed() {
		v.ensemble()
	}
	v.groups()
	v.quorumSASL()
	return v.faults
}

type validator struct {
	*Config
	faults   faults
	warnings *warnings
}

// fault records a fault at the place the key was set; a key that is missing
// is blamed on the file.
func (v *validator) fault(key, format string, args ...any) {
	v.faults.add(v.place(key), key, format, args...)
}

func (v *validator) warn(key, format string, args ...any) {
	v.warnings.add(v.place(key), key, format, args...)
}

func (v *validator) place(key string) Origin {
	if o, ok := v.origins[key]; ok {
		return o
	}
	return Origin{File: v.Path}
}

// Origin says where the value of a key comes from; the zero Origin means that
// it is a default.
func (c *Config) Origin(key string) Origin { return c.origins[key] }

// bounds holds every number against the range of its key. Load refuses such
// texts already; this is for values set by hand.
func (v *validator) bounds() {
	keys := Keys()
	for i := range keys {
		k := &keys[i]
		if k.field == nil || k.Min == 0 && k.Max == 0 {
			continue
		}
		n, ok := numberOf(k, v.Config)
		if ok && (n < k.Min || n > k.Max) && !v.allowsZero(k, n) {
			v.fault(k.Name, "%d is out of range: %d to %d", n, k.Min, k.Max)
		}
	}
}

// allowsZero excepts the scratch fields, which read as zero here.
func (v *validator) allowsZero(k *Key, n int64) bool {
	return n == 0 && k.field(v.Config) != k.field(v.Config)
}

// numberOf reads the field of a key in the key's unit.
func numberOf(k *Key, c *Config) (int64, bool) {
	switch field := k.field(c).(type) {
	case *int:
		return int64(*field), true
	case *int64:
		if k.Unit == "KiB" && *field > 0 {
			return *field / 1024, true
		}
		return *field, true
	case *time.Duration:
		return int64(*field / unitDurations[k.Unit]), true
	}
	return 0, false
}

func (v *validator) listeners() {
	if v.ClientPort == 0 && v.ClientPortAddress != "" {
		v.fault("clientPortAddress", "is set without clientPort")
	}
	if v.SecureClientPort == 0 && v.SecureClientPortAddress != "" {
		v.fault("secureClientPortAddress", "is set without secureClientPort")
	}
	same := v.ClientPortAddress == v.SecureClientPortAddress || wildcard(v.ClientPortAddress) || wildcard(v.SecureClientPortAddress)
	if v.ClientPort != 0 && v.ClientPort == v.SecureClientPort && same {
		v.fault("secureClientPort", "is the same port as clientPort")
	}
	switch {
	case v.ClientPort != 0:
	case v.Distributed():
		v.warn("clientPort", "is not set; the server takes no clients")
	case v.SecureClientPort != 0:
		v.fault("clientPort", "is not set; secureClientPort alone cannot be served by this version")
	default:
		v.fault("clientPort", "is not set; a standalone server is of no use without it")
	}
}

func (v *validator) directories() {
	if v.DataDir == "" {
		v.fault("dataDir", "is not set")
		return
	}
	for key, dir := range map[string]string{"dataDir": v.DataDir, "dataLogDir": v.DataLogDir} {
		_, set := v.origins[key]
		relative := !filepath.IsAbs(dir) && !strings.HasPrefix(dir, "./") && !strings.HasPrefix(dir, "../") && dir != "."
		if set && relative && v.origins[key].File != "" {
			v.warn(key, "%q is relative to the working directory; write ./ before it if that is meant", dir)
		}
	}
}

func (v *validator) sessionTimeouts() {
	if v.MinSessionTimeout > v.MaxSessionTimeout {
		key := "minSessionTimeout"
		if _, ok := v.origins[key]; !ok {
			key = "maxSessionTimeout"
		}
		v.fault(key, "minSessionTimeout (%d ms) is larger than maxSessionTimeout (%d ms)",
			v.MinSessionTimeout.Milliseconds(), v.MaxSessionTimeout.Milliseconds())
	}
}

// Java's two classes of the watch table. WatchManagerOptimized refuses addWatch.
const (
	watchManager          = "org.apache.zookeeper.server.watch.WatchManager"
	WatchManagerOptimized = watchManager + "Optimized"
)

// watchManager remarks on a class that is not ZooKeeper's own: a typing error, with
// which a Java server would not start, or a plug-in, which there cannot be here.
func (v *validator) watchManager() {
	switch v.WatchManagerName {
	case "", watchManager, WatchManagerOptimized:
	default:
		v.warn("watchManagerName", "%q is none of ZooKeeper's classes; the watches are those of %s", v.WatchManagerName, watchManager)
	}
}

func (v *validator) authentication() {
	a := &v.Auth
	if a.SuperDigest != "" && !strings.HasPrefix(a.SuperDigest, "super:") {
		v.warn("DigestAuthenticationProvider.superDigest", "does not begin with super:, so that the user super gains nothing by it")
	}
	schemes := a.EnforceSchemes
	switch {
	case a.RequireClientSASL:
		schemes = append(slices.Clone(schemes), "sasl")
	case !a.EnforceEnabled:
		return
	case len(schemes) == 0:
		v.fault("enforce.auth.schemes", "is empty, and enforce.auth.enabled is true")
		return
	}
	for _, scheme := range schemes {
		if !v.registered(scheme) {
			v.fault(v.schemeKey(), "the scheme %q has no provider", scheme)
		}
	}
}

func (v *validator) schemeKey() string {
	if _, ok := v.origins["enforce.auth.schemes"]; ok {
		return "enforce.auth.schemes"
	}
	return "sessionRequireClientSASLAuth"
}

// registered reports whether an authentication provider answers for a scheme.
func (v *validator) registered(scheme string) bool {
	class := map[string]string{"sasl": "SASLAuthenticationProvider", "x509": "X509AuthenticationProvider", "ensemble": "EnsembleAuthenticationProvider"}[scheme]
	switch {
	case scheme == "ip", scheme == "world":
		return true
	case scheme == "digest":
		return v.Auth.DigestEnabled
	case scheme == "x509" && v.SecureClientPort != 0:
		return true
	case class == "":
		return false
	}
	for _, provider := range v.Auth.Providers {
		if strings.HasSuffix(provider, "."+class) {
			return true
		}
	}
	return false
}

// members checks the member list by itself, as ZooKeeper does when it decides
// between standalone and an ensemble.
func (v *validator) members() {
	q := &v.Quorum
	voters, observers := len(q.Voters()), len(q.Observers())
	first := v.firstMember()
	switch {
	case voters == 0 && observers > 0:
		v.fault(first, "there are observers and no participants")
	case voters == 0 && !q.StandaloneEnabled:
		v.fault("standaloneEnabled", "is false, which needs at least one participant in the member list")
	case voters == 1 && q.StandaloneEnabled && observers > 0:
		v.fault(first, "there are observers and only one participant; set standaloneEnabled=false if that is meant")
	case voters == 1 && q.StandaloneEnabled:
		v.warn(first, "the only server of the list; the server runs standalone")
	case voters == 2:
		v.warn(first, "an ensemble of two bears no failure; it takes three")
	case voters > 2 && voters%2 == 0:
		v.warn(first, "%d voters bear no more failures than %d", voters, voters-1)
	}
	v.addresses()
	if v.ExtendedTypesEnabled && q.HasMyID && q.MyID > maxExtendedID {
		v.fault("extendedTypesEnabled", "is true, which needs a server id of at most %d; this one is %d", maxExtendedID, q.MyID)
	}
}

// maxExtendedID is the largest server id that leaves room in ephemeralOwner
// for the mark of TTL znodes.
const maxExtendedID = 254

func (v *validator) firstMember() string {
	if len(v.Quorum.Members) == 0 {
		return ""
	}
	return serverKey(v.Quorum.Members[0].ID)
}

// addresses finds addresses used twice and several where one is allowed.
func (v *validator) addresses() {
	type endpoint struct {
		host string
		port int
	}
	owner := map[endpoint]int64{}
	for _, s := range v.Quorum.Members {
		if len(s.Addresses) > 1 && !v.Quorum.MultiAddressEnabled {
			v.fault(serverKey(s.ID), "has several addresses, which needs multiAddress.enabled=true")
		}
		for _, a := range s.Addresses {
			for _, e := range []endpoint{{a.Host, a.QuorumPort}, {a.Host, a.ElectionPort}} {
				if other, ok := owner[e]; ok && other != s.ID {
					v.warn(serverKey(s.ID), "%s:%d is an address of server.%d too", e.host, e.port, other)
				}
				owner[e] = s.ID
			}
		}
	}
}

// ensemble checks what a member of an ensemble cannot do without.
func (v *validator) ensemble() {
	q := &v.Quorum
	if q.InitLimitTicks == 0 {
		v.fault("initLimit", "is not set; an ensemble needs it")
	}
	if q.SyncLimitTicks == 0 {
		v.fault("syncLimit", "is not set; an ensemble needs it")
	}
	if !q.HasMyID {
		v.fault("", "the file %s is missing; it must hold this server's number", filepath.Join(v.DataDir, "myid"))
		return
	}
	self := q.Self()
	if self == nil {
		v.fault(myIDKey, "server %d is not in the member list", q.MyID)
		return
	}
	if claimed, set := v.origins["peerType"]; set && q.PeerType != self.Role.String() {
		v.warnings.add(claimed, "peerType", "is %s, but the line of server.%d says %s, which counts", q.PeerType, self.ID, self.Role)
	}
}

// groups checks that groups hold every participant exactly once, and nobody
// else, and that they have weight.
func (v *validator) groups() {
	q := &v.Quorum
	if !q.Hierarchical() {
		return
	}
	before := len(v.faults)
	groupOf := map[int64]int64{}
	for _, gid := range sortedKeys(q.Groups) {
		for _, sid := range q.Groups[gid] {
			if other, ok := groupOf[sid]; ok {
				v.fault(numbered("group.", gid), "server %d is in group.%d already", sid, other)
			}
			if m := q.Find(sid); m != nil && m.Role == members.Observer {
				v.fault(numbered("group.", gid), "server %d is an observer; groups are of participants", sid)
			}
			groupOf[sid] = gid
		}
	}
	for _, m := range q.Voters() {
		if _, ok := groupOf[m.ID]; !ok {
			v.fault(serverKey(m.ID), "is in no group")
		}
	}
	for _, sid := range sortedKeys(q.Weights) {
		if _, ok := groupOf[sid]; !ok {
			v.fault(numbered("weight.", sid), "server %d is in no group", sid)
		}
	}
	if len(v.faults) > before || len(q.Voters()) == 0 {
		return
	}
	if _, err := q.Verifier(); err != nil {
		v.fault(numbered("group.", sortedKeys(q.Groups)[0]), "no quorum can be formed: %s", err)
	}
}

func (v *validator) quorumSASL() {
	q := &v.Quorum
	if q.ServerRequireSASL && !q.LearnerRequireSASL {
		v.fault("quorum.auth.serverRequireSasl", "needs quorum.auth.learnerRequireSasl=true")
	}
	if q.LearnerRequireSASL && !q.SASLEnabled {
		v.fault("quorum.auth.learnerRequireSasl", "needs quorum.auth.enableSasl=true")
	}
}
