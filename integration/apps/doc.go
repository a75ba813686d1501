// Command apps runs applications that keep their state in ZooKeeper, unchanged and as their users get them, on an
// ensemble of three Quorate servers, and disturbs both: Kafka 3.9 (the last line that needs ZooKeeper), ClickHouse with
// replicated tables, and PostgreSQL under Patroni. It prints what it did and what the applications did:
//
//	go run ./integration/apps
//
// Each application works, goes on while the leader of the ensemble is killed, which none may notice, goes on when that
// server is back, and then loses a process of its own, so that an ephemeral has to expire before another takes over.
//
// Kafka is fetched from Maven Central by mvn; the others are Debian's packages clickhouse-server, clickhouse-client,
// patroni and postgresql. What is missing is an error, not a success. With -java the ensemble is ZooKeeper's own, to see
// what is to be expected.
package main
