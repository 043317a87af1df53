package com.yahoo.search.dispatch.rpc;

import com.yahoo.compress.CompressionType;
import com.yahoo.compress.Compressor;
import com.yahoo.vespa.config.search.DispatchConfig;
import com.yahoo.vespa.config.search.DispatchNodesConfig;
import lateint.vespa.ContentNode;

import java.util.Collection;
import java.util.TreeSet;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * Stands in for Vespa's class of this name, which connects the dispatcher with content nodes: here each node is a
 * {@link ContentNode} of this process, which gets the same bytes.
 */
public class RpcResourcePool implements RpcConnectionPool {

    private static final Compressor COMPRESSOR = new Compressor(CompressionType.NONE, 5, 0.95, 512);

    private final TreeSet<Integer> nodes = new TreeSet<>();
    private final ExecutorService threads = Executors.newCachedThreadPool(task -> {
        Thread thread = new Thread(task, "content-node");
        thread.setDaemon(true);
        return thread;
    });

    public RpcResourcePool(DispatchConfig dispatch, DispatchNodesConfig config) {
        config.node().forEach(node -> nodes.add(node.key()));
    }

    @Override public Collection<Integer> knownNodeIds() {
        return nodes;
    }

    @Override public void close() {
        threads.shutdownNow();
    }

    @Override public Client.NodeConnection getConnection(int key) {
        return nodes.contains(key) ? new Connection(new ContentNode(key, nodes.headSet(key).size(), nodes.size())) : null;
    }

    private final class Connection implements Client.NodeConnection {

        private final ContentNode node;

        Connection(ContentNode node) {
            this.node = node;
        }

        @Override
        public void request(String method, CompressionType type, int size, byte[] payload,
                            Client.ResponseReceiver receiver, double timeoutSeconds) {
            threads.execute(() -> receiver.receive(answer(method, type, size, payload)));
        }

        private Client.ResponseOrError<Client.ProtobufResponse> answer(String method, CompressionType type, int size,
                                                                       byte[] payload) {
            try {
                byte[] reply = node.handle(method, COMPRESSOR.decompress(payload, type, size));
                return Client.ResponseOrError.fromResponse(
                        new Client.ProtobufResponse(CompressionType.NONE.getCode(), reply.length, reply));
            } catch (Exception e) {
                return Client.ResponseOrError.fromError(e.toString());
            }
        }

        @Override public void close() {
        }
    }
}
