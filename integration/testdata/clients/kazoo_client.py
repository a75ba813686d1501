"""Uses a server through kazoo: python3 kazoo_client.py host:port part

Parts: "operations" (every request kazoo can send), "recipes" (lock, election,
queue, barrier, counter, party and more, each with several clients) and
"sessions" (expiry seen by others, resuming, chroot, authentication).
Prints one line per thing done; any surprise ends it with a traceback.
"""

import sys
import threading
import uuid

from kazoo.client import KazooClient
from kazoo.exceptions import (
    BadVersionError,
    InvalidACLError,
    NoAuthError,
    NoChildrenForEphemeralsError,
    NodeExistsError,
    NoNodeError,
    NotEmptyError,
)
from kazoo.protocol.states import EventType
from kazoo.security import make_acl, make_digest_acl

HOSTS = sys.argv[1]
PATIENCE = 60
OPEN = []


def client(**options):
    zk = KazooClient(hosts=HOSTS, timeout=10, **options)
    zk.start(timeout=PATIENCE)
    OPEN.append(zk)
    return zk


def stop(zk):
    OPEN.remove(zk)
    zk.stop()
    zk.close()


def refused(error, call, *args, **kwargs):
    try:
        got = call(*args, **kwargs)
    except error:
        return
    raise AssertionError("%r instead of %s" % (got, error.__name__))


def done(what):
    print("ok", what, flush=True)


class Events:
    """Collects watch events and waits for them."""

    def __init__(self):
        self.all = []
        self.changed = threading.Condition()

    def __call__(self, event):
        with self.changed:
            self.all.append((event.type, event.path))
            self.changed.notify_all()

    def wait(self, *want):
        want = list(want)
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.all) >= len(want), PATIENCE), self.all
            assert self.all == want, "%r, want %r" % (self.all, want)


def crud():
    a, b = client(), client()
    assert a.create("/kz", b"root") == "/kz"
    refused(NodeExistsError, a.create, "/kz", b"")
    refused(NoNodeError, a.create, "/none/child", b"")
    assert a.create("/kz/a/b/c", b"deep", makepath=True) == "/kz/a/b/c"
    path, stat = a.create("/kz/two", b"xyz", include_data=True)
    assert path == "/kz/two" and stat.version == 0 and stat.data_length == 3
    data, stat = b.get("/kz/two")
    assert data == b"xyz" and stat.czxid == stat.mzxid == stat.pzxid
    again = b.set("/kz/two", b"", version=0)
    assert again.version == 1 and again.mzxid > stat.mzxid and again.data_length == 0
    refused(BadVersionError, b.set, "/kz/two", b"q", version=0)
    assert b.exists("/kz/nowhere") is None
    assert b.exists("/kz/two").version == 1
    names, stat = a.get_children("/kz", include_data=True)
    assert sorted(names) == ["a", "two"] == sorted(a.get_children("/kz")), names
    assert stat.cversion == 2 and stat.numChildren == 2
    refused(NotEmptyError, a.delete, "/kz")
    refused(NoNodeError, a.delete, "/kz/nowhere")
    refused(BadVersionError, a.delete, "/kz/two", version=7)
    assert a.sync("/kz") == "/kz"
    e = a.create("/kz/e", b"", ephemeral=True)
    assert b.exists(e).ephemeralOwner == a.client_id[0]
    refused(NoChildrenForEphemeralsError, a.create, "/kz/e/x", b"")
    names = [a.create("/kz/s-", sequence=True) for _ in range(3)]
    assert names == ["/kz/s-%010d" % n for n in (3, 4, 5)], names
    assert a.create("/kz/q-", ephemeral=True, sequence=True) > "/kz/q-"
    a.ensure_path("/kz/x/y/z")
    a.delete("/kz/a", recursive=True)
    assert a.exists("/kz/a") is None
    done("create, get, set, exists, children, delete, sync")


