package conf

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// setting is the text of one key with the place it came from.
type setting struct {
	key    *Key
	name   string // differs from key.Name for families
	text   string
	origin Origin
}

// assign reads the text into the key's field of c. A warning goes to ws where
// ZooKeeper would start with a value of its own choosing; what it would
// refuse, or silently replace by the default, is an error.
func (s setting) assign(c *Config, ws *warnings) error {
	switch field := s.key.field(c).(type) {
	case *string:
		return s.assignText(field, ws)
	case *[]string:
		*field = splitList(s.text)
	case *bool:
		return s.assignBool(field, ws)
	case *float64:
		return s.assignFloat(field)
	case *int:
		n, err := s.integer(minInt32, maxInt32, ws)
		if err != nil {
			return err
		}
		*field = int(n)
	case *int64:
		return s.assignSize(field, ws)
	case *time.Duration:
		return s.assignDuration(field, ws)
	default:
		panic(fmt.Sprintf("conf: key %s has a field of unsupported type %T", s.key.Name, field))
	}
	return nil
}

// silentFallback are the keys whose unknown texts ZooKeeper takes for the
// default without a word.
func (s setting) silentFallback() bool { return s.key.Name == "snapshot.compression.method" }

func (s setting) assignText(field *string, ws *warnings) error {
	if s.key.Choices == nil {
		*field = s.text
		return nil
	}
	for _, choice := range s.key.Choices {
		if strings.EqualFold(choice, s.text) {
			*field = choice
			return nil
		}
	}
	choices := strings.Join(nonEmpty(s.key.Choices), ", ")
	if s.silentFallback() {
		ws.add(s.origin, s.name, "%s is none of %s; the default is used", s.quoted(), choices)
		return nil
	}
	return fmt.Errorf("%s is none of %s", s.quoted(), choices)
}

