package conf

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Source says how ZooKeeper reads a key.
type Source uint8

// The sources of a key.
const (
	// Own keys are read from the file directly.
	Own Source = iota
	// Property keys of the file become a system property with the prefix
	// "zookeeper.".
	Property
	// JVM properties have no prefix, and ZooKeeper takes them from the command
	// line of the JVM alone; Quorate takes them from the file as well.
	JVM
	// Native keys are Quorate's additions; ZooKeeper ignores them.
	Native
)

// String is the word the documentation uses.
func (s Source) String() string {
	return [...]string{"own", "property", "jvm", "quorate"}[s]
}

// Use says what this server does with a key.
type Use uint8

// The uses of a key.
const (
	// Applied keys change what the server does.
	Applied Use = iota
	// Kept keys are checked and kept, and warned about when they are set: the
	// feature is not served by this version.
	Kept
	// Moot keys are accepted silently: they tune a mechanism of the Java
	// server that has no counterpart here.
	Moot
)

// String is the word the documentation uses.
func (u Use) String() string { return [...]string{"yes", "not yet", "moot"}[u] }

// Key describes one configuration key.
type Key struct {
	// Name is the key as it stands in zoo.cfg. Of a family such as "server.N"
	// the part behind the last dot is the operator's.
	Name string
	// Source is how ZooKeeper reads it.
	Source Source
	// Section is the heading it is documented under.
	Section string
	// Default is the value in zoo.cfg notation; empty means none, or computed
	// (Meaning says how).
	Default string
	// Unit is the unit of a number: "ms", "s", "h", "KiB", "bytes", "ticks", ...
	Unit string
	// Use is what this server does with it.
	Use Use
	// Meaning is one or two sentences for the operator.
	Meaning string
	// Min and Max bound a number; both zero means the range of its type.
	Min, Max int64
	// ClampMin raises smaller numbers with a warning, where ZooKeeper does so
	// rather than refuse.
	ClampMin int64
	// YesNo marks a switch written as yes or no.
	YesNo bool
	// Choices lists the accepted texts of a key that has a fixed set.
	Choices []string
	// Secret keeps the value out of messages.
	Secret bool

	// field points at the place in a Config the value goes to; its type
	// decides how the text is read. Nil only for families.
	field func(*Config) any
}

// Keys returns the table of all keys in the order of the documentation. The
// caller may change the slice.
func Keys() []Key {
	var all []Key
	for _, s := range sections() {
		for _, k := range s.keys {
			k.Section = s.title
			all = append(all, k)
		}
	}
	return all
}

type section struct {
	title string
	keys  []Key
}

func sections() []section {
	return []section{
		{"Clients", clientKeys},
		{"Sessions and time", sessionKeys},
		{"Data", dataKeys},
		{"Containers, TTL and quotas", reaperKeys},
		{"Access control", authKeys},
		{"Throttling", throttleKeys},
		{ensembleSection, quorumKeys()},
		{"TLS", tlsKeys()},
		{adminSection, slices.Concat(adminKeys, metricsKeys)},
		{"Quorate's own", nativeKeys},
		{"Java server internals", javaKeys()},
	}
}

// Family reports whether the key stands for many, such as "server.N", and
// returns the fixed part ("server.").
func (k *Key) Family() (prefix string, ok bool) {
	dot := strings.LastIndexByte(k.Name, '.') + 1
	if tail := k.Name[dot:]; tail == "N" || tail == "SUFFIX" {
		return k.Name[:dot], true
	}
	return "", false
}

// JavaProperty is the system property the key is in a Java server, or "" for
// keys that are none.
func (k *Key) JavaProperty() string {
	switch k.Source {
	case Property:
		return propertyPrefix + k.Name
	case JVM:
		return k.Name
	default:
		return ""
	}
}

// Env is the environment variable that sets the key.
func (k *Key) Env() string { return envName(k.Name) }

// Type is the word the documentation uses for the value.
func (k *Key) Type() string {
	if k.field == nil {
		return "text"
	}
	switch k.field(new(Config)).(type) {
	case *bool:
		if k.YesNo {
			return "yes/no"
		}
		return "true/false"
	case *int, *int64, *time.Duration:
		if k.Source == Native && k.Unit == "bytes" {
			return "size"
		}
		return "integer"
	case *float64:
		return "number"
	case *[]string:
		return "list"
	}
	return "text"
}

