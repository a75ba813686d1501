package shell

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/quorate/quorate/wire"
)

// Where quotas lie: the limits of /a/b in /zookeeper/quota/a/b/zookeeper_limits,
// what is used beside it.
const (
	quotaRoot  = "/zookeeper/quota"
	limitsNode = "zookeeper_limits"
	statsNode  = "zookeeper_stats"
)

// noLimit marks a limit that is not set.
const noLimit = -1

// limits are those of one znode, by the letter of their option: n and b are
// the soft limits of znodes and bytes, N and B the hard ones.
type limits map[string]int64

// parseLimits reads "count=..,bytes=..=;byteHardLimit=..;countHardLimit=..";
// what is missing is not limited.
func parseLimits(text string) limits {
	l := limits{"n": noLimit, "b": noLimit, "N": noLimit, "B": noLimit}
	letters := map[string]string{"count": "n", "bytes": "b", "countHardLimit": "N", "byteHardLimit": "B"}
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ';' }) {
		key, value, _ := strings.Cut(part, "=")
		n, err := strconv.ParseInt(strings.TrimSuffix(value, "="), 10, 64)
		if letter, ok := letters[key]; ok && err == nil {
			l[letter] = n
		}
	}
	return l
}

// String is the text in the limits znode. The = before the hard limits lets
// servers that know only soft ones read it.
func (l limits) String() string {
	return fmt.Sprintf("count=%d,bytes=%d=;byteHardLimit=%d;countHardLimit=%d", l["n"], l["b"], l["B"], l["N"])
}

func (s *Shell) setQuota(args *arguments) error {
	if len(args.flags) != 1 || len(args.words) != 1 {
		return errUsage
	}
	path := args.word(0)
	if err := s.checkQuotaPath(path); err != nil {
		return err
	}
	if path == "/" {
		return errors.New("the root cannot have a quota")
	}
	letter, value := "", int64(0)
	for letter = range args.flags {
		least := map[string]int64{"n": 1, "N": 1}[letter]
		var err error
		if value, err = strconv.ParseInt(args.values[letter], 10, 64); err != nil || value < least {
			return fmt.Errorf("the quota %q is not a number of %d or more", args.values[letter], least)
		}
	}
	if err := s.checkQuotaPlace(path); err != nil {
		return err
	}
	return s.storeQuota(path, letter, value)
}

// checkQuotaPath is checkPath for the quota commands. Quotas lie outside of any
// chroot, where a session with one does not reach.
func (s *Shell) checkQuotaPath(path string) error {
	if strings.Contains(s.servers, "/") {
		return errors.New("quotas are out of reach of a session with a chroot; connect without one")
	}
	return checkPath(path)
}

// checkQuotaPlace refuses a quota that would lie above or below another.
func (s *Shell) checkQuotaPlace(path string) error {
	switch _, err := s.client.Exists(path, false); {
	case errors.Is(err, wire.ErrNoNode):
		return fmt.Errorf("%s does not exist.", path) //nolint:revive,staticcheck // zkCli's words
	case err != nil:
		return failed(err, path)
	}
	for parent := path; ; {
		if parent = parent[:strings.LastIndexByte(parent, '/')]; parent == "" {
			break
		}
		if _, err := s.client.Exists(quotaRoot+parent+"/"+limitsNode, false); err == nil {
			return fmt.Errorf("%s has a parent %s which has a quota", path, parent)
		}
	}
	below, err := s.subtreeIfAny(quotaRoot + path)
	if err != nil {
		return err
	}
	for _, node := range below {
		owner, isLimits := strings.CutSuffix(node, "/"+limitsNode)
		if owner = strings.TrimPrefix(owner, quotaRoot); isLimits && owner != path {
			return fmt.Errorf("%s has a child %s which has a quota", path, owner)
		}
	}
	return nil
}

// subtreeIfAny is subtree; a missing root has none.
func (s *Shell) subtreeIfAny(root string) ([]string, error) {
	if _, err := s.client.Exists(root, false); errors.Is(err, wire.ErrNoNode) {
		return nil, nil
	}
	return s.subtree(root)
}

