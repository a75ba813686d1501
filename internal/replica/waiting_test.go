package replica

import "testing"

// What learners have sent is counted apart, with what a request without a body takes.
func TestForwardedBytes(t *testing.T) {
	var m Member
	w := &m.waiting
	w.push(&Submission{Body: make([]byte, 100)})
	w.pushRemote(&remoteRequest{body: make([]byte, 1000)})
	w.pushRemote(&remoteRequest{})
	want := func(remote, all int) {
		t.Helper()
		if m.Forwarded() != remote || w.bytes != all {
			t.Errorf("%d bytes, of learners %d; want %d and %d", w.bytes, m.Forwarded(), all, remote)
		}
	}
	want(1000+2*remoteBytes, 1100+2*remoteBytes)
	w.pop()
	want(1000+2*remoteBytes, 1000+2*remoteBytes)
	w.pop()
	want(remoteBytes, remoteBytes)
	w.dropRemote()
	want(0, 0)
}
