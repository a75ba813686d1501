package znode

import (
	"errors"
	"testing"
)

func TestParseQuota(t *testing.T) {
	for text, want := range map[string]QuotaLimits{
		"":                 NoQuotaLimits,
		"count=5,bytes=10": {5, 10, -1, -1},
		"count=-1,bytes=-1=;byteHardLimit=5;countHardLimit=2":  {-1, -1, 2, 5},
		"count=1,bytes=2=;countHardLimit=3;byteHardLimit=4":    {1, 2, 3, 4},
		"bytes=2;count=1,,;;countHardLimit=,byteHardLimit=-1=": {1, 2, -1, -1},
		"count=1=7,bytes==2":        {1, -1, -1, -1},
		"count=1,unknown=7,bytes=2": {1, 2, -1, -1},
	} {
		got, err := ParseQuota([]byte(text))
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"count", "count=x", "count=1,bytes", "count=99999999999999999999"} {
		if got, err := ParseQuota([]byte(text)); !errors.Is(err, ErrQuota) || got != NoQuotaLimits {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

func TestQuotaText(t *testing.T) {
	for want, lim := range map[string]QuotaLimits{
		"count=5,bytes=10": {5, 10, -1, -1},
		"count=-1,bytes=-1=;byteHardLimit=5;countHardLimit=2": {-1, -1, 2, 5},
		"count=-1,bytes=-1=;countHardLimit=0":                 {-1, -1, 0, -1},
		"count=3,bytes=-1=;byteHardLimit=9":                   {3, -1, -1, 9},
	} {
		if got := string(lim.Append(nil)); got != want {
			t.Errorf("%+v is %q, want %q", lim, got, want)
		}
		if again, err := ParseQuota([]byte(want)); err != nil || again != lim {
			t.Errorf("%q reads as %+v, %v", want, again, err)
		}
	}
	if got := string(QuotaUsage{Count: 3, Bytes: 40}.Append(nil)); got != "count=3,bytes=40" {
		t.Errorf("usage is %q", got)
	}
}

func TestQuotaExceeded(t *testing.T) {
	use := QuotaUsage{Count: 4, Bytes: 100}
	for _, c := range []struct {
		lim          QuotaLimits
		count, bytes int64
		want         bool
	}{
		{NoQuotaLimits, 1, 1 << 40, false},
		{QuotaLimits{Count: 1, Bytes: 1, CountHard: -1, BytesHard: -1}, 1, 50, false}, // soft
		{QuotaLimits{Count: -1, Bytes: -1, CountHard: 5, BytesHard: -1}, 1, 50, false},
		{QuotaLimits{Count: -1, Bytes: -1, CountHard: 4, BytesHard: -1}, 1, 0, true},
		{QuotaLimits{Count: -1, Bytes: -1, CountHard: 0, BytesHard: -1}, 0, 5, false},
		{QuotaLimits{Count: -1, Bytes: -1, CountHard: -1, BytesHard: 110}, 0, 10, false},
		{QuotaLimits{Count: -1, Bytes: -1, CountHard: -1, BytesHard: 110}, 0, 11, true},
		{QuotaLimits{Count: -1, Bytes: -1, CountHard: -1, BytesHard: 50}, 0, 0, false},
		{QuotaLimits{Count: -1, Bytes: -1, CountHard: -1, BytesHard: 50}, 0, -10, true},
		{QuotaLimits{Count: -1, Bytes: -1, CountHard: -1, BytesHard: 50}, 0, -50, false},
	} {
		if got := c.lim.Exceeded(use, c.count, c.bytes); got != c.want {
			t.Errorf("%+v, %+d znodes, %+d bytes: %v", c.lim, c.count, c.bytes, got)
		}
	}
}

func TestQuotaTarget(t *testing.T) {
	for path, want := range map[string]string{
		"/zookeeper/quota/a/zookeeper_limits":   "/a limits",
		"/zookeeper/quota/a/b/zookeeper_limits": "/a/b limits",
		"/zookeeper/quota/a/zookeeper_stats":    "/a stats",
		"/zookeeper/quota/zookeeper_limits":     "",
		"/zookeeper/quota/zookeeper_stats":      "",
		"/zookeeper/quotas/zookeeper_limits":    "",
		"/zookeeper/quota/a/other":              "",
		"/zookeeper/quota/a":                    "",
		"/zookeeper_limits":                     "",
		"/":                                     "",
	} {
		target, limits, ok := QuotaTarget([]byte(path))
		got := ""
		if ok {
			got = string(target) + map[bool]string{true: " limits", false: " stats"}[limits]
		}
		if got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func FuzzParseQuota(f *testing.F) {
	f.Add("count=5,bytes=10=;byteHardLimit=5")
	f.Fuzz(func(t *testing.T, text string) {
		lim, err := ParseQuota([]byte(text))
		if err != nil {
			return
		}
		if again, err := ParseQuota(lim.Append(nil)); err != nil || again.Count != lim.Count || again.Bytes != lim.Bytes ||
			max(again.CountHard, -1) != max(lim.CountHard, -1) || max(again.BytesHard, -1) != max(lim.BytesHard, -1) {
			t.Fatalf("%q: %+v became %+v, %v", text, lim, again, err)
		}
	})
}
