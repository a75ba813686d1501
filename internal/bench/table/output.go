package table

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

// Output is where a command that measures keeps its servers' data, and what it
// writes besides the table.
type Output struct {
	Dir   string // the system's temporary directory if empty
	Keep  bool   // leave what is in it in place
	Table string // a file to write the table to as well, if not empty
	JSON  string // a file to write every figure to, if not empty
	// Markdown is written the table, Log what there is to tell meanwhile.
	Markdown, Log io.Writer
}

// Flags defines the flags of an output.
func (o *Output) Flags(fs *flag.FlagSet) {
	fs.StringVar(&o.Dir, "dir", "", "directory for the servers' data (default: the system's temporary directory)")
	fs.BoolVar(&o.Keep, "keep", false, "leave the servers' directories in place")
	fs.StringVar(&o.Table, "o", "", "also write the table to this file")
	fs.StringVar(&o.JSON, "json", "", "write every figure to this file")
}

// InDirectory calls f with a new directory, which is removed when f returns,
// unless it is to be kept.
func (o *Output) InDirectory(prefix string, f func(dir string) error) (err error) {
	dir, err := os.MkdirTemp(o.Dir, prefix)
	if err != nil {
		return err
	}
	if o.Keep {
		fmt.Fprintln(o.Log, "data is kept in", dir)
	} else {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	return f(dir)
}

// Publish writes the table, and the findings behind it if they are wanted.
func (o *Output) Publish(text string, findings any) error {
	if _, err := io.WriteString(o.Markdown, text); err != nil {
		return err
	}
	if o.Table != "" {
		if err := os.WriteFile(o.Table, []byte(text), 0o644); err != nil {
			return err
		}
	}
	if o.JSON == "" {
		return nil
	}
	b, err := json.MarshalIndent(findings, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(o.JSON, append(b, '\n'), 0o644)
}
