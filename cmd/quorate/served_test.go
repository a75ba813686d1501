package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/quorate/quorate/conf"
)

// readInPart are keys that this version reads without serving them in full;
// the documentation may go on saying "not yet".
var readInPart = map[string]string{
	"sessionRequireClientSASLAuth": "refuses everybody, there is no SASL yet",
	"reconfigEnabled":              "chooses the refusal of a standalone server",
}

// obeyedInConf are keys that are served without reaching the server: what
// reaches it is what conf makes of them.
var obeyedInConf = map[string]string{
	"server.N": "the member list", "group.N": "the member list", "weight.N": "the member list",
	"dynamicConfigFile":         "the member list is in it",
	"electionAlg":               "there is only one",
	"peerType":                  "the member list beats it",
	"standaloneEnabled":         "decides whether there is an ensemble",
	"multiAddress.enabled":      "allows several addresses in the member list",
	"observer.syncEnabled":      "the same as syncEnabled",
	"authProvider.SUFFIX":       "Auth.Providers are looked through",
	"globalOutstandingLimit":    "OutstandingLimit divides it in an ensemble",
	"metricsProvider.className": "Metrics.Prometheus asks for it",
}

// TestDocumentedServiceIsReal holds the column "served" of
// docs/configuration.md against the code: a key that is said to be served must
// be read here, where configuration becomes a server, and the other way round.
func TestDocumentedServiceIsReal(t *testing.T) {
	code := productionCode(t)
	for _, key := range conf.Keys() {
		if _, ok := obeyedInConf[key.Name]; ok {
			if key.Use != conf.Applied {
				t.Errorf("%s is obeyed, but not said to be served", key.Name)
			}
			continue
		}
		path := key.FieldPath()
		if path == "" {
			if key.Use == conf.Applied {
				t.Errorf("%s is said to be served, but is only kept as a property", key.Name)
			}
			continue
		}
		read := regexp.MustCompile(`\.` + regexp.QuoteMeta(path) + `\b`).MatchString(code)
		_, excused := readInPart[key.Name]
		switch {
		case key.Use == conf.Applied && !read:
			t.Errorf("%s is said to be served, but nothing reads conf.Config.%s", key.Name, path)
		case key.Use != conf.Applied && read && !excused:
			t.Errorf("%s is read, but not said to be served: set its Use to Applied in conf, and rewrite the documentation", key.Name)
		}
	}
}

// productionCode is the text of this package without its tests.
func productionCode(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		code.Write(text)
	}
	return code.String()
}
