// Package mixed holds the tests of ensembles whose members are of two kinds:
// Quorate and a release of Apache ZooKeeper. Stock clients use every member
// while servers are killed, synchronized and led by one kind or the other; at the
// end nothing acknowledged is lost, histories are linearizable, all trees and
// their digests are equal, and no Java server has noticed anything.
//
// observer_test.go has a Quorate observer of Java servers, voter_test.go a Quorate
// follower without whose acknowledgement nothing is committed and which is killed
// at every step of a synchronization (package crash), truncate_test.go the
// same where the leader truncates, leader_test.go an ensemble led by
// one kind and the other in turn. What they share is in world_test.go, clients
// that do what those of package witness do not are in churn_test.go.
//
// While the tree of a snapshot is made aside no leader sees anything of it, so that
// one release and one kind of leader are enough for most steps of that.
//
// In a normal run it is Debian's release and a few of the steps. With
// QUORATE_MIXED=all (make mixed) it is every release of [ensemble.Releases]
// and every step; with a release, such as QUORATE_MIXED=3.9, a normal run with that one.
//
// A step takes 3 to 6 s on two busy processors, most of it the start of a JVM or
// an election. So it is for each release about 1 minute of TestObserver, 2 of TestTruncate
// (17 steps), 3 of TestLeader, and of TestVoter 2 by DIFF (30 steps) and 4 to 6 by SNAP
// (60 steps, and with the first release 50 more). One part of it is
//
//	QUORATE_MIXED=all go test -timeout 1h -run '^TestVoter$/^SNAP$/^3.9$' -v ./integration/mixed
package mixed
