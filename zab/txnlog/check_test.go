package txnlog

import (
	"errors"
	"testing"
)

func TestCheckReportsEveryFile(t *testing.T) {
	fsys := NewMemFS()
	all := fullTxns(z(1, 1), 30)
	damaged := rawFile(all[3:6])
	damaged[offsets(all[3:6])[1]+50] ^= 1
	fsys.put(t, fileName(z(1, 1)), padded(rawFile(all[:3]), 5000))
	fsys.put(t, fileName(z(1, 4)), damaged)
	fsys.put(t, fileName(z(1, 10)), rawFile(all[9:12]))
	fsys.put(t, fileName(z(1, 13)), rawFile(all[12:15])[:4000])
	fsys.put(t, fileName(z(1, 20)), nil)
	fsys.put(t, fileName(z(1, 21)), []byte("no log file at all"))
	before := fsys.bytesOf(t, fileName(z(1, 13)))

	reports, err := Check(Options{Dir: testDir, FS: fsys})
	if err != nil || len(reports) != 6 {
		t.Fatalf("%d reports, %v", len(reports), err)
	}
	for i, want := range []struct {
		entries     int
		first, last int64
		torn        bool
	}{{3, z(1, 1), z(1, 3), false}, {1, z(1, 4), z(1, 4), false}, {3, z(1, 10), z(1, 12), false}, {2, z(1, 13), z(1, 14), true}, {}, {}} {
		r := reports[i]
		if r.Entries != want.entries || r.FirstZxid != want.first || r.LastZxid != want.last || r.Torn != want.torn {
			t.Errorf("report %+v, want %+v", r, want)
		}
	}
	for i, r := range reports {
		if (r.Err != nil) != (i == 1 || i == 2 || i == 5) {
			t.Errorf("report %d: error %v", i, r.Err)
		}
	}
	requireCorrupt(t, reports[1].Err, fileName(z(1, 4)), int64(offsets(all[3:6])[1]), "checksum")
	requireCorrupt(t, reports[2].Err, fileName(z(1, 10)), fileHeaderLen, "entries between them are missing")
	requireCorrupt(t, reports[5].Err, fileName(z(1, 21)), 0, "magic")
	if string(before) != string(fsys.bytesOf(t, fileName(z(1, 13)))) {
		t.Error("Check changed a file")
	}
}

func TestCutDamage(t *testing.T) {
	fsys := NewMemFS()
	o := Options{Dir: testDir, FS: fsys}
	l := mustOpen(t, o)
	all := fullTxns(z(1, 1), 12)
	for i := range all {
		mustWrite(t, l, all[i:i+1])
	}
	mustClose(t, l)
	b := fsys.bytesOf(t, fileName(z(1, 1)))
	b[offsets(all)[9]+70] ^= 8
	fsys.put(t, fileName(z(1, 1)), b)
	_, err := Open(o)
	var c *CorruptError
	if !errors.As(err, &c) {
		t.Fatal(err)
	}
	if err := CutDamage(o, &CorruptError{File: l.path("log.7"), Offset: 100}); err == nil {
		t.Fatal("cut a file that is not the newest")
	}
	if err := CutDamage(o, c); err != nil {
		t.Fatal(err)
	}
	for seed := range int64(10) {
		o.FS = fsys.Crash(seed)
		requireEntries(t, mustRead(t, mustOpen(t, o), 0), all[:9])
	}
}
