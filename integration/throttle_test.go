package integration

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/quorate/quorate/wire"
)

// burst sends n setData of /busy in one go and returns how many were answered with each
// code, in order of their xids.
func burst(s *Session, n int) (codes map[wire.Code]int, err error) {
	req := wire.SetDataRequest{Path: []byte("/busy"), Data: []byte("x"), Version: -1}
	var all []byte
	for i := range n {
		b, mark := wire.BeginFrame(all)
		b = wire.RequestHeader{Xid: int32(i + 1), Op: wire.OpSetData}.Append(b)
		all = wire.EndFrame(req.Append(b), mark)
	}
	if _, err := s.Write(all); err != nil {
		return nil, err
	}
	codes = map[wire.Code]int{}
	for i := range n {
		rep, err := s.Next()
		if err != nil {
			return codes, fmt.Errorf("answer %d: %w", i, err)
		}
		if rep.Xid != int32(i+1) {
			return codes, fmt.Errorf("answer %d has xid %d", i, rep.Xid)
		}
		codes[rep.Err]++
	}
	return codes, nil
}

// busy has several clients send bursts to one znode, and returns the sums of their
// answers and the version that the znode has then.
func busy(t *testing.T, s *Server, clients, requests int) (codes map[wire.Code]int, version int) {
	t.Helper()
	first := mustConnect(t, s.Addr, ConnectOptions{})
	if _, err := first.Create("/busy", nil, 0); err != nil {
		t.Fatal(err)
	}
	codes = map[wire.Code]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range clients {
		c := mustConnect(t, s.Addr, ConnectOptions{})
		wg.Go(func() {
			got, err := burst(c, requests)
			mu.Lock()
			defer mu.Unlock()
			for code, n := range got {
				codes[code] += n
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	retry(t, "a last read", func() error { // it may be throttled too
		st, err := first.Exists("/busy", false)
		version = int(st.Version)
		if errors.Is(err, wire.ErrThrottledOp) {
			codes[wire.ErrThrottledOp]++
		}
		return err
	})
	return codes, version
}

// TestOutstandingLimit: beyond it clients wait, and nobody is refused.
func TestOutstandingLimit(t *testing.T) {
	eachFlavor(t, func(t *testing.T, f Flavor) {
		s := newServer(t, f, Options{"globalOutstandingLimit": "1"})
		codes, version := busy(t, s, 4, 100)
		if codes[wire.OK] != 400 || version != 400 {
			t.Errorf("%v, version %d", codes, version)
		}
	})
}

// TestRequestThrottle: with room for one request in the pipeline all are served, and
// the server tells that they waited.
func TestRequestThrottle(t *testing.T) {
	eachFlavor(t, func(t *testing.T, f Flavor) {
		s := newServer(t, f, Options{"request_throttle_max_requests": "1"})
		codes, version := busy(t, s, 4, 100)
		if codes[wire.OK] != 400 || version != 400 {
			t.Errorf("%v, version %d", codes, version)
		}
		if n := monitor(t, s)["zk_request_throttle_wait_count"]; n == "0" || n == "" {
			t.Errorf("%q waits", n)
		}
	})
}

// TestThrottledOp: what waits for longer than throttled_op_wait_time is refused in its
// turn, counted, and not executed.
func TestThrottledOp(t *testing.T) {
	eachFlavor(t, func(t *testing.T, f Flavor) {
		s := newServer(t, f, Options{"request_throttle_max_requests": "1", "throttled_op_wait_time": "1"})
		codes, version := busy(t, s, 4, 300)
		refused := codes[wire.ErrThrottledOp]
		if len(codes) > 2 || codes[wire.OK] != version || refused == 0 || codes[wire.OK]+refused < 1200 {
			t.Errorf("%v, version %d", codes, version)
		}
		if n := monitor(t, s)["zk_throttled_ops"]; n != strconv.Itoa(refused) {
			t.Errorf("%s throttled operations, %d were refused", n, refused)
		}
	})
}

// TestLargeRequestsAreCounted: a large request that does not fit costs its connection
// and is counted.
func TestLargeRequestsAreCounted(t *testing.T) {
	eachFlavor(t, func(t *testing.T, f Flavor) {
		s := newServer(t, f, Options{"largeRequestThreshold": "1000", "largeRequestMaxBytes": "1500"})
		c := mustConnect(t, s.Addr, ConnectOptions{})
		if _, err := c.Create("/large", make([]byte, 2000), 0); !closed(err) {
			t.Errorf("too large: %v", err)
		}
		if n := monitor(t, s)["zk_large_requests_rejected"]; n != "1" {
			t.Errorf("%q rejected", n)
		}
	})
}
