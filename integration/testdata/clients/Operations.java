import static java.util.concurrent.TimeUnit.SECONDS;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import org.apache.zookeeper.*;
import org.apache.zookeeper.Watcher.Event.EventType;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Stat;

/**
 * Every request of ZooKeeper's own Java client (3.9): java Operations.java host:port [extended].
 * "extended" says that the server has extended types enabled (TTL). Prints one line per thing done; any
 * surprise ends it with an exception.
 */
public class Operations {
    static final int PATIENCE = 60;
    static String hosts;

    /** A client that keeps its events. */
    static class Client implements Watcher {
        final BlockingQueue<WatchedEvent> events = new LinkedBlockingQueue<>();
        final BlockingQueue<KeeperState> states = new LinkedBlockingQueue<>();
        final ZooKeeper zk;

        Client() throws Exception {
            zk = new ZooKeeper(hosts, 10000, this);
            awaitState(KeeperState.SyncConnected);
        }

        @Override
        public void process(WatchedEvent e) {
            if (e.getType() == EventType.None) {
                states.add(e.getState());
            } else {
                events.add(e);
            }
        }

        void awaitState(KeeperState want) throws Exception {
            for (;;) {
                KeeperState got = states.poll(PATIENCE, SECONDS);
                check(got != null, "state " + want + " did not come");
                if (got == want) {
                    return;
                }
            }
        }

        /** Waits for exactly these events, each "Type path". */
        void expect(String... want) throws Exception {
            for (String w : want) {
                WatchedEvent e = events.poll(PATIENCE, SECONDS);
                check(e != null && w.equals(e.getType() + " " + e.getPath()), "event " + e + ", want " + w);
            }
        }

        /** After a request was answered every earlier event has come. */
        void expectNothing() throws Exception {
            zk.exists("/", false);
            check(events.isEmpty(), "unexpected events " + events);
        }
    }

    static void check(boolean ok, String what) {
        if (!ok) {
            throw new AssertionError(what);
        }
    }

    interface Call {
        void run() throws Exception;
    }

    static void refused(KeeperException.Code want, Call call) throws Exception {
        try {
            call.run();
        } catch (KeeperException e) {
            check(e.code() == want, e.code() + ", want " + want);
            return;
        }
        throw new AssertionError("no " + want);
    }

    static byte[] bytes(String s) {
        return s.getBytes(StandardCharsets.UTF_8);
    }

    static void done(String what) {
        System.out.println("ok " + what);
    }

    static final List<ACL> OPEN = ZooDefs.Ids.OPEN_ACL_UNSAFE;

    public static void main(String[] args) throws Exception {
        hosts = args[0];
        boolean extended = Arrays.asList(args).contains("extended");
        nodes(extended);
        multi();
        acls();
        watches();
        reconnect();
        session();
        System.out.println("all done");
        System.exit(0);
    }

    static void nodes(boolean extended) throws Exception {
        ZooKeeper a = new Client().zk;
        ZooKeeper b = new Client().zk;
        check(a.create("/j", bytes("x"), OPEN, CreateMode.PERSISTENT).equals("/j"), "path");
        Stat s = new Stat();
        a.create("/j/two", null, OPEN, CreateMode.PERSISTENT, s);
        Stat t = new Stat();
        check(b.getData("/j/two", false, t) == null && s.equals(t), "null data, equal Stat: " + s + " " + t);
        check(a.create("/j/s-", null, OPEN, CreateMode.PERSISTENT_SEQUENTIAL).equals("/j/s-0000000001"), "sequence");
        String e = a.create("/j/e-", null, OPEN, CreateMode.EPHEMERAL_SEQUENTIAL);
        check(b.exists(e, false).getEphemeralOwner() == a.getSessionId(), "owner");
        check(a.getEphemerals().equals(List.of(e)) && b.getEphemerals().isEmpty(), "ephemerals");
        check(a.getEphemerals("/k").isEmpty() && a.getEphemerals("/j").size() == 1, "ephemerals below");
        a.create("/j/c", null, OPEN, CreateMode.CONTAINER);
        check(a.exists("/j/c", false).getEphemeralOwner() == 0, "container's owner");
        if (extended) {
            Stat ttl = new Stat();
            a.create("/j/ttl", null, OPEN, CreateMode.PERSISTENT_WITH_TTL, ttl, 100000);
            a.create("/j/ttl-", null, OPEN, CreateMode.PERSISTENT_SEQUENTIAL_WITH_TTL, ttl, 100000);
        } else {
            refused(KeeperException.Code.UNIMPLEMENTED,
                () -> a.create("/j/ttl", null, OPEN, CreateMode.PERSISTENT_WITH_TTL, new Stat(), 100000));
        }
        check(b.setData("/j/two", bytes("abc"), 0).getVersion() == 1, "version");
        refused(KeeperException.Code.BADVERSION, () -> b.setData("/j/two", bytes("abc"), 0));
        List<String> names = a.getChildren("/j", false, t);
        check(names.size() == t.getNumChildren() && a.getChildren("/j", false).size() == names.size(), "children");
        check(a.getAllChildrenNumber("/j") == names.size(), "all children");
        refused(KeeperException.Code.NOTEMPTY, () -> a.delete("/j", -1));
        refused(KeeperException.Code.NONODE, () -> a.getData("/j/none", false, null));
        refused(KeeperException.Code.NODEEXISTS, () -> a.create("/j", null, OPEN, CreateMode.PERSISTENT));
        a.sync("/j", (rc, path, ctx) -> { }, null);
        check(a.whoAmI().stream().anyMatch(c -> c.getAuthScheme().equals("ip")), "whoAmI");
        check(new String(a.getConfig(false, t)).isEmpty(), "config of a standalone server");
        ZKUtil.deleteRecursive(a, "/j");
        check(b.exists("/j", false) == null, "deleted");
        a.close();
        b.close();
        done("nodes");
    }