def acls():
    a, b = client(), client()
    a.add_auth("digest", "bob:pw")
    a.create("/kz-acl", b"s", acl=[make_digest_acl("bob", "pw", all=True)])
    refused(NoAuthError, b.get, "/kz-acl")
    assert a.get("/kz-acl")[0] == b"s"
    stat = a.set_acls("/kz-acl", [make_digest_acl("bob", "pw", all=True), make_acl("world", "anyone", read=True)])
    assert stat.aversion == 1
    assert b.get("/kz-acl")[0] == b"s"
    entries, _ = b.get_acls("/kz-acl")
    assert [e.id.id for e in entries] == ["bob:x", "anyone"], entries
    refused(NoAuthError, b.set, "/kz-acl", b"")
    refused(InvalidACLError, a.create, "/kz-bad", b"", acl=[make_acl("nobody", "knows", all=True)])
    a.delete("/kz-acl")
    done("authentication and ACLs")


def transactions():
    a = client()
    t = a.transaction()
    t.create("/kz-t", b"1")
    t.set_data("/kz-t", b"2", version=0)
    t.check("/kz-t", 1)
    t.create("/kz-t/n-", sequence=True)
    t.delete("/kz-t/n-0000000000")
    results = t.commit()
    assert results[0] == "/kz-t" and results[1].version == 1 and results[2:] == [True, "/kz-t/n-0000000000", True], results
    t = a.transaction()
    t.create("/kz-t/a")
    t.delete("/kz-t/none")
    t.create("/kz-t/b")
    kinds = [type(r).__name__ for r in t.commit()]
    assert kinds == ["RolledBackError", "NoNodeError", "RuntimeInconsistency"], kinds
    assert a.get_children("/kz-t") == []
    a.delete("/kz-t")
    done("transactions")


def watches():
    a, b = client(), client()
    ev = Events()
    assert a.exists("/kz-w", watch=ev) is None
    b.create("/kz-w", b"")
    ev.wait((EventType.CREATED, "/kz-w"))
    ev = Events()
    a.get("/kz-w", watch=ev)
    b.set("/kz-w", b"1")
    b.set("/kz-w", b"2")
    ev.wait((EventType.CHANGED, "/kz-w"))
    ev = Events()
    a.get_children("/kz-w", watch=ev)
    b.create("/kz-w/c", b"")
    ev.wait((EventType.CHILD, "/kz-w"))
    ev = Events()
    a.get("/kz-w/c", watch=ev)
    b.delete("/kz-w/c")
    ev.wait((EventType.DELETED, "/kz-w/c"))
    seen = []
    two = threading.Event()

    @a.DataWatch("/kz-w")
    def data(value, stat):
        seen.append(value)
        if len(seen) == 2:
            two.set()

    b.set("/kz-w", b"3")
    assert two.wait(PATIENCE) and seen == [b"2", b"3"], seen
    lists = []
    grown = threading.Event()

    @a.ChildrenWatch("/kz-w")
    def children(names):
        lists.append(sorted(names))
        if lists[-1] == ["x", "y"]:
            grown.set()

    b.create("/kz-w/x")
    b.create("/kz-w/y")
    assert grown.wait(PATIENCE) and lists[0] == [], lists
    b.delete("/kz-w", recursive=True)
    done("watches")


def session():
    a = client()
    a.create("/kz-s", b"")
    own = client()
    own.create("/kz-s/e", b"", ephemeral=True)
    ev = Events()
    a.exists("/kz-s/e", watch=ev)
    stop(own)
    ev.wait((EventType.DELETED, "/kz-s/e"))
    own = client()
    own.create("/kz-s/e", b"", ephemeral=True)
    ident, lost = own.client_id, threading.Event()
    # Cut the socket under the client: it must come back with the same session.
    back = threading.Event()
    own.add_listener(lambda s: (lost if s == "SUSPENDED" else back).set() if s in ("SUSPENDED", "CONNECTED") else None)
    back.clear()
    own._connection._socket.shutdown(2)
    assert lost.wait(PATIENCE) and back.wait(PATIENCE)
    assert own.client_id == ident and a.exists("/kz-s/e").ephemeralOwner == ident[0]
    in_root = client()
    in_root.ensure_path("/kz-s/app")
    inside = KazooClient(hosts=HOSTS + "/kz-s/app", timeout=10)
    inside.start(timeout=PATIENCE)
    OPEN.append(inside)
    assert inside.create("/n", b"") == "/n" and a.exists("/kz-s/app/n")
    assert inside.get_children("/") == ["n"]
    stop(own)
    a.delete("/kz-s", recursive=True)
    done("sessions and chroot")


