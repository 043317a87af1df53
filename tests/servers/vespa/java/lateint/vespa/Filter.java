package lateint.vespa;

import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.ItemFloatingPointRangeTerm;
import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.ItemIntegerRangeTerm;
import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.QueryTreeItem;
import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.TermItemProperties;
import com.yahoo.document.Document;
import com.yahoo.document.datatypes.BoolFieldValue;
import com.yahoo.document.datatypes.NumericFieldValue;
import com.yahoo.tensor.Tensor;
import com.yahoo.vespa.config.search.AttributesConfig;

import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Predicate;

/** The query tree that the container sent, as a predicate on documents. What it does not know, it refuses. */
final class Filter {

    private final Schema schema;
    private final List<Document> corpus;
    private final Map<String, Tensor> inputs;

    Filter(Schema schema, List<Document> corpus, Map<String, Tensor> inputs) {
        this.schema = schema;
        this.corpus = corpus;
        this.inputs = inputs;
    }

    Predicate<Document> of(QueryTreeItem root) {
        return of(root, document -> true);
    }

    /** "scope" is what the rest of an AND already asks for: nearestNeighbor takes its hits from those. */
    private Predicate<Document> of(QueryTreeItem item, Predicate<Document> scope) {
        return switch (item.getItemCase()) {
            case ITEM_TRUE -> document -> true;
            case ITEM_FALSE -> document -> false;
            case ITEM_AND -> {
                for (QueryTreeItem child : item.getItemAnd().getChildrenList())
                    if (!hasNearest(child)) scope = scope.and(of(child, scope));
                Predicate<Document> all = scope;
                for (QueryTreeItem child : item.getItemAnd().getChildrenList())
                    if (hasNearest(child)) all = all.and(of(child, scope));
                yield all;
            }
            case ITEM_OR -> any(item.getItemOr().getChildrenList(), scope);
            case ITEM_RANK -> of(item.getItemRank().getChildren(0), scope);
            case ITEM_AND_NOT -> {
                List<QueryTreeItem> children = item.getItemAndNot().getChildrenList();
                Predicate<Document> not = any(children.subList(1, children.size()), scope).negate();
                yield of(children.get(0), scope.and(not)).and(not);
            }
            case ITEM_WORD_TERM ->
                word(item.getItemWordTerm().getProperties(), List.of(item.getItemWordTerm().getWord()));
            case ITEM_EXACTSTRING_TERM ->
                word(item.getItemExactstringTerm().getProperties(), List.of(item.getItemExactstringTerm().getWord()));
            case ITEM_STRING_IN -> word(item.getItemStringIn().getProperties(), item.getItemStringIn().getWordsList());
            case ITEM_INTEGER_TERM -> {
                long wanted = item.getItemIntegerTerm().getNumber();
                yield number(item.getItemIntegerTerm().getProperties(), x -> compare(x, wanted) == 0);
            }
            case ITEM_FLOATING_POINT_TERM -> {
                double wanted = item.getItemFloatingPointTerm().getNumber();
                // A fraction asked of whole numbers is rounded: so does Vespa.
                yield number(item.getItemFloatingPointTerm().getProperties(),
                             x -> isWhole(x) ? x.longValue() == Math.round(wanted) : compare(x, wanted) == 0);
            }
            case ITEM_NUMERIC_IN -> {
                List<Long> wanted = item.getItemNumericIn().getNumbersList();
                yield number(item.getItemNumericIn().getProperties(),
                             x -> wanted.stream().anyMatch(n -> compare(x, (long) n) == 0));
            }
            case ITEM_INTEGER_RANGE_TERM -> range(item.getItemIntegerRangeTerm());
            case ITEM_FLOATING_POINT_RANGE_TERM -> range(item.getItemFloatingPointRangeTerm());
            case ITEM_NEAREST_NEIGHBOR ->
                Nearest.of(item.getItemNearestNeighbor(), schema, inputs, corpus.stream().filter(scope));
            default -> throw new UnsupportedOperationException(
                    "this test server does not know the query item " + item.getItemCase());
        };
    }

    private Predicate<Document> any(List<QueryTreeItem> items, Predicate<Document> scope) {
        return items.stream().map(item -> of(item, scope)).reduce(document -> false, Predicate::or);
    }

    private static boolean hasNearest(QueryTreeItem item) {
        return item.hasItemNearestNeighbor()
               || item.getItemOr().getChildrenList().stream().anyMatch(Filter::hasNearest)
               || item.getItemAnd().getChildrenList().stream().anyMatch(Filter::hasNearest);
    }

    private AttributesConfig.Attribute searched(TermItemProperties term) {
        AttributesConfig.Attribute attribute = schema.attribute(term.getIndex());
        if (attribute.collectiontype() == AttributesConfig.Attribute.Collectiontype.WEIGHTEDSET
            || attribute.name().contains("."))
            throw new UnsupportedOperationException(
                    "this test server looks into single values and arrays of them, not into " + attribute.name());
        return attribute;
    }

    private Predicate<Document> word(TermItemProperties term, List<String> words) {
        boolean cased = searched(term).match() == AttributesConfig.Attribute.Match.CASED;
        List<String> wanted = cased ? words : words.stream().map(word -> word.toLowerCase(Locale.ROOT)).toList();
        return document -> Schema.values(document, term.getIndex()).stream().anyMatch(value -> {
            String text = value instanceof BoolFieldValue bool ? String.valueOf(bool.getBoolean()) : value.toString();
            return wanted.contains(cased ? text : text.toLowerCase(Locale.ROOT));
        });
    }

    private Predicate<Document> number(TermItemProperties term, Predicate<Number> wanted) {
        searched(term);
        return document -> Schema.values(document, term.getIndex()).stream().anyMatch(value ->
                value instanceof BoolFieldValue bool ? wanted.test(bool.getBoolean() ? 1L : 0L)
                : value instanceof NumericFieldValue number && wanted.test(number.getNumber()));
    }

    /** The largest and smallest long stand for no limit. */
    private Predicate<Document> range(ItemIntegerRangeTerm term) {
        long low = term.getLowerLimit(), high = term.getUpperLimit();
        return number(term.getProperties(), x ->
                (low == Long.MIN_VALUE || within(compare(x, low), term.getLowerInclusive()))
                && (high == Long.MAX_VALUE || within(-compare(x, high), term.getUpperInclusive())));
    }

    private Predicate<Document> range(ItemFloatingPointRangeTerm term) {
        return number(term.getProperties(), x ->
                within(compare(x, term.getLowerLimit()), term.getLowerInclusive())
                && within(-compare(x, term.getUpperLimit()), term.getUpperInclusive()));
    }

    private static boolean within(int order, boolean inclusive) {
        return order > 0 || (inclusive && order == 0);
    }

    private static boolean isWhole(Number x) {
        return !(x instanceof Float || x instanceof Double);
    }

    private static int compare(Number x, long limit) {
        return isWhole(x) ? Long.compare(x.longValue(), limit) : compare(x, (double) limit);
    }

    /** With a float, the limit is a float too: so does Vespa. */
    private static int compare(Number x, double limit) {
        double to = x instanceof Float ? (float) limit : limit;
        double value = x.doubleValue();
        return value < to ? -1 : value > to ? 1 : 0;                // 0.0 and -0.0 are the same
    }
}
