package znode

import (
	"bytes"
	"errors"
)

// SetConfig puts the configuration of the ensemble into /zookeeper/config, as every
// member does for itself when it begins to serve (DataTree.setData by
// ZKDatabase.initConfigInZKDatabase): no transaction says so, and the digest leaves
// that part of the tree out. version is the zxid of the reconfiguration that made
// the text, 0 for one from a file; now is the wall clock in ms. A text that is there
// already changes nothing.
//
// The caller is the one goroutine that applies, without the lock.
func (t *Tree) SetConfig(text []byte, version, now int64) error {
	path := []byte(configPath)
	for {
		t.Lock()
		err := t.setConfig(path, text, version, now)
		t.Unlock()
		var absent *NotResidentError
		if !errors.As(err, &absent) {
			return err
		}
		if err := t.LoadMissing(absent); err != nil {
			return err
		}
	}
}

func (t *Tree) setConfig(path, text []byte, version, now int64) error {
	var n Node
	switch t.Find(path, &n) {
	case NotResident:
		return &NotResidentError{Path: path}
	case Found:
		if bytes.Equal(n.Data, text) {
			return nil
		}
	case Absent:
	}
	a := application{t: t, h: &TxnHeader{Zxid: version, Time: now}}
	var res Result
	return a.setData(&SetDataTxn{Path: path, Data: text, Version: -1}, &res)
}
