# Takes a lock, changes a znode under it, the fence, and gives it back, until
# SIGTERM. Each change is a transaction that checks that the own place in the lock
# is still there, so that it fails when the session is gone; the fence then has the
# version that it was read with, or somebody else is in the lock.
#
#   lock.py servers timeout [may-expire]
#
# Exit code 1 says that somebody was, or, without may-expire, that the session was
# lost.
import os
import signal
import sys
import threading

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import BadVersionError, ConnectionLoss, KazooException, NodeExistsError, SessionExpiredError
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.retry import KazooRetry

over = threading.Event()
lost = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: over.set())

servers, timeout, may_expire = sys.argv[1], float(sys.argv[2]), sys.argv[3:] == ["may-expire"]
LOCK, FENCE, ME = "/kazoo-lock", "/kazoo-fence", str(os.getpid())
turns = 0


def connect():
    forever = {"max_tries": -1, "max_delay": 0.5}
    zk = KazooClient(servers, timeout=timeout, connection_retry=KazooRetry(**forever), command_retry=KazooRetry(**forever))
    zk.add_listener(lambda state: lost.set() if state == KazooState.LOST and not over.is_set() else None)
    zk.start(timeout=60)
    try:
        zk.retry(zk.create, FENCE)
    except NodeExistsError:
        pass
    return zk


def change(zk, place):
    """Changes the fence a few times, while the place in the lock is there."""
    version = zk.retry(zk.get, FENCE)[1].version
    for _ in range(2):
        t = zk.transaction()
        t.check(place, -1)
        t.set_data(FENCE, place.encode(), version)
        checked, changed = t.commit()
        if isinstance(changed, BadVersionError):
            print("somebody else is inside:", place, "the fence has left version", version, file=sys.stderr)
            sys.exit(1)
        if isinstance(checked, Exception):
            return  # the place has gone with the session
        version += 1
        over.wait(0.01)


def turn(zk):
    lock = zk.Lock(LOCK, ME)
    zk.retry(lock.acquire)
    try:
        change(zk, LOCK + "/" + lock.node)
    except (ConnectionLoss, SessionExpiredError):
        pass  # whether it happened is not known; the next turn reads the fence again
    zk.retry(lock.release)


def end(zk):
    try:
        zk.stop()
        zk.close()
    except Exception as e:  # the session is left to its timeout
        print("stop:", repr(e), file=sys.stderr)


zk = connect()
while not over.is_set():
    try:
        turn(zk)
        turns += 1
    except (KazooException, KazooTimeoutError) as e:
        # The recipe may have forgotten a place, which another session cannot have.
        if not may_expire:
            raise
        print("turn given up:", repr(e), file=sys.stderr)
        end(zk)
        zk = connect()

print("turns", turns)
if lost.is_set() and not may_expire:
    print("the session was lost", file=sys.stderr)
    sys.exit(1)
end(zk)
