package conf

import (
	"slices"
	"strings"
)

// jvmVariables hold the command-line options of the JVM that ZooKeeper's scripts
// start, in the order in which the scripts join them: the later one wins.
var jvmVariables = []string{"SERVER_JVMFLAGS", "JVMFLAGS"}

// unprefixed are properties that ZooKeeper reads without its prefix too.
var unprefixed = []string{"fsync.warningthresholdms", "leader.closeSocketAsync", "learner.closeSocketAsync", "learner.asyncSending"}

// layerJVM takes the -D options out of what would be a JVM's command line. They
// come before the file, because ZooKeeper makes properties of the file's keys
// when they have been read. What is neither a key nor ZooKeeper's stays unnoticed:
// such lines speak of logging, memory and garbage collection mostly.
func (l *loader) layerJVM(env []string) {
	for _, variable := range jvmVariables {
		for _, pair := range env {
			if value, ok := strings.CutPrefix(pair, variable+"="); ok {
				l.jvmOptions(variable, value)
			}
		}
	}
}

// jvmOptions takes one variable. The scripts leave it to the shell to cut it into
// words, so that quotes in it mean nothing.
func (l *loader) jvmOptions(variable, line string) {
	for _, word := range strings.Fields(line) {
		if option, ok := strings.CutPrefix(word, "-D"); ok {
			property, value, _ := strings.Cut(option, "=")
			l.jvmProperty(variable, property, value)
		}
	}
}

func (l *loader) jvmProperty(variable, property, value string) {
	if property == "" {
		return
	}
	name, ours := strings.CutPrefix(property, propertyPrefix)
	if !ours && slices.Contains(unprefixed, property) {
		ours = true
	}
	key := l.table.lookup(name)
	switch {
	case key == nil, ours != (key.Source == Property), key.Source == Own, key.Source == Native:
		l.config.Properties[property] = value
		return
	}
	l.viper.SetDefault(name, value)
	l.put(name, value, Origin{Env: variable, JVM: property})
}
