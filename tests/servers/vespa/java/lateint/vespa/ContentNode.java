package lateint.vespa;

import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.DocsumRequest;
import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.MonitorReply;
import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.SearchRequest;
import com.google.protobuf.InvalidProtocolBufferException;
import com.yahoo.document.Document;

import java.util.List;

/**
 * Answers what Vespa's dispatcher asks a content node, in the node's own protobuf protocol, from the {@link Store}.
 *
 * All nodes of a cluster share the documents: one group, no copies.
 */
public final class ContentNode {

    private final int key;
    private final int index;
    private final int nodes;

    public ContentNode(int key, int index, int nodes) {
        this.key = key;
        this.index = index;
        this.nodes = nodes;
    }

    public byte[] handle(String method, byte[] payload) throws InvalidProtocolBufferException {
        return switch (method) {
            case "vespa.searchprotocol.ping" -> ping();
            case "vespa.searchprotocol.search" -> new Search(SearchRequest.parseFrom(payload), mine()).answer().toByteArray();
            case "vespa.searchprotocol.getDocsums" -> Summaries.answer(DocsumRequest.parseFrom(payload)).toByteArray();
            default -> throw new IllegalArgumentException("No method '" + method + "'");
        };
    }

    private byte[] ping() {
        long active = mine().size();
        return MonitorReply.newBuilder().setOnline(true).setDistributionKey(key)
                           .setActiveDocs(active).setTargetActiveDocs(active).build().toByteArray();
    }

    private List<Document> mine() {
        return Store.instance.all().stream()
                    .filter(document -> Math.floorMod(document.getId().toString().hashCode(), nodes) == index).toList();
    }
}
