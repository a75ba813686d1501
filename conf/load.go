package conf

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/viper"
)

// Default is the configuration of a server that is started without a file:
// standalone, on 127.0.0.1:2181, with its data in ./data. It is valid.
func Default() *Config {
	c, _, err := Load("", nil, nil)
	if err != nil {
		panic("conf: the defaults are invalid: " + err.Error())
	}
	return c
}

// Load reads the configuration: the file at path (none when empty), the
// environment in the form of os.Environ, and "key=value" pairs of the
// command line; later ones win. Relative paths stay relative to the working
// directory.
//
// The error is an *Error that lists everything wrong, in the file and
// elsewhere. The warnings are complete in either case; the Config is nil
// after an error.
func Load(path string, env, sets []string) (*Config, []Warning, error) {
	return newLoader(readFile).load(path, env, sets)
}

// fileBytesMax bounds what is read as a configuration, so that a mistaken
// path (a device, a log) is a clear error.
const fileBytesMax = 1 << 20

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, fileBytesMax+1))
	if err != nil {
		return nil, err
	}
	if len(text) > fileBytesMax {
		return nil, fmt.Errorf("%s is longer than the %d bytes a configuration may have", path, fileBytesMax)
	}
	return text, nil
}

// loader carries one Load.
type loader struct {
	table    *keyTable
	read     func(path string) ([]byte, error)
	viper    *viper.Viper
	settings map[string]setting // by name: the winner of each
	config   *Config
	faults   faults
	warnings warnings
}

func newLoader(read func(string) ([]byte, error)) *loader {
	l := &loader{
		table:    newKeyTable(),
		read:     read,
		settings: map[string]setting{},
		config:   &Config{Properties: map[string]string{}, origins: map[string]Origin{}},
	}
	memory := memoryBytes(os.ReadFile)
	l.config.Tree.BudgetBytes, l.config.UnsentBytesMax = memory/budgetPart, max(memory/unsentPart, unsentMin)
	return l
}

func (l *loader) load(path string, env, sets []string) (*Config, []Warning, error) {
	l.layer(path, env, sets)
	if path != "" && l.config.Path == "" {
		return nil, l.warnings.sorted(), l.faults.err() // unread, so nothing else is known
	}
	l.assignAll()
	l.deriveDefaults()
	l.loadEnsemble()
	l.check()
	l.warnUnserved()
	if err := l.faults.err(); err != nil {
		return nil, l.warnings.sorted(), err
	}
	return l.config, l.warnings.sorted(), nil
}

// noKeyDelimiter keeps viper from reading structure into the dots of keys.
const noKeyDelimiter = "\x00"

// layer fills viper with the layers and settings with the winners.
func (l *loader) layer(path string, env, sets []string) {
	registry := viper.NewCodecRegistry()
	codec := &propertiesCodec{table: l.table}
	_ = registry.RegisterCodec("properties", codec) // cannot fail
	l.viper = viper.NewWithOptions(viper.KeyDelimiter(noKeyDelimiter), viper.WithCodecRegistry(registry))
	l.viper.SetConfigType("properties")
	l.layerDefaults(path == "")
	l.layerJVM(env)
	if path != "" {
		l.layerFile(path, codec)
	}
	l.layerEnv(env)
	l.layerSets(sets)
}

// quickstart is what a server without a file runs on.
var quickstart = map[string]string{
	"clientPort":          "2181",
	"clientPortAddress":   "127.0.0.1",
	"dataDir":             "data",
	"admin.serverAddress": "127.0.0.1",
}

func (l *loader) layerDefaults(withoutFile bool) {
	values := map[string]string{}
	for name, key := range l.table.byName {
		if key.Default != "" {
			values[name] = key.Default
		}
	}
	if withoutFile {
		maps.Copy(values, quickstart)
	}
	for name, value := range values {
		l.viper.SetDefault(name, value)
		l.settings[name] = setting{key: l.table.byName[name], name: name, text: value}
	}
}

func (l *loader) layerFile(path string, codec *propertiesCodec) {
	text, err := l.read(path)
	if err != nil {
		l.faults = append(l.faults, Fault{Origin: Origin{File: path}, Text: "cannot be read: " + err.Error(), Err: err})
		return
	}
	l.config.Path, l.config.InitialText = path, string(text)
	if err := l.viper.ReadConfig(bytes.NewReader(text)); err != nil {
		l.faults = append(l.faults, Fault{Origin: Origin{File: path}, Text: err.Error(), Err: err})
		return
	}
	l.notes(path, codec.parsed)
	for _, e := range l.lastOfEach(path, codec.parsed.entries) {
		l.put(e.key, e.value, Origin{File: path, Line: e.line})
	}
}

