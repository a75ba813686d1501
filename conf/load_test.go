package conf

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/zab/members"
)

// loadText loads a configuration file with the given text from a directory of
// its own. $DIR in the text stands for that directory, which exists.
func loadText(t *testing.T, text string, env, sets []string) (*Config, []Warning, error) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "zoo.cfg")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "$DIR", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(path, env, sets)
}

func mustLoad(t *testing.T, text string, env, sets []string) (*Config, []Warning) {
	t.Helper()
	c, warnings, err := loadText(t, text, env, sets)
	if err != nil {
		t.Fatal(err)
	}
	return c, warnings
}

func TestDefaultIsStandaloneOnLoopback(t *testing.T) {
	c := Default()
	if c.ClientPort != 2181 || c.ClientPortAddress != "127.0.0.1" || c.DataDir != "data" || c.DataLogDir != "data" {
		t.Errorf("listens on %s:%d with data in %s and %s", c.ClientPortAddress, c.ClientPort, c.DataDir, c.DataLogDir)
	}
	if c.Distributed() {
		t.Error("is part of an ensemble")
	}
	if c.TickTime != 3*time.Second || c.MinSessionTimeout != 6*time.Second || c.MaxSessionTimeout != 60*time.Second {
		t.Errorf("tick %v, sessions %v to %v", c.TickTime, c.MinSessionTimeout, c.MaxSessionTimeout)
	}
	if c.MaxBufferBytes != 1048575 || c.MaxBufferExtraBytes != 1048575 || c.OversizedRequestBytesMax != 64<<20 {
		t.Errorf("jute.maxbuffer %d + %d, oversized up to %d", c.MaxBufferBytes, c.MaxBufferExtraBytes, c.OversizedRequestBytesMax)
	}
	if c.MultiReadBytesMax != 64<<20 || c.WatchBytesMax != 128<<20 {
		t.Errorf("bytes for the answer to a multiRead %d, for watches %d", c.MultiReadBytesMax, c.WatchBytesMax)
	}
	if !c.ForceSync || !c.DigestEnabled || !c.Auth.DigestEnabled || c.Auth.SkipACL || c.EnforceQuota || c.ExtendedTypesEnabled {
		t.Errorf("switches: %+v", c)
	}
	if c.PreAllocBytes != 64<<20 || c.SnapCount != 100000 || c.SnapSizeLimitBytes != 4<<30 || c.TxnLogSizeLimitBytes != -1 {
		t.Errorf("log: prealloc %d, snapCount %d, limits %d %d", c.PreAllocBytes, c.SnapCount, c.SnapSizeLimitBytes, c.TxnLogSizeLimitBytes)
	}
	if c.Tree.BudgetBytes < 1<<20 {
		t.Errorf("tree budget %d bytes", c.Tree.BudgetBytes)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func TestLaterLayersWin(t *testing.T) {
	file := "dataDir=/x\nclientPort=1\nsnapCount=10\ntickTime=100\nmaxCnxns=1\n"
	env := []string{"QUORATE_SNAPCOUNT=20", "QUORATE_TICKTIME=200", "QUORATE_MAXCNXNS=", "HOME=/root"}
	c, _ := mustLoad(t, file, env, []string{"tickTime=300", "zookeeper.maxResponseCacheSize=7"})
	if c.ClientPort != 1 || c.SnapCount != 20 || c.TickTime != 300*time.Millisecond {
		t.Errorf("clientPort %d (file), snapCount %d (environment), tickTime %v (--set)", c.ClientPort, c.SnapCount, c.TickTime)
	}
	if c.MaxCnxns != 1 {
		t.Errorf("an empty variable changed maxCnxns to %d", c.MaxCnxns)
	}
	if c.MaxResponseCacheSize != 7 {
		t.Errorf("--set with the zookeeper. prefix was not taken: %d", c.MaxResponseCacheSize)
	}
	for key, want := range map[string]string{
		"clientPort": c.Path + ":2", "snapCount": "environment variable QUORATE_SNAPCOUNT",
		"tickTime": "--set tickTime", "syncLimit": "default",
	} {
		if got := c.Origin(key).String(); got != want {
			t.Errorf("%s comes from %q, want %q", key, got, want)
		}
	}
}

func TestPairsMustHaveTheRightForm(t *testing.T) {
	_, _, err := Load("", nil, []string{"tickTime", "=3", "tickTime=2000"})
	e := ErrorOf(err)
	if e == nil || len(e.Faults) != 2 {
		t.Fatalf("error %v, want two faults", err)
	}
	if got := e.Faults[0].String(); got != "--set tickTime: must have the form key=value" {
		t.Errorf("fault %q", got)
	}
}

func TestSecretsStayOutOfMessages(t *testing.T) {
	pair := "DigestAuthenticationProvider.superDigest=super:topsecret"
	_, ws, err := Load("", []string{"QUORATE_SSL_KEYSTORE_PASSWORD=topsecret"}, []string{pair, "tickTime=0"})
	if err == nil {
		t.Fatal("tickTime=0 was accepted")
	}
	if all := err.Error() + warningText(ws); strings.Contains(all, "topsecret") {
		t.Error(all)
	}
}

func TestUnknownVariablesAreWarnedAboutAndForeignOnesAreNot(t *testing.T) {
	env := []string{
		"QUORATE_TICKTIMES=1", "PATH=/bin", "QUORATE_INTEROP=required",
		// what Kubernetes sets for services called quorate and quorate-server
		"QUORATE_SERVICE_HOST=10.0.0.1", "QUORATE_PORT=tcp://10.0.0.1:2181", "QUORATE_SERVER_PORT=tcp://10.0.0.1:2181",
	}
	_, ws, err := Load("", env, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(ws) != 1 || ws[0].Origin.Env != "QUORATE_TICKTIMES" {
		t.Errorf("warnings: %v", ws)
	}
}

func TestVariablesSetMembers(t *testing.T) {
	env := []string{
		"QUORATE_SERVER_1=a:1:2;3", "QUORATE_SERVER_2=b:1:2;3", "QUORATE_GROUP_1=1:2", "QUORATE_WEIGHT_1=5",
		"QUORATE_AUTHPROVIDER_1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider",
	}
	c, _ := mustLoad(t, "dataDir=$DIR\ninitLimit=1\nsyncLimit=1\n", append(env, "QUORATE_DATADIR=testdata/data1"), nil)
	if got := c.Quorum.Text(); got != "server.1=a:1:2:participant;0.0.0.0:3\nserver.2=b:1:2:participant;0.0.0.0:3\ngroup.1=1:2\nweight.1=5\nversion=0" {
		t.Errorf("members:\n%s", got)
	}
	if !c.Distributed() || c.Auth.Providers["1"] == "" {
		t.Errorf("distributed %v, providers %v", c.Distributed(), c.Auth.Providers)
	}
}

func TestSASLRequirementIsASchemeWithAProvider(t *testing.T) {
	sets := []string{"sessionRequireClientSASLAuth=true"}
	if _, _, err := Load("", nil, sets); err == nil || !strings.Contains(err.Error(), `"sasl" has no provider`) {
		t.Errorf("error %v", err)
	}
	sets = append(sets, "authProvider.x=org.apache.zookeeper.server.auth.SASLAuthenticationProvider")
	if _, _, err := Load("", nil, sets); err != nil {
		t.Error(err)
	}
}

// TestProvidersThatAreNotServedAreToldOf: those that are need no warning.
func TestProvidersThatAreNotServedAreToldOf(t *testing.T) {
	const pkg = "org.apache.zookeeper.server.auth."
	c, ws, err := Load("", nil, []string{
		"authProvider.1=" + pkg + "EnsembleAuthenticationProvider", "authProvider.2=" + pkg + "DigestAuthenticationProvider",
		"authProvider.3=com.example.Provider", "ensembleAuthName=a, b",
	})
	if err != nil || len(ws) != 1 || !strings.Contains(ws[0].String(), "authProvider.3") {
		t.Errorf("%v, error %v", ws, err)
	}
	if names := c.Auth.EnsembleNames; !slices.Equal(names, []string{"a", "b"}) {
		t.Errorf("%q", names)
	}
}

func TestObserverPropertyBeatsOwnKey(t *testing.T) {
	for _, tc := range []struct {
		sets []string
		want bool
	}{
		{nil, true},
		{[]string{"syncEnabled=false"}, false},
		{[]string{"syncEnabled=false", "observer.syncEnabled=true"}, true},
		{[]string{"observer.syncEnabled=false"}, false},
	} {
		c, _, err := Load("", nil, tc.sets)
		if err != nil || c.Quorum.ObserverSyncEnabled != tc.want {
			t.Errorf("%v: %v, error %v", tc.sets, c, err)
		}
	}
}

func TestValidateReportsEverythingSetByHand(t *testing.T) {
	c := Default()
	c.TickTime, c.DataDir, c.MaxCnxns, c.MinSessionTimeout = 0, "", -1, time.Hour
	e := ErrorOf(c.Validate())
	if e == nil {
		t.Fatal("accepted")
	}
	for _, key := range []string{"tickTime", "dataDir", "maxCnxns", "minSessionTimeout"} {
		if !strings.Contains(e.Error(), key+": ") && !strings.Contains(e.Error(), key+" ") {
			t.Errorf("nothing about %s in %v", key, e)
		}
	}
}

func TestFourLetterWordAllowed(t *testing.T) {
	c := &Config{}
	for word, want := range map[string]bool{"srvr": true, "ruok": false, "isro": false} {
		if got := c.FourLetterWordAllowed(word); got != want {
			t.Errorf("empty whitelist, %s: %v", word, got)
		}
	}
	c.ReadOnlyMode, c.FourLetterWords = true, []string{"ruok"}
	for word, want := range map[string]bool{"srvr": true, "ruok": true, "isro": true, "RUOK": false, "mntr": false} {
		if got := c.FourLetterWordAllowed(word); got != want {
			t.Errorf("whitelist of ruok in read-only mode, %s: %v", word, got)
		}
	}
	c.FourLetterWords = []string{"*"}
	if !c.FourLetterWordAllowed("mntr") {
		t.Error("* does not allow mntr")
	}
}

func TestOutstandingLimitIsSharedInAnEnsemble(t *testing.T) {
	c := Default()
	c.Quorum.Members = make([]members.Member, 5)
	if got := c.OutstandingLimit(); got != 0 {
		t.Errorf("without a limit: %d", got)
	}
	c.Throttle.GlobalOutstandingLimit = 1000
	c.Quorum.Members = nil
	if got := c.OutstandingLimit(); got != 1000 {
		t.Errorf("standalone: %d", got)
	}
	c.Quorum.Members = make([]members.Member, 5)
	if got := c.OutstandingLimit(); got != 250 {
		t.Errorf("five voters: %d", got)
	}
}

// TestLargeRequestLimitsAreMadeGood: what ZooKeeper takes for no limit is none, with a
// warning.
func TestLargeRequestLimitsAreMadeGood(t *testing.T) {
	c, ws, err := Load("", nil, []string{"largeRequestThreshold=-7", "largeRequestMaxBytes=0"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Throttle.LargeRequestThresholdBytes != -1 || c.Throttle.LargeRequestMaxBytes != 100<<20 || len(ws) != 2 {
		t.Errorf("%d of %d, %v", c.Throttle.LargeRequestThresholdBytes, c.Throttle.LargeRequestMaxBytes, ws)
	}
}

// FuzzLoad feeds whole files, a variable and a pair; nothing may panic, and
// what is accepted must be valid.
func FuzzLoad(f *testing.F) {
	for _, kind := range []string{"good", "bad"} {
		paths, _ := filepath.Glob(filepath.Join("testdata", kind, "*.cfg"))
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text, "QUORATE_SERVER_1=a:1:2", "snapCount=5")
		}
	}
	f.Fuzz(func(t *testing.T, text []byte, variable, pair string) {
		// Every path gives the same text: the main file, the dynamic file and
		// myid alike.
		l := newLoader(func(string) ([]byte, error) { return text, nil })
		c, _, err := l.load("fuzz.cfg", []string{variable}, []string{pair})
		if err != nil {
			if e := ErrorOf(err); e == nil || len(e.Faults) == 0 {
				t.Fatalf("error %#v lists no fault", err)
			}
			return
		}
		if err := c.Validate(); err != nil {
			t.Errorf("loaded, yet %v", err)
		}
		_ = c.Text(Running{})
	})
}

func TestOnlyWhatAsksForServiceIsWarnedAbout(t *testing.T) {
	sets := []string{
		"admin.enableServer=false", "admin.serverPort=8080", "sslQuorum=false", "initLimit=10",
		"admin.forceHttps=true", "secureClientPort=2281", "readonlymode.enabled=true",
	}
	_, ws, err := Load("", nil, sets)
	if err != nil {
		t.Fatal(err)
	}
	want := "warning: --set admin.forceHttps: is accepted, but this version does not serve it\n" +
		"warning: --set secureClientPort: is accepted, but this version does not serve it\n"
	if got := warningText(ws); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestAServerMustBeInItsOwnList(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "zoo.cfg")
	text := "dataDir=" + dir + "\nclientPort=2181\ninitLimit=10\nsyncLimit=5\nserver.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\n"
	for path, text := range map[string]string{file: text, filepath.Join(dir, "myid"): "7\n"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := Load(file, nil, nil)
	if want := "myid:1: myid: server 7 is not in the member list"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

func TestJVMFlags(t *testing.T) {
	file := filepath.Join(t.TempDir(), "zoo.cfg")
	if err := os.WriteFile(file, []byte("dataDir=/tmp/x\nclientPort=2181\nsnapCount=700\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	env := []string{
		"JVMFLAGS=-Xmx1g -Djute.maxbuffer=0x200000 -Dzookeeper.forceSync=no -Dzookeeper.clientPort=1 -D -D=x",
		"SERVER_JVMFLAGS=-Dzookeeper.snapCount=500  -Dzookeeper.maxCnxns=9 -Dzookeeper.forceSync=yes -Dmaxcnxns=5 " +
			"-Dfsync.warningthresholdms=7 -Dzookeeper.jute.maxbuffer=5 -Dzookeeper.root.logger=INFO -Dzookeeper.tickTime=5",
		"MY_JVMFLAGS=-Dzookeeper.maxCnxns=11",
	}
	c, ws, err := Load(file, env, []string{"preAllocSize=4"})
	if err != nil {
		t.Fatal(err)
	}
	if c.SnapCount != 700 || c.MaxCnxns != 9 || c.ForceSync || c.MaxBufferBytes != 0x200000 || c.FsyncWarningThreshold != 7*time.Millisecond {
		t.Errorf("snapCount %d, maxCnxns %d, forceSync %v, jute.maxbuffer %d, fsync.warningthresholdms %v",
			c.SnapCount, c.MaxCnxns, c.ForceSync, c.MaxBufferBytes, c.FsyncWarningThreshold)
	}
	if c.ClientPort != 2181 || c.TickTime != 3*time.Second {
		t.Errorf("own keys are no properties: clientPort %d, tickTime %v", c.ClientPort, c.TickTime)
	}
	if c.Properties["zookeeper.root.logger"] != "INFO" || c.Properties["zookeeper.maxCnxns"] != "9" || c.Properties["zookeeper.snapCount"] != "700" {
		t.Errorf("properties %v", c.Properties)
	}
	if len(ws) != 0 {
		t.Errorf("warnings:\n%s", warningText(ws))
	}
	_, _, err = Load(file, []string{"JVMFLAGS=-Dzookeeper.maxCnxns=many"}, nil)
	if want := "-Dzookeeper.maxCnxns in JVMFLAGS: maxCnxns: "; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}