def lock():
    clients = [client() for _ in range(3)]
    holders, most, count = [0], [0], [0]
    guard = threading.Lock()

    def work(zk):
        for _ in range(5):
            with zk.Lock("/kzr/lock", uuid.uuid4().hex):
                with guard:
                    holders[0] += 1
                    most[0] = max(most[0], holders[0])
                count[0] += 1  # unguarded on purpose: the lock protects it
                with guard:
                    holders[0] -= 1

    run_all(work, clients)
    assert most == [1] and count == [15], (most, count)
    first, second = clients[0].Lock("/kzr/lock2", "one"), clients[1].Lock("/kzr/lock2", "two")
    assert first.acquire() and not second.acquire(blocking=False)
    assert second.contenders() == ["one"]
    first.release()
    assert second.acquire(timeout=PATIENCE)
    second.release()
    done("lock")


def run_all(work, clients):
    faults = []

    def guarded(zk):
        try:
            work(zk)
        except BaseException as e:  # reported by the main thread
            faults.append(e)

    threads = [threading.Thread(target=guarded, args=(zk,), daemon=True) for zk in clients]
    for t in threads:
        t.start()
    for t in threads:
        t.join(PATIENCE)
        assert not t.is_alive(), "a thread hangs"
    if faults:
        raise faults[0]


def read_write_locks():
    a, b = client(), client()
    r1, r2, w = a.ReadLock("/kzr/rw"), b.ReadLock("/kzr/rw"), b.WriteLock("/kzr/rw")
    assert r1.acquire() and r2.acquire() and not w.acquire(blocking=False)
    r1.release()
    r2.release()
    assert w.acquire(timeout=PATIENCE) and not a.ReadLock("/kzr/rw").acquire(blocking=False)
    w.release()
    done("read and write locks")


def semaphore():
    a, b, c = client(), client(), client()
    one, two, three = (zk.Semaphore("/kzr/sem", max_leases=2) for zk in (a, b, c))
    assert one.acquire() and two.acquire() and not three.acquire(blocking=False)
    one.release()
    assert three.acquire(timeout=PATIENCE)
    two.release()
    three.release()
    done("semaphore")


def election():
    clients = [client() for _ in range(3)]
    led, guard, together = [], threading.Lock(), [0]

    def lead(name):
        with guard:
            together[0] += 1
            assert together[0] == 1, "two leaders"
        led.append(name)
        with guard:
            together[0] -= 1

    def work(zk):
        name = "c%d" % clients.index(zk)
        zk.Election("/kzr/election", name).run(lead, name)

    run_all(work, clients)
    assert sorted(led) == ["c0", "c1", "c2"], led
    # The leader's session ends: the next one leads.
    leading = threading.Event()
    crash = client()
    hold = threading.Event()

    def reign():
        leading.set()
        hold.wait(PATIENCE)

    t = threading.Thread(target=lambda: quiet(lambda: crash.Election("/kzr/e2", "x").run(reign)), daemon=True)
    t.start()
    assert leading.wait(PATIENCE)
    won = threading.Event()
    t2 = threading.Thread(target=lambda: clients[0].Election("/kzr/e2", "y").run(won.set), daemon=True)
    t2.start()
    stop(crash)
    hold.set()
    assert won.wait(PATIENCE)
    t2.join(PATIENCE)
    done("election")


def quiet(call):
    try:
        call()
    except Exception as e:  # the client was stopped on purpose
        print("ended by", type(e).__name__)