const (
	propertyPrefix = "zookeeper."
	nativePrefix   = "quorate."
	envPrefix      = "QUORATE_"
)

// envName turns a key into the name of its variable: upper case, everything
// but letters and digits as an underscore, without the prefixes that all or
// our own keys share.
func envName(key string) string {
	key = strings.TrimPrefix(strings.TrimPrefix(key, propertyPrefix), nativePrefix)
	return envPrefix + strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, key)
}

// keyTable finds keys by name, by family and by environment variable.
type keyTable struct {
	all      []Key
	byName   map[string]*Key
	byEnv    map[string]*Key
	families []*Key
}

// newKeyTable indexes Keys. It panics when two keys share a name in any
// letter case (viper folds it) or a variable: that is a mistake of ours.
func newKeyTable() *keyTable {
	t := &keyTable{all: Keys(), byName: map[string]*Key{}, byEnv: map[string]*Key{}}
	folded := map[string]string{}
	for i := range t.all {
		k := &t.all[i]
		if _, ok := k.Family(); ok {
			t.families = append(t.families, k)
			continue
		}
		if other, ok := folded[strings.ToLower(k.Name)]; ok {
			panic(fmt.Sprintf("conf: keys %s and %s differ only in case", other, k.Name))
		}
		if other, ok := t.byEnv[k.Env()]; ok {
			panic(fmt.Sprintf("conf: keys %s and %s share the variable %s", other.Name, k.Name, k.Env()))
		}
		folded[strings.ToLower(k.Name)] = k.Name
		t.byName[k.Name], t.byEnv[k.Env()] = k, k
	}
	return t
}

// lookup finds the key a name of the file belongs to; nil when unknown.
func (t *keyTable) lookup(name string) *Key {
	if k := t.byName[name]; k != nil {
		return k
	}
	for _, k := range t.families {
		prefix, _ := k.Family()
		if len(name) > len(prefix) && strings.HasPrefix(name, prefix) {
			return k
		}
	}
	return nil
}

// lookupEnv finds what an environment variable sets: the key and the name to
// set, which differ for families (QUORATE_SERVER_1 sets server.1).
func (t *keyTable) lookupEnv(variable string) (name string, ok bool) {
	if k := t.byEnv[variable]; k != nil {
		return k.Name, true
	}
	for _, k := range t.families {
		prefix, _ := k.Family()
		if tail, found := strings.CutPrefix(variable, envName(prefix)); found && isNumber(tail) {
			return prefix + tail, true
		}
	}
	return "", false
}

// isNumber keeps foreign variables out of the families: Kubernetes sets
// QUORATE_SERVER_PORT for a service named quorate-server.
func isNumber(tail string) bool {
	return tail != "" && strings.Trim(tail, "0123456789") == ""
}

// suggest finds a known key that an unknown name was probably meant to be.
func (t *keyTable) suggest(name string) string {
	name = strings.TrimPrefix(name, propertyPrefix)
	if k := t.byName[name]; k != nil {
		return k.Name
	}
	for i := range t.all {
		if strings.EqualFold(t.all[i].Name, name) {
			return t.all[i].Name
		}
	}
	return ""
}

// Headings that decide about warnings: keys of the first only matter to an
// ensemble, those of the second to endpoints beside the client port.
const (
	ensembleSection = "Ensemble"
	adminSection    = "Administration and metrics"
)

// FieldPath is the place in Config that holds the key's value, such as
// "Auth.SkipACL", or "" when only Config.Properties does.
func (k *Key) FieldPath() string {
	if k.field == nil {
		return ""
	}
	c := new(Config)
	return fieldPath(reflect.ValueOf(c).Elem(), k.field(c))
}

func fieldPath(in reflect.Value, target any) string {
	for i := range in.NumField() {
		field, name := in.Field(i), in.Type().Field(i).Name
		if !in.Type().Field(i).IsExported() {
			continue
		}
		if field.Addr().Interface() == target {
			return name
		}
		if field.Kind() == reflect.Struct {
			if rest := fieldPath(field, target); rest != "" {
				return name + "." + rest
			}
		}
	}
	return ""
}
