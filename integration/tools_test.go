package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// javaTool runs one of ZooKeeper's programs and returns what it prints.
func javaTool(t *testing.T, f Flavor, class string, args ...string) (out string, code int) {
	t.Helper()
	cp, err := classPath(f)
	if err != nil {
		t.Fatal(err)
	}
	all := append([]string{"-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", cp, "org.apache.zookeeper.server." + class}, args...)
	out, complaints, code, err := RunCommand("", nil, "", "java", all...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", class, err, complaints)
	}
	return out, code
}

// export writes a stopped server's data as a snapshot for Java and returns the file.
func export(t *testing.T, s *Server) string {
	t.Helper()
	bin, err := QuorateBinary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, complaints, code, err := RunCommand("", nil, "", bin, "export", filepath.Join(s.Dir, "zoo.cfg"), dir); err != nil || code != 0 {
		t.Fatalf("export: exit code %d, %v\n%s", code, err, complaints)
	}
	return only(t, filepath.Join(dir, "version-2", "snapshot.*"))
}

// only returns the one file of a pattern.
func only(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) != 1 {
		t.Fatalf("%s: %q, %v", pattern, files, err)
	}
	return files[0]
}

// eachJava runs a test with the tools of each Java release.
func eachJava(t *testing.T, run func(t *testing.T, f Flavor)) {
	for _, f := range []Flavor{ZooKeeper39, ZooKeeper38} {
		t.Run(string(f), func(t *testing.T) {
			needFlavor(t, f)
			run(t, f)
		})
	}
}

