import java.io.File;
import org.apache.zookeeper.server.persistence.FileTxnLog;
import org.apache.zookeeper.server.persistence.TxnLog;
import org.apache.zookeeper.txn.SetDataTxn;
import org.apache.zookeeper.txn.TxnHeader;

/** Drives ZooKeeper's own transaction log from java_test.go: write DIR ZXID COUNT, read DIR, truncate DIR ZXID. */
public class LogTool {
    public static void main(String[] args) throws Exception {
        FileTxnLog log = new FileTxnLog(new File(args[1]));
        switch (args[0]) {
            case "write":
                write(log, Long.parseLong(args[2]), Integer.parseInt(args[3]));
                break;
            case "read":
                read(log);
                break;
            case "truncate":
                System.out.println(log.truncate(Long.parseLong(args[2])));
                break;
            default:
                throw new IllegalArgumentException(args[0]);
        }
        log.close();
    }

    static void write(FileTxnLog log, long first, int count) throws Exception {
        for (long zxid = first; zxid < first + count; zxid++) {
            byte[] value = ("value of " + zxid).getBytes();
            log.append(new TxnHeader(7, (int) zxid, zxid, 1700000000000L, 5), new SetDataTxn("/a", value, (int) zxid));
            if (zxid % 10 == 0) {
                log.commit();
            }
            if (zxid % 40 == 0) {
                log.rollLog();
            }
        }
        log.commit();
    }

    static void read(FileTxnLog log) throws Exception {
        TxnLog.TxnIterator it = log.read(0);
        while (it.getHeader() != null) {
            SetDataTxn txn = (SetDataTxn) it.getTxn();
            System.out.println(it.getHeader().getZxid() + " " + txn.getPath() + " " + txn.getData().length);
            if (!it.next()) {
                break;
            }
        }
    }
}