    static void multi() throws Exception {
        ZooKeeper a = new Client().zk;
        List<OpResult> r = a.multi(List.of(
            Op.create("/jm", bytes("1"), OPEN, CreateMode.PERSISTENT),
            Op.create("/jm/c", null, OPEN, CreateMode.CONTAINER),
            Op.setData("/jm", bytes("2"), 0),
            Op.check("/jm", 1),
            Op.create("/jm/n-", null, OPEN, CreateMode.EPHEMERAL_SEQUENTIAL),
            Op.delete("/jm/c", 0)));
        check(r.size() == 6 && ((OpResult.CreateResult) r.get(4)).getPath().equals("/jm/n-0000000001"), "results " + r);
        try {
            a.multi(List.of(Op.create("/jm/x", null, OPEN, CreateMode.PERSISTENT), Op.delete("/jm/none", -1),
                Op.check("/jm", 0)));
            check(false, "the multi did not fail");
        } catch (KeeperException.NoNodeException e) {
            List<Integer> codes = new ArrayList<>();
            e.getResults().forEach(x -> codes.add(((OpResult.ErrorResult) x).getErr()));
            check(codes.equals(List.of(0, -101, -2)), "codes " + codes);
        }
        List<OpResult> reads = a.multi(List.of(Op.getData("/jm"), Op.getChildren("/jm"), Op.getData("/none")));
        check(new String(((OpResult.GetDataResult) reads.get(0)).getData()).equals("2"), "data");
        check(((OpResult.GetChildrenResult) reads.get(1)).getChildren().equals(List.of("n-0000000001")), "children");
        check(((OpResult.ErrorResult) reads.get(2)).getErr() == -101, "missing node");
        ZKUtil.deleteRecursive(a, "/jm");
        a.close();
        done("multi and multiRead");
    }

    static void acls() throws Exception {
        ZooKeeper a = new Client().zk;
        Client b = new Client();
        a.addAuthInfo("digest", bytes("bob:pw"));
        a.create("/ja", bytes("s"), ZooDefs.Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT);
        check(a.getACL("/ja", new Stat()).get(0).getId().getId().equals("bob:ikIaKsbtGweaHnb/jKn7OHqbunM="), "digest");
        refused(KeeperException.Code.NOAUTH, () -> b.zk.getData("/ja", false, null));
        List<ACL> both = new ArrayList<>(a.getACL("/ja", null));
        both.addAll(ZooDefs.Ids.READ_ACL_UNSAFE);
        check(a.setACL("/ja", both, 0).getAversion() == 1, "aversion");
        check(b.zk.getACL("/ja", null).get(0).getId().getId().equals("bob:x"), "masked");
        refused(KeeperException.Code.INVALIDACL,
            () -> b.zk.create("/jb", null, ZooDefs.Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT));
        a.delete("/ja", -1);
        b.zk.addAuthInfo("nosuch", bytes("x"));
        b.awaitState(KeeperState.AuthFailed);
        a.close();
        b.zk.close();
        done("ACLs and authentication");
    }

