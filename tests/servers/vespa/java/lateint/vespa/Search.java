package lateint.vespa;

import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol;
import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.Feature;
import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.SearchReply;
import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.SearchRequest;
import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.StringProperty;
import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.TensorProperty;
import com.google.protobuf.ByteString;
import com.yahoo.document.Document;
import com.yahoo.io.GrowableByteBuffer;
import com.yahoo.tensor.Tensor;
import com.yahoo.tensor.serialization.TypedBinaryFormat;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Predicate;

/** The first half of a query at one content node: match, rank, rank the best again, order. */
final class Search {

    private record Scored(Document document, double score) {
    }

    /** Soft timeout ends ranking here, so that the rest of the time is left to answer in. */
    private static final double SOFT = 0.7;

    private final SearchRequest request;
    private final List<Document> corpus;
    private final Schema schema;
    private final Map<String, String> properties = new HashMap<>();
    private final Map<String, Tensor> inputs = new HashMap<>();
    private final SearchReply.Builder reply = SearchReply.newBuilder();

    /** The corpus is the part of the documents that this node has, of all types. */
    Search(SearchRequest request, List<Document> documents) {
        this.request = request;
        schema = Schema.of(request.getDocumentType());
        corpus = documents.stream()
                          .filter(document -> document.getDataType().getName().equals(request.getDocumentType()))
                          .sorted(Comparator.comparing(document -> document.getId().toString())).toList();
        for (TensorProperty property : request.getTensorRankPropertiesList()) {
            GrowableByteBuffer value = GrowableByteBuffer.wrap(property.getValue().toByteArray());
            inputs.put("query(" + property.getName() + ")", TypedBinaryFormat.decode(Optional.empty(), value));
        }
        for (StringProperty property : request.getRankPropertiesList())
            properties.put(property.getName(), property.getValues(property.getValuesCount() - 1));
    }

    SearchReply answer() {
        long start = System.nanoTime();
        Fault fault = Faults.take(Fault.Place.SEARCH);
        if (fault != null) {
            fault.sleep();
            if (fault.error != null) return failed(fault.error);
        }
        if (!request.getGroupingBlob().isEmpty()) return failed("this test server does not group");
        long covered = coverage(fault);
        try {
            Predicate<Document> filter = new Filter(schema, corpus, inputs).of(request.getQueryTree().getRoot());
            RankProfile profile = schema.profile(request.getRankProfile());
            Ranking ranking = profile.ranking(inputs, properties);
            List<Scored> hits = ranked(filter, ranking, covered, start);
            reply.setTotalHitCount(hits.size());
            if (profile.hasSecondPhase() && !hits.isEmpty())
                hits = reranked(hits, ranking, profile.rerankCount(properties));
            reply.addAllMatchFeatureNames(profile.matchFeatureNames());
            if (request.getSortingCount() > 0) addSorted(hits, ranking);
            else page(hits).forEach(hit -> reply.addHits(wire(hit, ranking)));
            return reply.build();
        } catch (UnsupportedOperationException refused) {
            return failed(refused.getMessage());
        }
    }

    private long coverage(Fault fault) {
        long covered = corpus.size(), ideal = corpus.size();
        if (fault != null) {
            covered = Math.round(corpus.size() * fault.share);
            if (fault.degraded.contains("non-ideal-state")) ideal = 2L * corpus.size();
            reply.setDegradedBySoftTimeout(fault.degraded.contains("timeout"))
                 .setDegradedByMatchPhase(fault.degraded.contains("match-phase"))
                 .setDegradedByAnnTimeout(fault.degraded.contains("ann"));
        }
        reply.setCoverageDocs(covered).setActiveDocs(corpus.size()).setTargetActiveDocs(ideal);
        return covered;
    }

    /** With soft timeout, which is Vespa's default, what was ranked in time; without it nothing then, as no answer is. */
    private List<Scored> ranked(Predicate<Document> filter, Ranking ranking, long covered,
                                long start) {
        boolean soft = !"false".equals(properties.get("vespa.softtimeout.enable"));
        long deadline = start + (long) (request.getTimeout() * 1e6 * (soft ? SOFT : 1.0));
        List<Scored> hits = new ArrayList<>();
        for (int i = 0; i < covered; i++) {
            if (System.nanoTime() > deadline) {
                if (!soft) throw new IllegalStateException("timeout");
                reply.setDegradedBySoftTimeout(true).setCoverageDocs(i);
                break;
            }
            Document document = corpus.get(i);
            if (filter.test(document)) hits.add(new Scored(document, ranking.firstPhase(document)));
        }
        hits.sort(Comparator.comparingDouble(Scored::score).reversed());
        return hits;
    }

    /** The others keep their order, with scores moved below the lowest one of the second phase. */
    private static List<Scored> reranked(List<Scored> hits, Ranking ranking, int wanted) {
        int count = Math.min(hits.size(), wanted);
        List<Scored> again = new ArrayList<>(hits.subList(0, count).stream()
                .map(hit -> new Scored(hit.document, ranking.secondPhase(hit.document)))
                .sorted(Comparator.comparingDouble(Scored::score).reversed()).toList());
        double lowest = count == 0 ? 0 : again.get(count - 1).score;
        double top = count < hits.size() ? hits.get(count).score : 0;
        for (Scored rest : hits.subList(count, hits.size()))
            again.add(new Scored(rest.document, rest.score - Math.max(0, top - lowest)));
        return again;
    }

    private void addSorted(List<Scored> hits, Ranking ranking) {
        record Keyed(Scored hit, byte[] key) {
        }
        SortKeys keys = new SortKeys(schema, request.getSortingList());
        page(hits.stream().map(hit -> new Keyed(hit, keys.of(hit.document, hit.score)))
                 .sorted((a, b) -> Arrays.compareUnsigned(a.key, b.key)).toList())
            .forEach(keyed -> reply.addHits(wire(keyed.hit, ranking).setSortData(ByteString.copyFrom(keyed.key))));
    }

    private <T> List<T> page(List<T> hits) {
        return hits.stream().skip(request.getOffset()).limit(request.getHits()).toList();
    }

    private static SearchProtocol.Hit.Builder wire(Scored hit, Ranking ranking) {
        var wire = SearchProtocol.Hit.newBuilder().setRelevance(hit.score)
                                 .setGlobalId(ByteString.copyFrom(hit.document.getId().getGlobalId()));
        for (Tensor feature : ranking.matchFeatures(hit.document))
            wire.addMatchFeatures(feature.type().rank() == 0
                    ? Feature.newBuilder().setNumber(feature.asDouble())
                    : Feature.newBuilder().setTensor(ByteString.copyFrom(TypedBinaryFormat.encode(feature))));
        return wire;
    }

    private SearchReply failed(String message) {
        return reply.addErrors(SearchProtocol.Error.newBuilder().setMessage(message)).build();
    }
}
