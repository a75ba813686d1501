import static java.util.concurrent.TimeUnit.SECONDS;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.*;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.barriers.DistributedBarrier;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.curator.framework.recipes.cache.*;
import org.apache.curator.framework.recipes.leader.*;
import org.apache.curator.framework.recipes.locks.*;
import org.apache.curator.framework.recipes.nodes.*;
import org.apache.curator.framework.recipes.queue.*;
import org.apache.curator.framework.recipes.shared.*;
import org.apache.curator.retry.RetryOneTime;
import org.apache.zookeeper.CreateMode;

/**
 * Curator's recipes, each with several clients: java Recipes.java host:port. Prints one line per recipe; any surprise
 * ends it with an exception.
 */
public class Recipes {
    static final int PATIENCE = 60;
    static String hosts;
    static final List<CuratorFramework> clients = new ArrayList<>();
    static final ExecutorService pool = Executors.newCachedThreadPool();

    interface Recipe {
        void run() throws Exception;
    }

    interface Work {
        void with(CuratorFramework c) throws Exception;
    }

    static CuratorFramework client() throws Exception {
        CuratorFramework c = CuratorFrameworkFactory.newClient(hosts, 10000, 10000, new RetryOneTime(100));
        c.start();
        check(c.blockUntilConnected(PATIENCE, SECONDS), "connected");
        clients.add(c);
        return c;
    }

    static void check(boolean ok, String what) {
        if (!ok) {
            throw new AssertionError(what);
        }
    }

    static void await(CountDownLatch l, String what) throws Exception {
        check(l.await(PATIENCE, SECONDS), what + " did not happen");
    }

    /** Runs the same work with n clients at once. */
    static void everyone(int n, Work work) throws Exception {
        List<Future<?>> all = new ArrayList<>();
        for (int i = 0; i < n; i++) {
            CuratorFramework c = client();
            all.add(pool.submit(() -> {
                work.with(c);
                return null;
            }));
        }
        for (Future<?> f : all) {
            f.get(PATIENCE, SECONDS);
        }
    }

    static void done(String what, Recipe recipe) throws Exception {
        recipe.run();
        for (CuratorFramework c : clients) {
            c.close();
        }
        clients.clear();
        System.out.println("ok " + what);
    }

    public static void main(String[] args) {
        hosts = args[0];
        try {
            all();
        } catch (Throwable e) { // the pool's threads would keep the program alive for a minute
            e.printStackTrace();
            System.exit(1);
        }
        System.out.println("all done");
        System.exit(0);
    }

    static void all() throws Exception {
        done("framework", Recipes::framework);
        done("InterProcessMutex", Recipes::mutex);
        done("InterProcessReadWriteLock", Recipes::readWriteLock);
        done("InterProcessSemaphoreV2", Recipes::semaphore);
        done("LeaderLatch", Recipes::leaderLatch);
        done("LeaderSelector", Recipes::leaderSelector);
        done("SharedCount and DistributedAtomicLong", Recipes::counters);
        done("DistributedBarrier and DistributedDoubleBarrier", Recipes::barriers);
        done("PersistentNode and GroupMember", Recipes::nodes);
        done("CuratorCache", Recipes::cache);
        done("older caches", Recipes::olderCaches);
        done("DistributedQueue", Recipes::queue);
    }

    static void framework() throws Exception {
        CuratorFramework c = client();
        String made = c.create().orSetData().creatingParentContainersIfNeeded().withProtection()
            .withMode(CreateMode.EPHEMERAL_SEQUENTIAL).forPath("/cu/a/b", "x".getBytes());
        check(made.matches("/cu/a/_c_[-0-9a-f]+-b0000000000"), made);
        check(c.transaction().forOperations(
            c.transactionOp().create().forPath("/cu/t"),
            c.transactionOp().setData().withVersion(0).forPath("/cu/t", "y".getBytes()),
            c.transactionOp().check().withVersion(1).forPath("/cu/t"),
            c.transactionOp().delete().forPath("/cu/t")).size() == 4, "transaction");
        CuratorFramework in = c.usingNamespace("space");
        in.create().forPath("/n");
        check(c.checkExists().forPath("/space/n") != null, "namespace");
        CountDownLatch background = new CountDownLatch(1);
        c.getChildren().inBackground((k, e) -> {
            check(e.getChildren().contains("space"), "children");
            background.countDown();
        }).forPath("/");
        await(background, "a background operation");
        c.delete().guaranteed().deletingChildrenIfNeeded().forPath("/space");
        check(c.checkExists().forPath("/space") == null, "deleted");
    }