// notes takes over what the parser remarked.
func (l *loader) notes(path string, parsed properties) {
	for _, n := range parsed.faults {
		l.faults.add(Origin{File: path, Line: n.line}, n.key, "%s", n.text)
	}
	for _, n := range parsed.warnings {
		l.warnings.add(Origin{File: path, Line: n.line}, n.key, "%s", n.text)
	}
}

// lastOfEach drops all but the last entry of every key, as Java does, and
// warns: the earlier line looks as if it counted.
func (l *loader) lastOfEach(path string, entries []entry) []entry {
	last := map[string]entry{}
	for _, e := range entries {
		if earlier, ok := last[e.key]; ok {
			l.warnings.add(Origin{File: path, Line: e.line}, e.key, "set again; the value of line %d does not count", earlier.line)
		}
		last[e.key] = e
	}
	var out []entry
	for _, e := range entries {
		if last[e.key].line == e.line {
			out = append(out, e)
		}
	}
	return out
}

func (l *loader) layerEnv(env []string) {
	values := map[string]any{}
	for _, pair := range env {
		variable, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(variable, envPrefix) || value == "" {
			continue
		}
		origin := Origin{Env: variable}
		name, ok := l.table.lookupEnv(variable)
		switch {
		case ok:
			values[name] = strings.TrimSpace(value)
			l.put(name, strings.TrimSpace(value), origin)
		case !foreignVariable(variable):
			l.warnings.add(origin, "", "sets no known key and is ignored")
		}
	}
	if err := l.viper.MergeConfigMap(values); err != nil {
		l.faults.add(Origin{Env: envPrefix + "*"}, "", "%v", err)
	}
}

// foreignVariable recognises variables with our prefix that others set:
// Kubernetes for services of that name, and our own tests.
func foreignVariable(variable string) bool {
	return strings.Contains(variable, "_SERVICE_") || strings.Contains(variable, "_PORT") ||
		variable == envPrefix+"INTEROP"
}

func (l *loader) layerSets(sets []string) {
	for _, pair := range sets {
		name, value, ok := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		if !ok || name == "" {
			l.faults.add(Origin{Set: name}, "", "must have the form key=value")
			continue
		}
		if short := strings.TrimPrefix(name, propertyPrefix); l.table.lookup(short) != nil {
			name = short // as -Dzookeeper.snapCount would
		}
		l.viper.Set(name, strings.TrimSpace(value))
		l.put(name, strings.TrimSpace(value), Origin{Set: name})
	}
}

// put records the setting that wins so far, and what is unknown.
func (l *loader) put(name, value string, origin Origin) {
	key := l.table.lookup(name)
	if key == nil {
		l.unknown(name, value, origin)
		return
	}
	l.settings[name] = setting{key: key, name: name, text: value, origin: origin}
	l.config.origins[name] = origin
	if property := key.JavaProperty(); property != "" {
		l.config.Properties[strings.TrimSuffix(property, key.Name)+name] = value
	}
}

// unknown keeps an unknown key as the system property ZooKeeper would make of
// it. It has no effect, which is worth a warning: it may be misspelt.
func (l *loader) unknown(name, value string, origin Origin) {
	l.config.Properties[propertyPrefix+name] = value
	hint := ""
	if meant := l.table.suggest(name); meant != "" {
		hint = fmt.Sprintf("; did you mean %s?", meant)
	}
	switch {
	case name == "":
		l.warnings.add(origin, "", "a line without a key has no effect")
	case strings.HasPrefix(name, "metricsProvider."):
		l.warnings.add(origin, name, "unknown to the metrics provider, has no effect%s", hint)
	default:
		l.warnings.add(origin, name, "unknown key, has no effect%s", hint)
	}
}

// check adds what Validate finds, except about keys whose text is a fault
// already: the value checked there is not the operator's.
func (l *loader) check() {
	faulty := l.faultyKeys()
	var ws warnings
	for _, f := range l.config.check(&ws) {
		if !faulty[f.Key] {
			l.faults = append(l.faults, f)
		}
	}
	for _, w := range ws {
		if !faulty[w.Key] {
			l.warnings = append(l.warnings, w)
		}
	}
}

func (l *loader) faultyKeys() map[string]bool {
	faulty := map[string]bool{}
	for _, f := range l.faults {
		faulty[f.Key] = f.Key != ""
	}
	return faulty
}