def queue():
    a, b = client(), client()
    q = a.Queue("/kzr/queue")
    for i in range(5):
        q.put(b"%d" % i)
    q.put(b"urgent", priority=10)
    assert len(q) == 6
    got = [b.Queue("/kzr/queue").get() for _ in range(6)]
    assert got == [b"urgent", b"0", b"1", b"2", b"3", b"4"], got
    assert b.Queue("/kzr/queue").get() is None
    lq, taken = a.LockingQueue("/kzr/lq"), []
    for i in range(10):
        lq.put(b"%d" % i)
    guard = threading.Lock()

    def work(zk):
        mine = zk.LockingQueue("/kzr/lq")
        while True:
            item = mine.get(timeout=0.5)
            if item is None:
                return
            with guard:
                taken.append(item)
            assert mine.consume()

    run_all(work, [a, b])
    assert sorted(taken) == [b"%d" % i for i in range(10)], taken
    done("queue and locking queue")


def barrier():
    a, b = client(), client()
    wall = a.Barrier("/kzr/barrier")
    wall.create()
    assert not b.Barrier("/kzr/barrier").wait(timeout=0.2)
    passed = threading.Event()
    t = threading.Thread(target=lambda: b.Barrier("/kzr/barrier").wait(PATIENCE) and passed.set(), daemon=True)
    t.start()
    assert wall.remove()
    assert passed.wait(PATIENCE)
    order, guard = [], threading.Lock()

    def work(zk):
        double = zk.DoubleBarrier("/kzr/double", 3)
        double.enter()
        with guard:
            order.append("in")
        double.leave()
        with guard:
            order.append("out")

    run_all(work, [a, b, client()])
    assert order[:3] == ["in"] * 3 and len(order) == 6, order
    done("barrier and double barrier")


def counter():
    clients = [client() for _ in range(3)]

    def work(zk):
        mine = zk.Counter("/kzr/counter")
        for _ in range(20):
            mine += 1

    run_all(work, clients)
    assert clients[0].Counter("/kzr/counter").value == 60
    c = clients[1].Counter("/kzr/counter2", default=7)
    c -= 3
    assert c.value == 4
    done("counter")


def party():
    a, b = client(), client()
    pa, pb = a.Party("/kzr/party", "a"), b.Party("/kzr/party", "b")
    pa.join()
    pb.join()
    assert sorted(pa) == ["a", "b"] and len(pb) == 2
    pb.leave()
    assert list(pa) == ["a"]
    sa = a.ShallowParty("/kzr/shallow", "a")
    sa.join()
    assert list(b.ShallowParty("/kzr/shallow")) == ["a"]
    done("party")


def partitioner():
    clients = [client() for _ in range(2)]
    taken, guard = {}, threading.Lock()
    everyone = threading.Barrier(2)

    def work(zk):
        p = zk.SetPartitioner("/kzr/parts", set=tuple(range(6)), identifier="c%d" % clients.index(zk), time_boundary=1)
        while not (p.acquired and len(list(p)) == 3):
            assert not p.failed
            if p.release:
                p.release_set()
            elif p.allocating:
                p.wait_for_acquire(1)
            elif p.acquired:  # alone so far: the other one will make us release
                threading.Event().wait(0.05)
        with guard:
            for x in p:
                assert x not in taken
                taken[x] = 1
        everyone.wait(PATIENCE)
        p.finish()

    run_all(work, clients)
    assert sorted(taken) == list(range(6))
    done("partitioner")


def tree_cache():
    from kazoo.recipe.cache import TreeCache

    a, b = client(), client()
    b.ensure_path("/kzr/tree")
    cache, seen, grown = TreeCache(a, "/kzr/tree"), [], threading.Event()

    def listen(event):
        seen.append(event.event_type)
        if event.event_data is not None and event.event_data.path == "/kzr/tree/x/y":
            grown.set()

    cache.listen(listen)
    cache.start()
    b.create("/kzr/tree/x", b"1")
    b.create("/kzr/tree/x/y", b"2")
    assert grown.wait(PATIENCE), seen
    assert cache.get_data("/kzr/tree/x/y").data == b"2"
    cache.close()
    done("tree cache")


PARTS = {
    "operations": [crud, acls, transactions, watches],
    "recipes": [lock, read_write_locks, semaphore, election, queue, barrier, counter, party, partitioner, tree_cache],
    "sessions": [session],
}

for part in PARTS[sys.argv[2]]:
    part()
    for zk in list(OPEN):
        stop(zk)
print("all done")
