//go:build linux

package quorum

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/integration/ensemble"
	"github.com/quorate/quorate/integration/witness"
)

// kazoo is a stock client in a process of its own: testdata/client.py.
type kazoo struct {
	s   *scene
	in  io.Writer
	out *bufio.Reader
}

// kazoo starts a client of the members, which it tries in their order. It is given them
// several times, because it waits for an answer for its session timeout divided by their
// number, and a Java server that starts may never give one.
func (s *scene) kazoo(readOnly bool, members ...*ensemble.Member) *kazoo {
	s.Helper()
	integration.NeedPeer(s, "kazoo", witness.KazooMissing())
	var addrs []string
	for i := range 8 {
		m := members[i%len(members)]
		addrs = append(addrs, m.Addr())
	}
	args := []string{"testdata/client.py", strings.Join(addrs, ","), "20"}
	if readOnly {
		args = append(args, "read-only")
	}
	cmd := exec.Command("/usr/bin/python3", args...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	s.must(err)
	out, err := cmd.StdoutPipe()
	s.must(err)
	s.must(cmd.Start())
	s.Cleanup(func() {
		in.Close() // the session ends, if it can
		kill := time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		kill.Stop()
	})
	return &kazoo{s: s, in: in, out: bufio.NewReader(out)}
}

// say has the client do something and returns what came of it.
func (k *kazoo) say(format string, args ...any) string {
	k.s.Helper()
	_, err := fmt.Fprintf(k.in, format+"\n", args...)
	k.s.must(err)
	line, err := k.out.ReadString('\n')
	k.s.must(err)
	return strings.TrimSpace(line)
}

// insist has the client do something until it can, as when it is connected again.
func (k *kazoo) insist(format string, args ...any) (answer string) {
	k.s.Helper()
	k.s.must(ensemble.Await("kazoo", func() error {
		if answer = k.say(format, args...); !strings.HasPrefix(answer, "ok") {
			return fmt.Errorf("%s: %s", fmt.Sprintf(format, args...), answer)
		}
		return nil
	}))
	return answer
}

// await waits until the client is in a state.
func (k *kazoo) await(state string) {
	k.s.Helper()
	k.s.must(ensemble.Await("kazoo to be "+state, func() error {
		if got := k.say("state"); got != "ok "+state {
			return fmt.Errorf("it is %s", got)
		}
		return nil
	}))
}
