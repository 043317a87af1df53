package lateint.vespa;

import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.ItemNearestNeighbor;
import com.yahoo.document.Document;
import com.yahoo.document.datatypes.TensorFieldValue;
import com.yahoo.tensor.IndexedTensor;
import com.yahoo.tensor.MixedTensor;
import com.yahoo.tensor.Tensor;
import com.yahoo.vespa.config.search.AttributesConfig;

import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** nearestNeighbor, always exact: the targetHits documents that have the nearest row. */
final class Nearest {

    private record Near(Document document, double distance) {
    }

    private Nearest() {
    }

    static Predicate<Document> of(ItemNearestNeighbor item, Schema schema, Map<String, Tensor> inputs,
                                  Stream<Document> candidates) {
        AttributesConfig.Attribute attribute = schema.attribute(item.getProperties().getIndex());
        Tensor query = inputs.get("query(" + item.getQueryTensorName() + ")");
        if (query == null)
            throw new UnsupportedOperationException("query(" + item.getQueryTensorName() + ") has no value");
        double[] wanted = rows(query).get(0);
        Set<Document> hits = candidates
                .filter(document -> document.getFieldValue(attribute.name()) instanceof TensorFieldValue)
                .map(document -> new Near(document, distance(attribute, wanted, document)))
                .filter(near -> near.distance < Double.POSITIVE_INFINITY)
                .sorted(Comparator.comparingDouble(Near::distance)).limit(item.getTargetNumHits())
                .map(Near::document).collect(Collectors.toSet());
        return hits::contains;
    }

    /** Infinite for a document without rows. */
    private static double distance(AttributesConfig.Attribute attribute, double[] wanted, Document document) {
        Tensor tensor = ((TensorFieldValue) document.getFieldValue(attribute.name())).getTensor().orElseThrow();
        return rows(tensor).stream().mapToDouble(row -> distance(attribute.distancemetric(), wanted, row))
                           .min().orElse(Double.POSITIVE_INFINITY);
    }

    private static List<double[]> rows(Tensor tensor) {
        if (tensor instanceof MixedTensor mixed)
            return mixed.getInternalDenseSubspaces().stream().map(row -> row.cells).toList();
        IndexedTensor vector = (IndexedTensor) tensor;
        double[] cells = new double[(int) vector.size()];
        for (int i = 0; i < cells.length; i++) cells[i] = vector.get(i);
        return List.of(cells);
    }

    private static double distance(AttributesConfig.Attribute.Distancemetric.Enum metric, double[] a, double[] b) {
        double dot = 0, aa = 0, bb = 0;
        for (int i = 0; i < a.length; i++) {
            dot += a[i] * b[i];
            aa += a[i] * a[i];
            bb += b[i] * b[i];
        }
        return switch (metric) {
            case HAMMING -> MaxSim.distance(a, b);
            case DOTPRODUCT -> -dot;
            case ANGULAR, PRENORMALIZED_ANGULAR -> 1 - dot / Math.sqrt(aa * bb);
            case EUCLIDEAN -> aa + bb - 2 * dot;
            default -> throw new UnsupportedOperationException("this test server has no distance " + metric);
        };
    }
}