// toolsServer is a stopped server with znodes of every kind, and its tree and last zxid.
func toolsServer(t *testing.T) (s *Server, tree Tree, zxid int64) {
	t.Helper()
	s = newServer(t, Quorate, Options{"extendedTypesEnabled": "true"})
	owner := estate(t, s, "q")
	tree = readTree(t, s.Addr)
	zxid, _, err := owner.Ping()
	if err != nil {
		t.Fatal(err)
	}
	if code := s.Terminate(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	return s, tree, zxid
}

// TestSnapshotTools: zkSnapShotToolkit.sh and zkSnapshotComparer.sh read what we export.
func TestSnapshotTools(t *testing.T) {
	eachJava(t, func(t *testing.T, f Flavor) {
		s, tree, zxid := toolsServer(t)
		before := export(t, s)
		out, code := javaTool(t, f, "SnapshotFormatter", before)
		if code != 0 || !strings.Contains(out, fmt.Sprintf("\nLast zxid: 0x%x\n", zxid)) && f == ZooKeeper39 {
			t.Errorf("exit code %d, last zxid is not %#x:\n%s", code, zxid, out[max(0, len(out)-400):])
		}
		compareFormatted(t, out, tree)

		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		c := mustConnect(t, s.Addr, ConnectOptions{})
		if _, err := c.Create("/more", []byte("12345"), 0); err != nil {
			t.Fatal(err)
		}
		s.Terminate()
		after := export(t, s)
		same, code := javaTool(t, f, "SnapshotComparer", "-l", before, "-r", before, "-b", "1", "-n", "1")
		if code != 0 || !strings.Contains(same, "All layers compared.") || strings.Contains(same, "/q") {
			t.Errorf("one and the same, exit code %d:\n%s", code, same)
		}
		diff, code := javaTool(t, f, "SnapshotComparer", "-l", before, "-r", after, "-b", "1", "-n", "1", "-d")
		if code != 0 || !strings.Contains(diff, "/more") {
			t.Errorf("a znode more, exit code %d:\n%s", code, diff)
		}
	})
}

// compareFormatted holds the formatted snapshot against the tree.
func compareFormatted(t *testing.T, out string, tree Tree) {
	t.Helper()
	details, _, _ := strings.Cut(out, "Session Details")
	seen := 0
	for _, part := range strings.Split(details, "----\n")[1:] {
		lines := strings.Split(part, "\n")
		node, ok := tree[lines[0]]
		if !ok {
			if lines[0] != "" { // the root's other name
				t.Errorf("the snapshot has %q", lines[0])
			}
			continue
		}
		seen++
		st := node.Stat
		for key, want := range map[string]string{
			"cZxid": fmt.Sprintf("0x%014x", st.Czxid), "mZxid": fmt.Sprintf("0x%014x", st.Mzxid), "pZxid": fmt.Sprintf("0x%014x", st.Pzxid),
			"dataVersion": strconv.Itoa(int(st.Version)), "aclVersion": strconv.Itoa(int(st.Aversion)), "dataLength": strconv.Itoa(int(st.DataLength)),
		} {
			if !slices.Contains(lines, "  "+key+" = "+want) {
				t.Errorf("%s: %s is not %s in\n%s", lines[0], key, want, part)
			}
		}
	}
	if seen != len(tree) {
		t.Errorf("%d znodes of %d", seen, len(tree))
	}
}

// TestLogTools: zkTxnLogToolkit.sh reads our log, to the end and without an error, with
// a line for every zxid; mends one that is damaged; and chops it.
func TestLogTools(t *testing.T) {
	eachJava(t, func(t *testing.T, f Flavor) {
		s, _, zxid := toolsServer(t)
		log := only(t, filepath.Join(s.Dir, "data", "version-2", "log.*"))
		out, code := javaTool(t, f, "persistence.TxnLogToolkit", log)
		if code != 0 || !strings.Contains(out, fmt.Sprintf("EOF reached after %d txns.", zxid)) || strings.Contains(out, "CRC ERROR") {
			t.Errorf("exit code %d, want %d transactions:\n%s", code, zxid, out[max(0, len(out)-400):])
		}
		for z := int64(1); z <= zxid; z++ {
			if n := strings.Count(out, fmt.Sprintf(" zxid 0x%x ", z)); n != 1 {
				t.Errorf("%d lines with zxid %#x", n, z)
			}
		}
		for _, want := range []string{
			`session 0x[0-9a-f]+ cxid 0x0 zxid 0x1 createSession \d+\n`, `closeSession v\{\}\n`,
			`create /q,data,\[31,s\{'world,'anyone\}`, `delete '/q/seq-0000000004\n`, `setData /q,again,1\n`,
			`setACL '/q/empty,v\{s\{13,s\{'world,'anyone\}\},s\{18,s\{'ip,'127\.0\.0\.1\}\}\},1\n`,
			`(?s)multi create:.{0,8}/q/m.{0,40};create:.{0,8}/q/m/1.{0,40};setData:.{0,8}/q/m.{0,20};create:.{0,8}/q/m/e`, `createT(TL|tl) /q/ttl,t,`, `createContainer /q/box,c,`,
		} {
			if !regexp.MustCompile(want).MatchString(out) {
				t.Errorf("no line with %s", want)
			}
		}
		mend(t, f, log, zxid)
		out, code = javaTool(t, f, "persistence.TxnLogToolkit", "-c", log, "-z", "0x20")
		if code != 0 {
			t.Errorf("chop: exit code %d:\n%s", code, out)
		}
		if out, _ = javaTool(t, f, "persistence.TxnLogToolkit", log+".chopped32"); !strings.Contains(out, "EOF reached after 32 txns.") {
			t.Errorf("chopped:\n%s", out[max(0, len(out)-400):])
		}
	})
}

// mend has a log repaired in which a byte of one record is flipped: what is left of it
// gets the checksum that it has now.
func mend(t *testing.T, f Flavor, log string, zxid int64) {
	t.Helper()
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(b), "again")
	if at < 0 {
		t.Fatal("the data is not in the log")
	}
	b[at] ^= 1
	damaged := filepath.Join(t.TempDir(), "log.1")
	if err := os.WriteFile(damaged, b, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, _ := javaTool(t, f, "persistence.TxnLogToolkit", damaged); strings.Count(out, "CRC ERROR") != 1 {
		t.Errorf("%d errors of the checksum", strings.Count(out, "CRC ERROR"))
	}
	if out, code := javaTool(t, f, "persistence.TxnLogToolkit", "-r", "-y", damaged); code != 0 {
		t.Errorf("repair: exit code %d:\n%s", code, out)
	}
	out, _ := javaTool(t, f, "persistence.TxnLogToolkit", damaged+".fixed")
	if strings.Contains(out, "CRC ERROR") || !strings.Contains(out, fmt.Sprintf("EOF reached after %d txns.", zxid)) {
		t.Errorf("repaired:\n%s", out[max(0, len(out)-400):])
	}
}