    static void mutex() throws Exception {
        AtomicInteger inside = new AtomicInteger();
        int[] count = {0};
        everyone(3, c -> {
            InterProcessMutex m = new InterProcessMutex(c, "/cu/mutex");
            for (int i = 0; i < 5; i++) {
                check(m.acquire(PATIENCE, SECONDS), "the lock");
                check(m.acquire(PATIENCE, SECONDS), "the lock again");
                check(inside.incrementAndGet() == 1, "two holders");
                count[0]++;
                inside.decrementAndGet();
                m.release();
                m.release();
            }
        });
        check(count[0] == 15, "count " + count[0]);
        // The holder's session ends: the lock is free.
        CuratorFramework dies = client();
        new InterProcessSemaphoreMutex(dies, "/cu/mutex2").acquire();
        InterProcessSemaphoreMutex waits = new InterProcessSemaphoreMutex(client(), "/cu/mutex2");
        check(!waits.acquire(50, TimeUnit.MILLISECONDS), "held");
        dies.close();
        clients.remove(dies);
        check(waits.acquire(PATIENCE, SECONDS), "free");
    }

    static void readWriteLock() throws Exception {
        InterProcessReadWriteLock a = new InterProcessReadWriteLock(client(), "/cu/rw");
        InterProcessReadWriteLock b = new InterProcessReadWriteLock(client(), "/cu/rw");
        check(a.readLock().acquire(PATIENCE, SECONDS) && b.readLock().acquire(PATIENCE, SECONDS), "two readers");
        a.readLock().release();
        check(!a.writeLock().acquire(50, TimeUnit.MILLISECONDS), "no writer beside a reader");
        b.readLock().release();
        check(a.writeLock().acquire(PATIENCE, SECONDS), "a writer");
        check(!b.readLock().acquire(50, TimeUnit.MILLISECONDS), "no reader beside a writer");
        a.writeLock().release();
    }

    static void semaphore() throws Exception {
        AtomicInteger inside = new AtomicInteger();
        everyone(4, c -> {
            InterProcessSemaphoreV2 s = new InterProcessSemaphoreV2(c, "/cu/semaphore", 2);
            for (int i = 0; i < 3; i++) {
                Lease l = s.acquire(PATIENCE, SECONDS);
                check(l != null && inside.incrementAndGet() <= 2, "at most two");
                inside.decrementAndGet();
                s.returnLease(l);
            }
        });
    }

