package conf

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestEveryKeyIsComplete holds the table against its own rules, and the
// defaults against the parser.
func TestEveryKeyIsComplete(t *testing.T) {
	newKeyTable() // panics on names that clash
	for _, k := range Keys() {
		t.Run(k.Name, func(t *testing.T) {
			if k.Meaning == "" || !strings.HasSuffix(k.Meaning, ".") {
				t.Errorf("meaning %q is not a sentence", k.Meaning)
			}
			if _, family := k.Family(); family {
				if k.field != nil {
					t.Error("a family has no field of its own")
				}
				return
			}
			field := k.field(new(Config))
			if _, isDuration := field.(*time.Duration); isDuration && unitDurations[k.Unit] == 0 {
				t.Errorf("unit %q of a duration", k.Unit)
			}
			if k.YesNo && reflect.TypeOf(field) != reflect.TypeFor[*bool]() {
				t.Errorf("yes/no key with a field of type %T", field)
			}
			if k.Default == "" {
				return
			}
			var ws warnings
			s := setting{key: &k, name: k.Name, text: k.Default}
			if err := s.assign(new(Config), &ws); err != nil || len(ws) > 0 {
				t.Errorf("default: %v %v", err, ws)
			}
		})
	}
}

// TestEveryFieldHasAKey finds fields of Config that no key can set.
func TestEveryFieldHasAKey(t *testing.T) {
	c := new(Config)
	set := map[any]bool{}
	for _, k := range Keys() {
		if k.field != nil {
			set[k.field(c)] = true
		}
	}
	computed := map[string]bool{
		"Path": true, "InitialText": true, "Properties": true, "origins": true,
		"Auth.SuperUsers": true, "Auth.Providers": true,
		"Quorum.MyID": true, "Quorum.HasMyID": true, "Quorum.List": true,
		"Quorum.Groups": true, "Quorum.Weights": true, "Quorum.Version": true,
	}
	var walk func(prefix string, v reflect.Value)
	walk = func(prefix string, v reflect.Value) {
		for i := range v.NumField() {
			name := prefix + v.Type().Field(i).Name
			field := v.Field(i)
			switch {
			case computed[name]:
			case field.Kind() == reflect.Struct:
				walk(name+".", field)
			case !set[field.Addr().Interface()]:
				t.Errorf("no key sets Config.%s", name)
			}
		}
	}
	walk("", reflect.ValueOf(c).Elem())
}

func TestVariableNames(t *testing.T) {
	for key, want := range map[string]string{
		"clientPort":                               "QUORATE_CLIENTPORT",
		"4lw.commands.whitelist":                   "QUORATE_4LW_COMMANDS_WHITELIST",
		"jute.maxbuffer":                           "QUORATE_JUTE_MAXBUFFER",
		"zookeeper.snapCount":                      "QUORATE_SNAPCOUNT",
		"quorate.tree.budgetBytes":                 "QUORATE_TREE_BUDGETBYTES",
		"DigestAuthenticationProvider.superDigest": "QUORATE_DIGESTAUTHENTICATIONPROVIDER_SUPERDIGEST",
	} {
		if got := envName(key); got != want {
			t.Errorf("%s: %s, want %s", key, got, want)
		}
	}
}

// TestEveryVariableSetsItsKey sets each key through its variable and looks
// for the origin.
func TestEveryVariableSetsItsKey(t *testing.T) {
	for _, k := range Keys() {
		if _, family := k.Family(); family {
			continue
		}
		value := k.Default
		if value == "" {
			value = "1"
		}
		if len(k.Choices) > 0 && k.Default == "" {
			value = k.Choices[len(k.Choices)-1]
		}
		l := newLoader(func(string) ([]byte, error) { return nil, nil })
		l.layer("", []string{k.Env() + "=" + value}, nil)
		if got := l.config.Origin(k.Name).Env; got != k.Env() {
			t.Errorf("%s: %s=%s was not taken (origin %q)", k.Name, k.Env(), value, got)
		}
	}
}
