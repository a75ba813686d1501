package znode

import (
	"testing"

	"github.com/quorate/quorate/wire"
)

// TestMeasureQuotas starts from a usage that counts too much, as the one in a
// Java server's snapshot may, and from what is there counts right.
func TestMeasureQuotas(t *testing.T) {
	tree, err := Open(Options{Backend: NewMemBackend()})
	if err != nil {
		t.Fatal(err)
	}
	run := &twinRun{tree: tree}
	zxid := int64(0)
	apply := func(typ wire.Op, record []byte) {
		zxid++
		run.applyPayload(append(TxnHeader{Zxid: zxid, Time: 1, Type: typ}.Append(nil), record...))
	}
	create := func(path, data string) {
		c := CreateTxn{Path: []byte(path), Data: []byte(data), ACL: wire.OpenACL, ParentCversion: -1}
		apply(wire.OpCreate, c.Append(nil, wire.OpCreate))
	}
	create("/q", "12345")
	create("/q/a", "678")
	create(QuotaRoot+"/q", "")
	create(QuotaRoot+"/q/"+QuotaLimitsName, "count=9,bytes=-1")
	create(QuotaRoot+"/q/"+QuotaStatsName, "")
	stats := []byte(QuotaRoot + "/q/" + QuotaStatsName)
	apply(wire.OpSetData, SetDataTxn{Path: stats, Data: []byte("count=70,bytes=800"), Version: 1}.Append(nil))
	tree.Lock()
	defer tree.Unlock()
	if _, _, use, ok := tree.Quota([]byte("/q")); !ok || use.Count != 70 {
		t.Fatalf("usage %+v %v, want what was set", use, ok)
	}
	if err := tree.MeasureQuotas(); err != nil {
		t.Fatal(err)
	}
	var n Node
	if tree.Find(stats, &n) != Found || string(n.Data) != "count=2,bytes=8" {
		t.Fatalf("told usage %q", n.Data)
	}
}