func nonEmpty(list []string) []string {
	var out []string
	for _, s := range list {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

// assignBool follows the three conventions of ZooKeeper: its own keys must be
// true or false, properties are true or anything else, and a few want yes
// or no.
func (s setting) assignBool(field *bool, ws *warnings) error {
	switch {
	case s.key.YesNo:
		s.assignYesNo(field, ws)
	case strings.EqualFold(s.text, "true"):
		*field = true
	case strings.EqualFold(s.text, "false"):
		*field = false
	case s.key.Source == Own || s.key.Source == Native:
		return fmt.Errorf("%s is neither true nor false", s.quoted())
	default:
		*field = false
		ws.add(s.origin, s.name, "%s counts as false; only true switches it on", s.quoted())
	}
	return nil
}

// assignYesNo takes anything but yes and no for the harmless side: checks
// stay on, and writes stay durable. For forceSync ZooKeeper takes everything
// but "yes" for no, and so loses writes to a "true".
func (s setting) assignYesNo(field *bool, ws *warnings) {
	switch s.text {
	case "yes":
		*field = true
	case "no":
		*field = false
	default:
		*field = s.key.Name == "forceSync"
		ws.add(s.origin, s.name, "%s is neither yes nor no and counts as %s", s.quoted(), yesNo(*field))
	}
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (s setting) assignFloat(field *float64) error {
	f, err := strconv.ParseFloat(s.text, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return fmt.Errorf("%s is not a number", s.quoted())
	}
	*field = f
	return nil
}

// assignSize reads a number of bytes; keys in KiB are multiplied, except that
// a negative value keeps its meaning of "off".
func (s setting) assignSize(field *int64, ws *warnings) error {
	n, err := s.integer(math.MinInt64, math.MaxInt64, ws)
	if err != nil {
		return err
	}
	if s.key.Unit == "KiB" && n > 0 {
		if n > math.MaxInt64/1024 {
			return fmt.Errorf("%s is too large", s.quoted())
		}
		n *= 1024
	}
	*field = n
	return nil
}

var unitDurations = map[string]time.Duration{"ms": time.Millisecond, "s": time.Second, "h": time.Hour}

func (s setting) assignDuration(field *time.Duration, ws *warnings) error {
	n, err := s.integer(minInt32, maxInt32, ws)
	if err != nil {
		return err
	}
	unit := unitDurations[s.key.Unit]
	if limit := int64(math.MaxInt64 / unit); n > limit || n < -limit {
		return fmt.Errorf("%s is out of range: at most %d %s", s.quoted(), limit, s.key.Unit)
	}
	*field = time.Duration(n) * unit
	return nil
}

// integer reads a whole number and holds it against the bounds of the key, or
// those given when it has none.
func (s setting) integer(lo, hi int64, ws *warnings) (int64, error) {
	n, err := s.rawInteger()
	if err != nil {
		return 0, err
	}
	if s.key.Min != 0 || s.key.Max != 0 {
		lo, hi = s.key.Min, s.key.Max
	}
	if n < lo || n > hi {
		return 0, fmt.Errorf("%s is out of range: %d to %d", s.quoted(), lo, hi)
	}
	if s.key.ClampMin != 0 && n < s.key.ClampMin {
		ws.add(s.origin, s.name, "%d is raised to the least value, %d", n, s.key.ClampMin)
		n = s.key.ClampMin
	}
	return n, nil
}

func (s setting) rawInteger() (int64, error) {
	var n int64
	var err error
	switch {
	case s.key.Source == Native && s.key.Unit == "bytes":
		n, err = parseSize(s.text)
	case s.key.Source == Property || s.key.Source == JVM:
		n, err = parseDecoded(s.text)
	default:
		n, err = strconv.ParseInt(s.text, 10, 64)
	}
	if errors.Is(err, strconv.ErrRange) {
		return 0, fmt.Errorf("%s is out of range", s.quoted())
	}
	if err != nil {
		return 0, fmt.Errorf("%s is not a whole number%s", s.quoted(), s.sizeHint())
	}
	return n, nil
}

func (s setting) sizeHint() string {
	if s.key.Source == Native && s.key.Unit == "bytes" {
		return " of bytes, with k, m, g or t behind it for KiB, MiB, GiB or TiB"
	}
	return ""
}

// parseDecoded reads numbers as Java's Integer.decode does for system
// properties: decimal, 0x and # for hexadecimal. A leading 0 would mean octal
// there; nobody means that, so it is refused rather than guessed.
func parseDecoded(text string) (int64, error) {
	sign, digits := "", text
	if text != "" && (text[0] == '-' || text[0] == '+') {
		sign, digits = text[:1], text[1:]
	}
	base := 10
	switch {
	case strings.HasPrefix(digits, "0x"), strings.HasPrefix(digits, "0X"):
		base, digits = 16, digits[2:]
	case strings.HasPrefix(digits, "#"):
		base, digits = 16, digits[1:]
	case len(digits) > 1 && digits[0] == '0':
		return 0, strconv.ErrSyntax
	}
	if digits == "" || digits[0] == '-' || digits[0] == '+' {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseInt(sign+digits, base, 64)
}

// parseSize reads a number of bytes with an optional binary suffix: 512m, 4g,
// 4GiB. Letter case does not matter.
func parseSize(text string) (int64, error) {
	lower := strings.ToLower(strings.TrimSpace(text))
	lower = strings.TrimSuffix(strings.TrimSuffix(lower, "b"), "i")
	shift := 0
	if lower != "" {
		shift = map[byte]int{'k': 10, 'm': 20, 'g': 30, 't': 40}[lower[len(lower)-1]]
	}
	if shift > 0 {
		lower = strings.TrimSpace(lower[:len(lower)-1])
	}
	n, err := strconv.ParseInt(lower, 10, 64)
	if err != nil {
		return 0, err
	}
	if n > math.MaxInt64>>shift || n < math.MinInt64>>shift {
		return 0, strconv.ErrRange
	}
	return n << shift, nil
}

// splitList cuts a comma list; blanks around and empty elements are dropped.
func splitList(text string) []string {
	var out []string
	for _, part := range strings.Split(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// quoted is the text for a message: quoted, cut when endless, hidden when it
// is a secret.
func (s setting) quoted() string {
	const most = 60
	switch {
	case s.key.Secret:
		return "the value"
	case len(s.text) > most:
		return fmt.Sprintf("%q...", s.text[:most])
	}
	return strconv.Quote(s.text)
}
