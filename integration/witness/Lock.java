import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryForever;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;

/**
 * Two clients take a lock, show that nobody else is in it, and give it back, until SIGTERM: java Lock.java
 * host:port,... sessionTimeoutMs. Exit code 1 says that somebody was, or that a session was lost.
 */
public class Lock {
    static final AtomicInteger turns = new AtomicInteger();
    static final AtomicReference<String> fault = new AtomicReference<>();
    static volatile boolean over;

    static void fail(String what) {
        fault.compareAndSet(null, what);
        over = true;
    }

    /** Creates the mark of being inside; false when it is somebody else's. */
    static boolean enter(CuratorFramework c, byte[] me) throws Exception {
        while (true) {
            try {
                c.create().withMode(CreateMode.EPHEMERAL).forPath("/curator-inside", me);
                return true;
            } catch (KeeperException.NodeExistsException e) {
                try {
                    return java.util.Arrays.equals(c.getData().forPath("/curator-inside"), me);
                } catch (KeeperException.NoNodeException gone) {
                    continue;
                }
            }
        }
    }

    static void work(String hosts, int timeout) {
        try (CuratorFramework c = CuratorFrameworkFactory.newClient(hosts, timeout, 10000, new RetryForever(100))) {
            c.getConnectionStateListenable().addListener((client, state) -> {
                if (state == ConnectionState.LOST && !over) {
                    fail("a session was lost");
                }
            });
            c.start();
            c.blockUntilConnected();
            byte[] me = Long.toString(c.getZookeeperClient().getZooKeeper().getSessionId()).getBytes();
            InterProcessMutex lock = new InterProcessMutex(c, "/curator-lock");
            while (!over) {
                lock.acquire();
                if (!enter(c, me)) {
                    fail("somebody else is inside");
                    return;
                }
                turns.incrementAndGet();
                Thread.sleep(10);
                try {
                    c.delete().forPath("/curator-inside");
                } catch (KeeperException.NoNodeException e) {
                    // an earlier try did it
                }
                lock.release();
            }
        } catch (Exception e) {
            e.printStackTrace();
            fail(e.toString());
        }
    }

    static void end(Thread[] clients) {
        over = true;
        try {
            for (Thread t : clients) {
                t.join();
            }
        } catch (InterruptedException e) {
            fail(e.toString());
        }
        System.out.println("turns " + turns);
        System.out.flush();
        if (fault.get() != null) {
            System.err.println(fault.get());
        }
        Runtime.getRuntime().halt(fault.get() == null ? 0 : 1);
    }

    public static void main(String[] args) throws Exception {
        Thread[] clients = new Thread[2];
        for (int i = 0; i < clients.length; i++) {
            clients[i] = new Thread(() -> work(args[0], Integer.parseInt(args[1])));
            clients[i].start();
        }
        Runtime.getRuntime().addShutdownHook(new Thread(() -> end(clients)));
    }
}
