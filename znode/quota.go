package znode

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The znodes that hold quotas: the quota of /a/b is in
// /zookeeper/quota/a/b/zookeeper_limits, its usage in zookeeper_stats beside.
const (
	QuotaRoot       = "/zookeeper/quota"
	QuotaLimitsName = "zookeeper_limits"
	QuotaStatsName  = "zookeeper_stats"
)

// ErrQuota is what parsing reports for text that is not a quota.
var ErrQuota = errors.New("znode: malformed quota")

// QuotaLimits is what a znode and everything below it may take; -1 is no
// limit. Passing a soft limit is only worth a warning.
type QuotaLimits struct {
	Count, Bytes         int64 // soft
	CountHard, BytesHard int64
}

// NoQuotaLimits restricts nothing.
var NoQuotaLimits = QuotaLimits{Count: -1, Bytes: -1, CountHard: -1, BytesHard: -1}

// QuotaUsage is what a znode and everything below it takes: znodes, itself
// included, and bytes of data.
type QuotaUsage struct {
	Count, Bytes int64
}

// quotaFields lists the keys of the text form.
func (l *QuotaLimits) quotaField(key string) *int64 {
	switch key {
	case "count":
		return &l.Count
	case "bytes":
		return &l.Bytes
	case "countHardLimit":
		return &l.CountHard
	case "byteHardLimit":
		return &l.BytesHard
	default:
		return nil
	}
}

// ParseQuota reads the text of a zookeeper_limits or zookeeper_stats znode:
// pairs key=value separated by runs of commas and semicolons. Unknown keys are
// passed over, an empty value is -1, and null or empty data has no limits. The
// error wraps [ErrQuota].
func ParseQuota(data []byte) (QuotaLimits, error) {
	lim := NoQuotaLimits
	for pair := range strings.FieldsFuncSeq(string(data), isQuotaSeparator) {
		key, value, ok := strings.Cut(pair, "=")
		// The odd "=" that ends the second pair keeps old parsers at work.
		value, _, _ = strings.Cut(value, "=")
		if !ok {
			return NoQuotaLimits, fmt.Errorf("%w: %q has no value", ErrQuota, pair)
		}
		n := int64(-1)
		if value != "" {
			var err error
			if n, err = strconv.ParseInt(value, 10, 64); err != nil {
				return NoQuotaLimits, fmt.Errorf("%w: %s is not a number: %q", ErrQuota, key, value)
			}
		}
		if f := lim.quotaField(key); f != nil {
			*f = n
		}
	}
	return lim, nil
}

func isQuotaSeparator(r rune) bool { return r == ',' || r == ';' }

// Append appends the text form; hard limits that are not set are left out.
func (l QuotaLimits) Append(dst []byte) []byte {
	dst = QuotaUsage{Count: l.Count, Bytes: l.Bytes}.Append(dst)
	if l.CountHard < 0 && l.BytesHard < 0 {
		return dst
	}
	dst = append(dst, '=')
	if l.BytesHard >= 0 {
		dst = strconv.AppendInt(append(dst, ";byteHardLimit="...), l.BytesHard, 10)
	}
	if l.CountHard >= 0 {
		dst = strconv.AppendInt(append(dst, ";countHardLimit="...), l.CountHard, 10)
	}
	return dst
}

// Append appends the text form, as zookeeper_stats holds it.
func (u QuotaUsage) Append(dst []byte) []byte {
	dst = strconv.AppendInt(append(dst, "count="...), u.Count, 10)
	return strconv.AppendInt(append(dst, ",bytes="...), u.Bytes, 10)
}

// Exceeded reports whether a change by these differences would pass a hard
// limit. A difference of 0 never does. A negative one does while the result is
// still above the limit, as in ZooKeeper.
func (l QuotaLimits) Exceeded(use QuotaUsage, count, bytes int64) bool {
	return count != 0 && l.CountHard >= 0 && use.Count+count > l.CountHard ||
		bytes != 0 && l.BytesHard >= 0 && use.Bytes+bytes > l.BytesHard
}

// QuotaTarget returns the znode whose quota a znode called
// zookeeper_limits or zookeeper_stats (limits tells which) is about. ok is
// false for any other path, and for the quota of the root, which does not
// exist.
func QuotaTarget(path []byte) (target []byte, limits, ok bool) {
	parent, name := SplitPath(path)
	target, below := bytes.CutPrefix(parent, []byte(QuotaRoot))
	if !below || len(target) < 2 || target[0] != '/' {
		return nil, false, false
	}
	limits = string(name) == QuotaLimitsName
	return target, limits, limits || string(name) == QuotaStatsName
}
