//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/quorate/quorate/integration/ensemble"
)

// kafkaVersion is the last release that can be run on ZooKeeper.
const kafkaVersion = "3.9.1"

const kafkaPOM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion><groupId>none</groupId><artifactId>none</artifactId><version>1</version><dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>` + kafkaVersion + `</version></dependency>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>` + kafkaVersion + `</version></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
</dependencies></project>
`

// kafka is two brokers and a topic of six partitions, each on both.
type kafka struct {
	classpath string
	dir       string
	ports     []int
	brokers   []*daemon
	turns     int
}

// messages is how many are sent and received in each turn.
const messages = 2000

func (k *kafka) start(dir string, servers []string) (err error) {
	k.dir = dir
	if k.classpath, err = fetchKafka(dir); err != nil {
		return err
	}
	if k.ports, err = freePorts(2); err != nil {
		return err
	}
	for i, port := range k.ports {
		config := fmt.Sprintf(`broker.id=%d
listeners=PLAINTEXT://127.0.0.1:%d
log.dirs=%s
zookeeper.connect=%s/kafka
zookeeper.session.timeout.ms=6000
offsets.topic.replication.factor=2
default.replication.factor=2
num.partitions=6
group.initial.rebalance.delay.ms=0
`, i+1, port, filepath.Join(dir, fmt.Sprint("data", i+1)), strings.Join(servers, ","))
		file := filepath.Join(dir, fmt.Sprintf("broker%d.properties", i+1))
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			return err
		}
		b, err := startDaemon(filepath.Join(dir, fmt.Sprintf("broker%d.log", i+1)), k.java("kafka.Kafka", file))
		if err != nil {
			return err
		}
		k.brokers = append(k.brokers, b)
	}
	return ensemble.Await("Kafka to make a topic", func() error {
		_, err := k.tool("TopicCommand", "--create", "--topic", "t", "--if-not-exists", "--replication-factor", "2")
		return err
	})
}

// fetchKafka has Maven fetch Kafka and all it needs, into Maven's own cache.
func fetchKafka(dir string) (classpath string, err error) {
	pom, file := filepath.Join(dir, "pom.xml"), filepath.Join(dir, "classpath")
	if err := os.WriteFile(pom, []byte(kafkaPOM), 0o600); err != nil {
		return "", err
	}
	if _, err := run("mvn", "-q", "-B", "-f", pom, "dependency:build-classpath", "-Dmdep.outputFile="+file); err != nil {
		return "", fmt.Errorf("fetching Kafka %s: %w", kafkaVersion, err)
	}
	b, err := os.ReadFile(file)
	return strings.TrimSpace(string(b)), err
}

func (k *kafka) java(args ...string) *exec.Cmd {
	return exec.Command("java", append([]string{"-Xmx384m", "-cp", k.classpath}, args...)...)
}

// tool runs one of Kafka's own.
func (k *kafka) tool(class string, args ...string) (string, error) {
	var bootstrap []string
	for _, p := range k.ports {
		bootstrap = append(bootstrap, fmt.Sprint("127.0.0.1:", p))
	}
	return run("java", append([]string{
		"-Xmx128m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", k.classpath,
		"org.apache.kafka.tools." + class, "--bootstrap-server", strings.Join(bootstrap, ","),
	}, args...)...)
}

// use sends messages that every replica in sync has to take, and receives all there are.
func (k *kafka) use() error {
	k.turns++
	out, err := k.tool("VerifiableProducer", "--topic", "t", "--acks", "-1", "--max-messages", strconv.Itoa(messages))
	if err != nil {
		return err
	}
	if n := strings.Count(out, `"name":"producer_send_success"`); n != messages {
		return fmt.Errorf("%d of %d messages were acknowledged", n, messages)
	}
	want := k.turns * messages
	out, err = k.tool("VerifiableConsumer", "--topic", "t", "--group-id", fmt.Sprint("group", k.turns), "--reset-policy", "earliest",
		"--max-messages", strconv.Itoa(want))
	if err != nil {
		return err
	}
	if n := received(out); n != want {
		return fmt.Errorf("%d messages were received, %d were acknowledged", n, want)
	}
	return nil
}

var consumed = regexp.MustCompile(`"name":"records_consumed".*?"count":(\d+)|"count":(\d+).*?"name":"records_consumed"`)

// received adds up what a VerifiableConsumer says it has received.
func received(out string) (n int) {
	for line := range strings.Lines(out) {
		if m := consumed.FindStringSubmatch(line); m != nil {
			i, _ := strconv.Atoi(m[1] + m[2])
			n += i
		}
	}
	return n
}

// lose kills a broker; its ephemeral expires, and the other leads all partitions.
func (k *kafka) lose() error {
	k.brokers[0].kill()
	return ensemble.Await("the other broker to lead", func() error {
		out, err := k.tool("TopicCommand", "--describe", "--topic", "t")
		if err == nil && strings.Count(out, "Leader: 2") != 6 {
			err = errors.New("broker 2 does not lead all partitions: " + out)
		}
		return err
	})
}

var kafkaNotices = regexp.MustCompile(`(?i)session .*expired`)

func (k *kafka) noticed() (all []string, err error) {
	for _, b := range k.brokers {
		lines, e := b.matching(kafkaNotices)
		all, err = append(all, lines...), errors.Join(err, e)
	}
	return all, err
}

func (k *kafka) stop() {
	for _, b := range k.brokers {
		b.kill()
	}
}
