package conf

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// rewrite renews generated files: go test ./conf -run TestDocs -rewrite.
var rewrite = flag.Bool("rewrite", false, "rewrite docs/configuration.md and the expected results in testdata")

// TestDocs keeps docs/configuration.md equal to the table of keys.
func TestDocs(t *testing.T) {
	path := filepath.Join("..", "docs", "configuration.md")
	want := configurationPage(Keys())
	if *rewrite {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is out of date; renew it with: go test ./conf -run TestDocs -rewrite", path)
	}
}

const configurationIntro = `# Configuration

<!-- Generated from the table in the package conf: go test ./conf -run TestDocs -rewrite -->

` + "`quorate server [zoo.cfg]`" + ` reads an unchanged zoo.cfg of a ZooKeeper installation. Without a file it runs standalone on
127.0.0.1:2181 with its data in ./data.

## Where values come from

The later one wins:

1. the default,
2. a Java option ` + "`-Dproperty=value`" + ` in the environment variables ` + "`SERVER_JVMFLAGS` and `JVMFLAGS`" + `, of which the second wins, as
   ZooKeeper's scripts pass them: of keys that are a *property* or of *jvm* kind,
3. the file,
4. an environment variable of our own,
5. ` + "`--set key=value`" + ` on the command line. ` + "`--set zookeeper.snapCount=1000`" + ` works like Java's ` + "`-Dzookeeper.snapCount=1000`" + `.

The variable of a key is ` + "`QUORATE_`" + ` and the key in upper case with everything but letters and digits as an underscore; the
prefixes ` + "`zookeeper.`" + ` and ` + "`quorate.`" + ` are left out. An empty variable counts as unset.

The file has the syntax of java.util.Properties: comments begin with # or !, a key ends at =, : or a blank, a backslash at the end
continues a line, ` + "`\\uXXXX`" + ` stands for a character, and bytes beyond ASCII are ISO-8859-1. Keys are case-sensitive. Of a key set
twice the last counts, with a warning.

A file with errors is refused as a whole: one message lists every fault with file and line, and the exit code is 2. A key that nobody
knows is a warning, and the server starts, as ZooKeeper would.

## Values

- *true/false*: letter case does not matter. For keys of the kind *own* or *quorate* anything else is an error; a *property* counts as
  false then, as in ZooKeeper, with a warning.
- *yes/no*: anything else is a warning. ` + "`forceSync`" + ` stays on then (ZooKeeper would stop syncing), the others are off.
- *integer*: keys of the kind *property* and *jvm* may be hexadecimal (0x or #). What is no number is an error, where ZooKeeper would
  sometimes use the default silently.
- *size*: bytes, or with k, m, g or t behind the number for KiB, MiB, GiB or TiB.
- *list*: separated by commas, blanks do not matter.

## Kinds and service

*own* keys are read from the file by ZooKeeper itself; a *property* becomes the system property with ` + "`zookeeper.`" + ` before it; a *jvm*
property has no prefix, and ZooKeeper takes it from the command line of the JVM only, Quorate from the file as well; *quorate* keys are
additions that ZooKeeper ignores.

*Served* says what this version does with a key: *yes*; *not yet* means that the value is checked and kept, and that there is a warning
when it is set to something other than its default (of an ensemble's keys, only if the file describes one); *moot* means that it tunes
a part of the Java server that has no counterpart.

Where ZooKeeper would start with a file and Quorate does not, or the other way round: numbers that are none are refused; a standalone
server without a client port is refused, as nobody could use it; a file myid without a number is refused in an ensemble only; the only
server of a list gives its client port even when there is no file myid; an observer in a group is refused; and a server that is not in its
own member list is refused with all other faults, where ZooKeeper fails a little later.
`

func configurationPage(keys []Key) string {
	var b strings.Builder
	b.WriteString(configurationIntro)
	title := ""
	for i := range keys {
		k := &keys[i]
		if k.Section != title {
			title = k.Section
			fmt.Fprintf(&b, "\n## %s\n\n| key | kind | type | default | served | variable | meaning |\n|---|---|---|---|---|---|---|\n", title)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s |\n",
			shownName(k), k.Source, k.Type(), shownDefault(k), k.Use, shownEnv(k), strings.ReplaceAll(k.Meaning, "|", `\|`))
	}
	return b.String()
}

// shownName writes families so that they do not read as Go symbols.
func shownName(k *Key) string {
	if prefix, ok := k.Family(); ok {
		return prefix + "<" + strings.ToLower(strings.TrimPrefix(k.Name, prefix)) + ">"
	}
	return k.Name
}

func shownDefault(k *Key) string {
	if k.Default == "" {
		return ""
	}
	text := k.Default
	if strings.HasPrefix(text, "org.apache.") {
		text = text[strings.LastIndexByte(text, '.')+1:]
	}
	if k.Unit != "" {
		text += " " + k.Unit
	}
	return text
}

func shownEnv(k *Key) string {
	prefix, ok := k.Family()
	switch {
	case !ok:
		return "`" + k.Env() + "`"
	case strings.HasSuffix(k.Name, ".N"):
		return "`" + envName(prefix) + "<n>`"
	}
	return ""
}