    static void watches() throws Exception {
        Client a = new Client();
        ZooKeeper b = new Client().zk;
        check(a.zk.exists("/jw", a) == null, "missing");
        b.create("/jw", null, OPEN, CreateMode.PERSISTENT);
        a.expect("NodeCreated /jw");
        a.zk.getData("/jw", a, null);
        b.setData("/jw", null, -1);
        b.setData("/jw", null, -1);
        a.expect("NodeDataChanged /jw");
        a.zk.getChildren("/jw", a);
        b.create("/jw/c", null, OPEN, CreateMode.PERSISTENT);
        a.expect("NodeChildrenChanged /jw");
        a.zk.addWatch("/jw", a, AddWatchMode.PERSISTENT);
        b.create("/jw/d", null, OPEN, CreateMode.PERSISTENT);
        b.setData("/jw", null, -1);
        b.setData("/jw/d", null, -1);
        b.delete("/jw/d", -1);
        a.expect("NodeChildrenChanged /jw", "NodeDataChanged /jw", "NodeChildrenChanged /jw");
        a.zk.removeWatches("/jw", a, Watcher.WatcherType.Any, false);
        a.expect("PersistentWatchRemoved /jw");
        a.zk.addWatch("/jw", a, AddWatchMode.PERSISTENT_RECURSIVE);
        b.setData("/jw/c", null, -1);
        b.create("/jw/c/deep", null, OPEN, CreateMode.PERSISTENT);
        b.delete("/jw/c/deep", -1);
        a.expect("NodeDataChanged /jw/c", "NodeCreated /jw/c/deep", "NodeDeleted /jw/c/deep");
        a.zk.removeAllWatches("/jw", Watcher.WatcherType.Any, false);
        a.expect("PersistentWatchRemoved /jw");
        b.setData("/jw/c", null, -1);
        a.expectNothing();
        refused(KeeperException.Code.NOWATCHER, () -> a.zk.removeAllWatches("/jw", Watcher.WatcherType.Any, false));
        a.zk.getData("/jw/c", a, null);
        b.delete("/jw/c", -1);
        a.expect("NodeDeleted /jw/c");
        b.delete("/jw", -1);
        a.zk.close();
        b.close();
        done("watches");
    }

    /** The path that makes a recording proxy cut the connection; any server just answers that it is missing. */
    static final String CUT = "/cut-the-connection";

    static void reconnect() throws Exception {
        ZooKeeper b = new Client().zk;
        b.create("/jr", null, OPEN, CreateMode.PERSISTENT);
        for (boolean persistent : new boolean[] {false, true}) {
            Client a = new Client();
            long id = a.zk.getSessionId();
            a.zk.create("/jr/e", null, OPEN, CreateMode.EPHEMERAL);
            a.zk.getData("/jr", a, null);
            a.zk.exists("/jr/missing", a);
            a.zk.getChildren("/jr", a);
            if (persistent) {
                a.zk.addWatch("/jr/p", a, AddWatchMode.PERSISTENT);
                a.zk.addWatch("/jr/r", a, AddWatchMode.PERSISTENT_RECURSIVE);
            }
            cut(a);
            check(a.zk.getSessionId() == id && b.exists("/jr/e", false).getEphemeralOwner() == id, "the same session");
            a.expectNothing();
            b.setData("/jr", null, -1);
            b.create("/jr/missing", null, OPEN, CreateMode.PERSISTENT);
            a.expect("NodeDataChanged /jr", "NodeCreated /jr/missing", "NodeChildrenChanged /jr");
            if (persistent) {
                b.create("/jr/p", null, OPEN, CreateMode.PERSISTENT);
                b.create("/jr/r", null, OPEN, CreateMode.PERSISTENT);
                a.expect("NodeCreated /jr/p", "NodeCreated /jr/r");
            }
            b.delete("/jr/missing", -1);
            a.zk.close();
        }
        ZKUtil.deleteRecursive(b, "/jr");
        b.close();
        done("reconnecting with watches");
    }

    /** Breaks the client's connection and waits until it is back. */
    static void cut(Client a) throws Exception {
        a.states.clear();
        try {
            a.zk.exists(CUT, false);
            // No proxy in between: close the socket under the client.
            Object cnxn = field(a.zk, ZooKeeper.class, "cnxn");
            Object thread = field(cnxn, ClientCnxn.class, "sendThread");
            java.lang.reflect.Method m = thread.getClass().getDeclaredMethod("testableCloseSocket");
            m.setAccessible(true);
            m.invoke(thread);
        } catch (KeeperException.ConnectionLossException e) {
            // cut
        }
        a.awaitState(KeeperState.Disconnected);
        a.awaitState(KeeperState.SyncConnected);
    }

    static Object field(Object of, Class<?> type, String name) throws Exception {
        java.lang.reflect.Field f = type.getDeclaredField(name);
        f.setAccessible(true);
        return f.get(of);
    }

    static void session() throws Exception {
        Client a = new Client();
        Client own = new Client();
        own.zk.create("/js", null, OPEN, CreateMode.EPHEMERAL);
        a.zk.exists("/js", a);
        own.zk.close();
        a.expect("NodeDeleted /js");
        // The wrong password gets nowhere. ZooKeeper drops the owner's connection all the same, so it may have to come back.
        ZooKeeper bad = new ZooKeeper(hosts, 10000, own, a.zk.getSessionId(), new byte[16]);
        own.states.clear();
        own.awaitState(KeeperState.Expired);
        bad.close();
        long id = a.zk.getSessionId();
        for (boolean answered = false; !answered;) {
            try {
                answered = a.zk.exists("/", false) != null;
            } catch (KeeperException.ConnectionLossException e) {
                a.awaitState(KeeperState.SyncConnected);
            }
        }
        check(a.zk.getSessionId() == id, "the owner keeps its session");
        a.zk.close();
        done("sessions");
    }
}
