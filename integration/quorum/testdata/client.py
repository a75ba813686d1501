# A client of kazoo that does what it is told, a line for each command, and answers
# each with a line.
#
#   client.py servers session-timeout [read-only]
#
#   state           the state of the client, as kazoo names it
#   session         the id of its session
#   get path, set path value, create path [ephemeral]
#
# An answer is "ok" and a value, or the name of an exception.
import logging
import sys

from kazoo.client import KazooClient
from kazoo.retry import KazooRetry

logging.disable(logging.CRITICAL)
servers, timeout, read_only = sys.argv[1], float(sys.argv[2]), sys.argv[3:] == ["read-only"]
retry = KazooRetry(max_tries=-1, delay=0.05, max_delay=0.2)
zk = KazooClient(servers, timeout=timeout, read_only=read_only, randomize_hosts=False, connection_retry=retry)


def do(command, *args):
    if command == "state":
        return zk.client_state
    if command == "session":
        return "%x" % zk.client_id[0]
    if command == "get":
        return zk.get(args[0])[0].decode()
    if command == "set":
        return zk.set(args[0], args[1].encode()).version
    if command == "create":
        return zk.create(args[0], ephemeral=args[1:] == ("ephemeral",))
    raise ValueError(command)


zk.start_async()
for line in sys.stdin:
    try:
        print("ok", do(*line.split()), flush=True)
    except Exception as e:
        print(type(e).__name__, flush=True)
zk.stop()
zk.close()
