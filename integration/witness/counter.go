package witness

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"
)

// counter is a znode that clients count up in, each by reading and setting
// with the version read.
type counter struct {
	path                     string
	acknowledged, unanswered atomic.Int64
}

// count counts up until ctx ends.
func (c *Crowd) count(ctx context.Context, client *Client, random *rand.Rand) {
	for client.AwaitSession(ctx) {
		data, st, err := client.Get(c.counter.path)
		if err == nil {
			n, bad := strconv.Atoi("0" + string(data))
			if bad != nil || int32(n) != st.Version {
				c.fault("the counter is %q at version %d", data, st.Version)
			}
			_, err = client.Set(c.counter.path, []byte(strconv.Itoa(n+1)), st.Version)
			switch {
			case err == nil:
				c.counter.acknowledged.Add(1)
			case !refused(err):
				c.counter.unanswered.Add(1)
			}
		}
		if !pause(ctx, time.Duration(random.Int64N(int64(2*c.plan.Think)+1))) {
			return
		}
	}
}
