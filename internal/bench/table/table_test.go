package table

import "testing"

func TestBounds(t *testing.T) {
	for _, c := range []struct {
		b    *Bound
		v    float64
		want bool
	}{
		{AtLeast(6), 6, true},
		{AtLeast(6), 5.99, false},
		{AtMost(0.125), 0.125, true},
		{AtMost(0.125), 0.126, false},
		{AtMost(0.125), 0, false}, // not measured
	} {
		if got := c.b.Met(c.v); got != c.want {
			t.Errorf("%v with %v: %v", c.b, c.v, got)
		}
	}
}

func TestCompare(t *testing.T) {
	for _, c := range []struct {
		quorate, zk float64
		b           *Bound
		want        Row
	}{
		{1, 4, AtMost(0.25), Row{Quorate: "1.00 s", ZooKeeper: "4.00 s", Ratio: "0.250", Target: "at most 0.25 x", Met: true}},
		{2, 4, AtMost(0.25), Row{Quorate: "2.00 s", ZooKeeper: "4.00 s", Ratio: "0.500", Target: "at most 0.25 x"}},
		{2, 4, nil, Row{Quorate: "2.00 s", ZooKeeper: "4.00 s", Ratio: "0.500", Informative: true}},
		{2, 0, AtMost(0.25), Row{Quorate: "2.00 s", Target: "at most 0.25 x"}},
		{0, 4, AtMost(0.25), Row{ZooKeeper: "4.00 s", Target: "at most 0.25 x"}},
	} {
		c.want.What, c.want.Figure = "a restart", "time"
		if got := Compare("a restart", "time", c.b, c.quorate, c.zk, Seconds); got != c.want {
			t.Errorf("got  %+v\nwant %+v", got, c.want)
		}
	}
}

func TestFormats(t *testing.T) {
	for got, want := range map[string]string{
		Count(1234567):                      "1,234,567",
		Count(999):                          "999",
		Mebibytes(3 << 30):                  "3,072 MiB",
		Seconds(0.126):                      "0.13 s",
		Micros(12.34):                       "12.3 us",
		Micros(999.9):                       "1 ms",
		Micros(1_999_000):                   "2.00 s",
		Micros(1234):                        "1.23 ms",
		Seconds(Median(nil)):                "0.00 s",
		Seconds(Median([]float64{3, 1, 2})): "2.00 s",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