func (s *Shell) storeQuota(path, letter string, value int64) error {
	node := quotaRoot + path + "/" + limitsNode
	old, stat, err := s.client.Get(node, false)
	switch {
	case err == nil:
		changed := parseLimits(string(old))
		changed[letter] = value
		_, err = s.client.Set(node, []byte(changed.String()), stat.Version)
		err = failed(err, node)
	case errors.Is(err, wire.ErrNoNode):
		fresh := parseLimits("")
		fresh[letter] = value
		err = s.createQuota(path, fresh)
	default:
		err = failed(err, node)
	}
	if err == nil {
		s.warnExceeded(path, letter, value)
	}
	return err
}

// createQuota makes the znodes of a quota and those above them.
func (s *Shell) createQuota(path string, l limits) error {
	parent := quotaRoot
	for _, name := range strings.Split(path[1:], "/") {
		parent = join(parent, name)
		if _, err := s.client.Create(parent, nil, openACL, wire.FlagPersistent, -1); err != nil && !errors.Is(err, wire.ErrNodeExists) {
			return failed(err, parent)
		}
	}
	for _, node := range []struct{ name, data string }{{limitsNode, l.String()}, {statsNode, "count=0,bytes=0"}} {
		full := join(parent, node.name)
		_, err := s.client.Create(full, []byte(node.data), openACL, wire.FlagPersistent, -1)
		if err != nil && !errors.Is(err, wire.ErrNodeExists) {
			return failed(err, full)
		}
	}
	return nil
}

// warnExceeded tells when more is used than the new limit allows.
func (s *Shell) warnExceeded(path, letter string, value int64) {
	data, _, err := s.client.Get(quotaRoot+path+"/"+statsNode, false)
	if err != nil {
		return // the limit is set; this was only courtesy
	}
	used, what := parseLimits(string(data))["n"], "count"
	if letter == "b" || letter == "B" {
		used, what = parseLimits(string(data))["b"], "bytes"
	}
	if used > value {
		s.errorf("[Warning]: the %s quota you create is less than the existing %s:%d\n", what, what, used)
	}
}

func (s *Shell) listQuota(args *arguments) error {
	path := args.word(0)
	if err := s.checkQuotaPath(path); err != nil {
		return err
	}
	node := quotaRoot + strings.TrimSuffix(path, "/") + "/" + limitsNode
	s.errorf("absolute path is %s\n", node)
	quota, _, err := s.client.Get(node, false)
	if errors.Is(err, wire.ErrNoNode) {
		s.errorf("quota for %s does not exist.\n", path)
		return nil
	}
	if err != nil {
		return failed(err, node)
	}
	s.printf("Output quota for %s %s\n", path, quota)
	node = strings.TrimSuffix(node, limitsNode) + statsNode
	stats, _, err := s.client.Get(node, false)
	if err != nil {
		return failed(err, node)
	}
	s.printf("Output stat for %s %s\n", path, stats)
	return nil
}

func (s *Shell) delQuota(args *arguments) error {
	path := args.word(0)
	if err := s.checkQuotaPath(path); err != nil {
		return err
	}
	if len(args.flags) > 1 {
		return errUsage
	}
	node := quotaRoot + strings.TrimSuffix(path, "/") + "/" + limitsNode
	old, stat, err := s.client.Get(node, false)
	if errors.Is(err, wire.ErrNoNode) {
		s.printf("Quota does not exist for %s\n", path)
		return nil
	}
	if err != nil {
		return failed(err, node)
	}
	for letter := range args.flags {
		changed := parseLimits(string(old))
		changed[letter] = noLimit
		_, err := s.client.Set(node, []byte(changed.String()), stat.Version)
		return failed(err, node)
	}
	return s.removeQuota(path)
}

// removeQuota deletes the znodes of a quota, and those above that nothing else
// needs.
func (s *Shell) removeQuota(path string) error {
	parent := quotaRoot + path
	for _, name := range []string{limitsNode, statsNode} {
		if err := s.client.Delete(join(parent, name), -1); err != nil && !errors.Is(err, wire.ErrNoNode) {
			return failed(err, join(parent, name))
		}
	}
	for parent != quotaRoot {
		err := s.client.Delete(parent, -1)
		if errors.Is(err, wire.ErrNotEmpty) {
			return nil
		}
		if err != nil && !errors.Is(err, wire.ErrNoNode) {
			return failed(err, parent)
		}
		parent = parent[:strings.LastIndexByte(parent, '/')]
	}
	return nil
}
