# Takes a lock, shows that nobody else is in it, and gives it back, until SIGTERM.
# Exit code 1 says that somebody was, or that the session was lost.
import signal
import sys
import threading

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import ConnectionLoss, NodeExistsError, NoNodeError
from kazoo.retry import KazooRetry

over = threading.Event()
lost = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: over.set())

zk = KazooClient(sys.argv[1], timeout=20, connection_retry=KazooRetry(max_tries=-1, max_delay=1))
zk.add_listener(lambda state: lost.set() if state == KazooState.LOST and not over.is_set() else None)
zk.start(timeout=60)
me = str(zk.client_id[0]).encode()
turns = 0


def enter():
    """Creates the mark of being inside; false when it is somebody else's."""
    while True:
        try:
            zk.create("/kazoo-inside", me, ephemeral=True)
            return True
        except ConnectionLoss:
            continue
        except NodeExistsError:
            try:
                return zk.retry(zk.get, "/kazoo-inside")[0] == me
            except NoNodeError:
                continue


while not over.is_set():
    lock = zk.Lock("/kazoo-lock", me.decode())
    zk.retry(lock.acquire)
    if not enter():
        print("somebody else is inside", file=sys.stderr)
        sys.exit(1)
    turns += 1
    over.wait(0.01)
    try:
        zk.retry(zk.delete, "/kazoo-inside")
    except NoNodeError:
        pass  # an earlier try did it
    zk.retry(lock.release)

print("turns", turns)
if lost.is_set():
    print("the session was lost", file=sys.stderr)
    sys.exit(1)
zk.stop()
