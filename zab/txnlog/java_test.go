package txnlog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const javaClasspath = "/etc/zookeeper/conf_example:/usr/share/java/zookeeper.jar"

// needJava skips the test when Debian's ZooKeeper is not installed, or fails it when it must be.
func needJava(t *testing.T) {
	t.Helper()
	_, err := exec.LookPath("java")
	if err == nil {
		_, err = os.Stat("/usr/share/java/zookeeper.jar")
	}
	if err == nil {
		return
	}
	if os.Getenv("QUORATE_INTEROP") == "required" {
		t.Fatalf("QUORATE_INTEROP=required, but Debian's ZooKeeper is not there: %v", err)
	}
	t.Skipf("Debian's ZooKeeper is not there: %v", err)
}

func java(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("java", append([]string{"-Xshare:auto", "-XX:TieredStopAtLevel=1", "-Dzookeeper.preAllocSize=64", "-cp", javaClasspath}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("java %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.Bytes())
	}
	return string(out)
}

// writeReal fills a directory of the machine with several files; the last one is left open, with its padding.
func writeReal(t *testing.T, dir string, all []entry) *Log {
	t.Helper()
	l := mustOpen(t, Options{Dir: dir, PreallocBytes: 64 << 10, RollBytes: 40 << 10})
	for i := 0; i < len(all); i += 7 {
		mustWrite(t, l, all[i:min(i+7, len(all))])
	}
	if n := len(l.Files()); n < 2 {
		t.Fatalf("%d files", n)
	}
	return l
}

// TestJavaReadsOurs: ZooKeeper's TxnLogToolkit and its FileTxnLog read every entry of files that are being written, were
// closed, and were truncated.
func TestJavaReadsOurs(t *testing.T) {
	needJava(t)
	dir := t.TempDir()
	all := txns(z(1, 1), 200)
	l := writeReal(t, dir, all)
	requireJavaReads(t, dir, all)
	requireToolkitReads(t, l, all)
	if err := l.Truncate(z(1, 150)); err != nil {
		t.Fatal(err)
	}
	requireJavaReads(t, dir, all[:150])
	mustClose(t, l)
	requireToolkitReads(t, mustOpen(t, Options{Dir: dir}), all[:150])
}

func requireJavaReads(t *testing.T, dir string, want []entry) {
	t.Helper()
	var lines strings.Builder
	for _, e := range want {
		fmt.Fprintf(&lines, "%d /a %d\n", e.zxid, binary.BigEndian.Uint32(e.payload[txnHeaderLen+6:]))
	}
	if got := java(t, "testdata/LogTool.java", "read", dir); got != lines.String() {
		t.Fatalf("FileTxnLog read\n%s\nwant\n%s", got, lines.String())
	}
}

func requireToolkitReads(t *testing.T, l *Log, want []entry) {
	t.Helper()
	files := l.Files()
	for i, f := range files {
		n := 0
		for _, e := range want {
			if e.zxid >= f.FirstZxid && (i+1 == len(files) || e.zxid < files[i+1].FirstZxid) {
				n++
			}
		}
		out := java(t, "org.apache.zookeeper.server.persistence.TxnLogToolkit", "-d", l.path(f.Name))
		if !strings.Contains(out, fmt.Sprintf("EOF reached after %d txns", n)) || strings.Contains(out, "CRC") {
			t.Fatalf("TxnLogToolkit on %s, which has %d entries:\n%s", f.Name, n, out)
		}
	}
}

// TestOursReadsJava: files that ZooKeeper's FileTxnLog wrote, rolled, padded and truncated are read, continued by us, and
// read again by it.
func TestOursReadsJava(t *testing.T) {
	needJava(t)
	dir := t.TempDir()
	first := z(1, 1)
	java(t, "testdata/LogTool.java", "write", dir, fmt.Sprint(first), "100")
	l := mustOpen(t, Options{Dir: dir})
	got := mustRead(t, l, 0)
	if len(got) != 100 || len(l.Files()) < 3 {
		t.Fatalf("%d entries of 100 in files %+v", len(got), l.Files())
	}
	for i, e := range got {
		if want := fmt.Sprintf("value of %d", e.zxid); e.zxid != first+int64(i) || !bytes.Contains(e.payload, []byte(want)) {
			t.Fatalf("entry %d: %#x %q", i, e.zxid, e.payload)
		}
	}
	more := txns(first+100, 20)
	mustWrite(t, l, more)
	mustClose(t, l)
	if out := java(t, "testdata/LogTool.java", "read", dir); strings.Count(out, "\n") != 120 {
		t.Fatalf("FileTxnLog read\n%s", out)
	}
	if out := java(t, "testdata/LogTool.java", "truncate", dir, fmt.Sprint(first+109)); out != "true\n" {
		t.Fatalf("truncate said %s", out)
	}
	got = mustRead(t, mustOpen(t, Options{Dir: dir}), first+99)
	requireEntries(t, got, more[:10])
}

// TestOursReadsTornJava: a file of ZooKeeper's cut off in its last entry.
func TestOursReadsTornJava(t *testing.T) {
	needJava(t)
	dir := t.TempDir()
	java(t, "testdata/LogTool.java", "write", dir, "1", "30")
	name := filepath.Join(dir, "log.1")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) != 64<<10+16 {
		t.Errorf("the file of ZooKeeper's has %d bytes, it should be padded", len(b))
	}
	last := len(bytes.TrimRight(b, "\x00"))
	clear(b[last-20:])
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := mustRead(t, mustOpen(t, Options{Dir: dir}), 0); len(got) != 29 {
		t.Fatalf("%d entries of 29", len(got))
	}
	if out := java(t, "testdata/LogTool.java", "read", dir); strings.Count(out, "\n") != 29 {
		t.Fatalf("FileTxnLog read after our recovery\n%s", out)
	}
}