    static void leaderLatch() throws Exception {
        List<LeaderLatch> all = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            LeaderLatch l = new LeaderLatch(client(), "/cu/latch", "l" + i);
            l.start();
            all.add(l);
        }
        for (int round = 0; round < 3; round++) {
            LeaderLatch leader = null;
            long end = System.nanoTime() + SECONDS.toNanos(PATIENCE);
            for (; leader == null; Thread.sleep(10)) {
                check(System.nanoTime() < end, "no leader");
                leader = all.stream().filter(LeaderLatch::hasLeadership).findFirst().orElse(null);
            }
            check(all.stream().filter(LeaderLatch::hasLeadership).count() == 1, "one leader");
            // The others take part when their nodes are there, which happens behind start.
            while (leader.getParticipants().size() != all.size()) {
                check(System.nanoTime() < end, "participants " + leader.getParticipants());
                Thread.sleep(10);
            }
            all.remove(leader);
            leader.close();
        }
    }

    static void leaderSelector() throws Exception {
        CountDownLatch led = new CountDownLatch(3);
        AtomicInteger inside = new AtomicInteger();
        List<LeaderSelector> all = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            LeaderSelector s = new LeaderSelector(client(), "/cu/selector", new LeaderSelectorListenerAdapter() {
                @Override
                public void takeLeadership(CuratorFramework c) {
                    check(inside.incrementAndGet() == 1, "two leaders");
                    inside.decrementAndGet();
                    led.countDown();
                }
            });
            s.start();
            all.add(s);
        }
        await(led, "leading in turns");
        for (LeaderSelector s : all) {
            s.close();
        }
    }

    static void counters() throws Exception {
        SharedCount a = new SharedCount(client(), "/cu/count", 3);
        SharedCount b = new SharedCount(client(), "/cu/count", 3);
        a.start();
        b.start();
        CountDownLatch heard = new CountDownLatch(1);
        b.addListener(new SharedCountListener() {
            @Override
            public void countHasChanged(SharedCountReader r, int n) {
                check(n == 10, "count " + n);
                heard.countDown();
            }

            @Override
            public void stateChanged(CuratorFramework c, org.apache.curator.framework.state.ConnectionState s) {
            }
        });
        check(a.trySetCount(a.getVersionedValue(), 10), "set");
        await(heard, "hearing of the count");
        a.close();
        b.close();
        everyone(3, c -> {
            DistributedAtomicLong n = new DistributedAtomicLong(c, "/cu/long", new RetryOneTime(1));
            for (int i = 0; i < 10; i++) {
                while (!n.increment().succeeded()) {
                    Thread.onSpinWait();
                }
            }
        });
        check(new DistributedAtomicLong(client(), "/cu/long", new RetryOneTime(1)).get().postValue() == 30, "sum");
    }

    static void barriers() throws Exception {
        DistributedBarrier wall = new DistributedBarrier(client(), "/cu/barrier");
        wall.setBarrier();
        DistributedBarrier other = new DistributedBarrier(client(), "/cu/barrier");
        check(!other.waitOnBarrier(50, TimeUnit.MILLISECONDS), "closed");
        Future<Boolean> passes = pool.submit(() -> other.waitOnBarrier(PATIENCE, SECONDS));
        wall.removeBarrier();
        check(passes.get(PATIENCE, SECONDS), "open");
        // Nobody enters before all have come. Curator lets a member out as soon as one node is left, and a member that
        // has not heard yet that it may enter can then wait for ever: nobody leaves before all are in.
        AtomicInteger come = new AtomicInteger();
        CountDownLatch in = new CountDownLatch(3);
        everyone(3, c -> {
            DistributedDoubleBarrier d = new DistributedDoubleBarrier(c, "/cu/double", 3);
            come.incrementAndGet();
            check(d.enter(PATIENCE, SECONDS), "enter");
            check(come.get() == 3, "entered when " + come + " of 3 had come");
            in.countDown();
            await(in, "entering");
            check(d.leave(PATIENCE, SECONDS), "leave");
        });
        check(client().getChildren().forPath("/cu/double").isEmpty(), "all have left");
    }

    static void nodes() throws Exception {
        CuratorFramework c = client();
        PersistentNode n = new PersistentNode(c, CreateMode.EPHEMERAL, false, "/cu/persistent", "v".getBytes());
        n.start();
        check(n.waitForInitialCreate(PATIENCE, SECONDS), "created");
        CuratorFramework other = client();
        CountDownLatch again = new CountDownLatch(1);
        long first = other.checkExists().forPath("/cu/persistent").getCzxid();
        CuratorCache watch = CuratorCache.build(other, "/cu/persistent");
        watch.listenable().addListener((type, old, now) -> {
            if (now != null && now.getStat().getCzxid() > first) {
                again.countDown();
            }
        });
        watch.start();
        other.delete().forPath("/cu/persistent");
        await(again, "the node's return");
        watch.close();
        n.close();
        GroupMember a = new GroupMember(c, "/cu/group", "a");
        GroupMember b = new GroupMember(other, "/cu/group", "b");
        a.start();
        b.start();
        for (long end = System.nanoTime() + SECONDS.toNanos(PATIENCE); a.getCurrentMembers().size() < 2;) {
            check(System.nanoTime() < end, "two members");
            Thread.sleep(10);
        }
        a.close();
        b.close();
    }

    static void cache() throws Exception {
        CuratorFramework c = client();
        CuratorFramework w = client();
        w.create().creatingParentsIfNeeded().forPath("/cu/cache/a", "1".getBytes());
        BlockingQueue<String> seen = new LinkedBlockingQueue<>();
        CountDownLatch ready = new CountDownLatch(1);
        CuratorCache cache = CuratorCache.build(c, "/cu/cache");
        cache.listenable().addListener(CuratorCacheListener.builder()
            .forCreates(d -> seen.add("create " + d.getPath()))
            .forChanges((o, d) -> seen.add("change " + d.getPath() + " " + new String(d.getData())))
            .forDeletes(d -> seen.add("delete " + d.getPath()))
            .forInitialized(ready::countDown).build());
        cache.start();
        await(ready, "the cache's first reading");
        seen.clear();
        w.create().forPath("/cu/cache/a/b", "2".getBytes());
        next(seen, "create /cu/cache/a/b");
        w.setData().forPath("/cu/cache/a", "3".getBytes());
        next(seen, "change /cu/cache/a 3");
        w.delete().forPath("/cu/cache/a/b");
        next(seen, "delete /cu/cache/a/b");
        check(cache.stream().count() == 2, "size");
        cache.close();
    }

    static void next(BlockingQueue<String> seen, String want) throws Exception {
        String got = seen.poll(PATIENCE, SECONDS);
        check(want.equals(got), "saw " + got + ", want " + want);
    }

    @SuppressWarnings("deprecation")
    static void olderCaches() throws Exception {
        CuratorFramework c = client();
        CuratorFramework w = client();
        w.create().creatingParentsIfNeeded().forPath("/cu/old/a", "1".getBytes());
        PathChildrenCache children = new PathChildrenCache(c, "/cu/old", true);
        children.start(PathChildrenCache.StartMode.BUILD_INITIAL_CACHE);
        BlockingQueue<String> seen = new LinkedBlockingQueue<>();
        children.getListenable().addListener((k, e) -> {
            if (e.getData() != null) {
                seen.add(e.getType() + " " + e.getData().getPath());
            }
        });
        w.create().forPath("/cu/old/b", "2".getBytes());
        next(seen, "CHILD_ADDED /cu/old/b");
        w.delete().forPath("/cu/old/a");
        next(seen, "CHILD_REMOVED /cu/old/a");
        children.close();
        NodeCache node = new NodeCache(c, "/cu/old/b");
        node.start(true);
        CountDownLatch changed = new CountDownLatch(1);
        node.getListenable().addListener(changed::countDown);
        w.setData().forPath("/cu/old/b", "3".getBytes());
        await(changed, "the node's change");
        check(new String(node.getCurrentData().getData()).equals("3"), "data");
        node.close();
        TreeCache tree = TreeCache.newBuilder(c, "/cu/old").build();
        CountDownLatch initialized = new CountDownLatch(1);
        tree.getListenable().addListener((k, e) -> {
            if (e.getType() == TreeCacheEvent.Type.INITIALIZED) {
                initialized.countDown();
            }
        });
        tree.start();
        await(initialized, "the tree's first reading");
        check(tree.getCurrentChildren("/cu/old").keySet().equals(java.util.Set.of("b")), "tree");
        tree.close();
    }

    @SuppressWarnings("deprecation")
    static void queue() throws Exception {
        BlockingQueue<String> taken = new LinkedBlockingQueue<>();
        QueueSerializer<String> text = new QueueSerializer<>() {
            @Override
            public byte[] serialize(String s) {
                return s.getBytes();
            }

            @Override
            public String deserialize(byte[] b) {
                return new String(b);
            }
        };
        DistributedQueue<String> q = QueueBuilder.builder(client(), new QueueConsumer<String>() {
            @Override
            public void consumeMessage(String m) {
                taken.add(m);
            }

            @Override
            public void stateChanged(CuratorFramework c, org.apache.curator.framework.state.ConnectionState s) {
            }
        }, text, "/cu/queue").buildQueue();
        q.start();
        for (int i = 0; i < 5; i++) {
            q.put("m" + i);
        }
        for (int i = 0; i < 5; i++) {
            next(taken, "m" + i);
        }
        q.close();
    }
}