// assignAll reads every setting but the families into the Config. The value
// is viper's, the place ours. A faulty text leaves the default.
func (l *loader) assignAll() {
	for i := range l.table.all {
		name := l.table.all[i].Name
		s, ok := l.settings[name]
		if !ok || s.key.field == nil {
			continue
		}
		s.text = l.viper.GetString(name)
		err := s.assign(l.config, &l.warnings)
		if err == nil {
			continue
		}
		l.faults.add(s.origin, s.name, "%s", err)
		if s.key.Default != "" {
			s.text = s.key.Default
			_ = s.assign(l.config, &l.warnings) // defaults are valid, by test
		}
	}
}

// deriveDefaults fills what defaults to another value.
func (l *loader) deriveDefaults() {
	c := l.config
	if c.MinSessionTimeout < 0 {
		c.MinSessionTimeout = 2 * c.TickTime
	}
	if c.MaxSessionTimeout < 0 {
		c.MaxSessionTimeout = 20 * c.TickTime
	}
	if c.DataLogDir == "" {
		c.DataLogDir = c.DataDir
	}
	if c.MaxBufferExtraBytes == 0 {
		c.MaxBufferExtraBytes = max(c.MaxBufferBytes, 1024)
	}
	if s, ok := l.settings["observer.syncEnabled"]; ok {
		c.Quorum.ObserverSyncEnabled = strings.EqualFold(s.text, "true")
	}
	c.AutopurgeInterval = max(c.AutopurgeInterval, 0)
	l.limitLargeRequests()
	l.collectSuperUsers()
}

// limitLargeRequests puts what ZooKeeper takes for no limit into its own words.
func (l *loader) limitLargeRequests() {
	t := &l.config.Throttle
	if t.LargeRequestMaxBytes <= 0 {
		t.LargeRequestMaxBytes = 100 << 20
		l.warnings.add(l.config.Origin("largeRequestMaxBytes"), "largeRequestMaxBytes", "is not positive, the default is taken")
	}
	if n := t.LargeRequestThresholdBytes; n == 0 || n < -1 {
		t.LargeRequestThresholdBytes = -1
		l.warnings.add(l.config.Origin("largeRequestThreshold"), "largeRequestThreshold", "is neither positive nor -1, no request is large")
	}
}

func (l *loader) collectSuperUsers() {
	c := l.config
	for _, name := range sortedKeys(l.settings) {
		s := l.settings[name]
		switch s.key.Name {
		case "superUser", "superUser.SUFFIX":
			c.Auth.SuperUsers = append(c.Auth.SuperUsers, s.text)
		case "authProvider.SUFFIX":
			if c.Auth.Providers == nil {
				c.Auth.Providers = map[string]string{}
			}
			c.Auth.Providers[strings.TrimPrefix(name, "authProvider.")] = s.text
		}
	}
}

// warnUnserved names the keys that were set to something other than their
// default and belong to a feature this version does not serve. A server that
// is alone is not told about ensemble keys: alone they mean nothing.
func (l *loader) warnUnserved() {
	faulty := l.faultyKeys()
	for _, name := range sortedKeys(l.settings) {
		s := l.settings[name]
		if s.key.Name == "authProvider.SUFFIX" && !slices.Contains(servedProviders, s.text) {
			l.warnings.add(s.origin, name, "names a provider that this version does not serve")
			continue
		}
		if s.key.Use == Kept && !faulty[name] && s.asksForSomething() && (s.key.Section != ensembleSection || l.config.Distributed()) {
			l.warnings.add(s.origin, name, "is accepted, but this version does not serve it")
		}
	}
}

// asksForSomething tells a setting that would need service from one that
// repeats the default, or switches off an endpoint that is not there anyway.
func (s setting) asksForSomething() bool {
	if (s.origin == Origin{}) || strings.EqualFold(s.text, s.key.Default) {
		return false
	}
	return s.key.Section != adminSection || !strings.EqualFold(s.text, "false")
}

// propertiesCodec makes viper read zoo.cfg. It hands viper only the keys of
// the table, because viper folds letter case and ZooKeeper does not: to it
// "clientport" is an unknown key. What viper cannot carry, line numbers and
// unknown keys, stays in parsed.
type propertiesCodec struct {
	table  *keyTable
	parsed properties
}

// Decode implements viper.Decoder.
func (p *propertiesCodec) Decode(text []byte, into map[string]any) error {
	p.parsed = parseProperties(text)
	for _, e := range p.parsed.entries {
		if p.table.byName[e.key] != nil {
			into[e.key] = e.value
		}
	}
	return nil
}

// Encode implements viper.Encoder; the configuration is never written back.
func (p *propertiesCodec) Encode(map[string]any) ([]byte, error) {
	return nil, fmt.Errorf("conf: writing properties is not supported")
}
