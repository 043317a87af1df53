package lateint.vespa;

import ai.vespa.models.evaluation.FunctionEvaluator;
import com.yahoo.document.Document;
import com.yahoo.document.datatypes.BoolFieldValue;
import com.yahoo.document.datatypes.FieldValue;
import com.yahoo.document.datatypes.NumericFieldValue;
import com.yahoo.document.datatypes.TensorFieldValue;
import com.yahoo.tensor.Tensor;
import com.yahoo.tensor.TensorType;
import com.yahoo.vespa.config.search.AttributesConfig;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A rank profile for one query. Expressions run in Vespa's own evaluator, in double precision, with the type of each
 * tensor checked; those that {@link MaxSim} recognizes in its loop.
 */
final class Ranking {

    /** Whether {@link MaxSim} is used; tests compare it with Vespa's evaluator. */
    static volatile boolean shortcut = true;

    private static final Pattern CONSTANT = Pattern.compile("(?:value\\()?(-?[\\d.eE+-]+)\\)?");
    private static final Pattern ARGUMENT = Pattern.compile("(query|attribute)\\((\\w+)\\)");

    private final RankProfile profile;
    private final Map<String, Tensor> inputs;
    private final Map<String, String> query;
    /** By function and document: a match-feature often is the score again. */
    private final Map<String, Tensor> done = new HashMap<>();

    Ranking(RankProfile profile, Map<String, Tensor> inputs, Map<String, String> query) {
        this.profile = profile;
        this.inputs = inputs;
        this.query = query;
    }

    /** 0 for a profile without a first phase, where Vespa would take nativeRank. */
    double firstPhase(Document document) {
        String expression = profile.properties.get("vespa.rank.firstphase");
        return expression == null ? 0 : feature(expression, document).asDouble();
    }

    double secondPhase(Document document) {
        return feature(profile.properties.get("vespa.rank.secondphase"), document).asDouble();
    }

    List<Tensor> matchFeatures(Document document) {
        return profile.matchFeatures.stream().map(name -> feature(name, document)).toList();
    }

    private Tensor feature(String name, Document document) {
        Matcher reference = RankProfile.REFERENCE.matcher(name);
        if (reference.matches()) {
            String function = profile.resolved(reference.group(1));
            return done.computeIfAbsent(function + " " + document.getId(), key -> compute(function, document));
        }
        Matcher constant = CONSTANT.matcher(name);
        if (constant.matches()) return Tensor.from(Double.parseDouble(constant.group(1)));
        return value(name, TensorType.empty, document);
    }

    private Tensor compute(String function, Document document) {
        MaxSim maxSim = shortcut ? MaxSim.of(profile.script(function)) : null;
        if (maxSim != null)
            return maxSim.evaluate(declared(maxSim.query(), document), declared(maxSim.attribute(), document));
        FunctionEvaluator evaluator = profile.model.evaluatorOf(function);
        evaluator.function().argumentTypes()
                 .forEach((argument, type) -> evaluator.bind(argument, value(argument, type, document)));
        return evaluator.evaluate();
    }

    /** The value, held against the type that was deployed for it. */
    private Tensor declared(String argument, Document document) {
        Matcher named = ARGUMENT.matcher(argument);
        if (!named.matches()) throw unknown(argument);
        TensorType type = TensorType.fromSpec(named.group(1).equals("query")
                ? profile.properties.get("vespa.type.query." + named.group(2))
                : profile.schema.attribute(named.group(2)).tensortype());
        Tensor value = value(argument, type, document);
        if (!value.type().isAssignableTo(type))
            throw new IllegalArgumentException(argument + " is " + value.type() + ", not " + type);
        return value;
    }

    private Tensor value(String argument, TensorType type, Document document) {
        Matcher named = ARGUMENT.matcher(argument);
        if (!named.matches()) throw unknown(argument);
        if (named.group(1).equals("attribute")) return attribute(profile.schema.attribute(named.group(2)), document);
        Tensor value = inputs.get(argument);
        if (value != null) return value;
        if (type.rank() > 0) return Tensor.Builder.of(type).build();    // declared and not sent: empty, silently
        return Tensor.from(Double.parseDouble(
                query.getOrDefault(named.group(2), profile.properties.getOrDefault(argument, "0"))));
    }

    private static Tensor attribute(AttributesConfig.Attribute attribute, Document document) {
        FieldValue value = document.getFieldValue(attribute.name());
        if (value instanceof TensorFieldValue tensor && tensor.getTensor().isPresent()) return tensor.getTensor().get();
        if (!attribute.tensortype().isEmpty())
            return Tensor.Builder.of(TensorType.fromSpec(attribute.tensortype())).build();
        if (value instanceof BoolFieldValue bool) return Tensor.from(bool.getBoolean() ? 1 : 0);
        if (value instanceof NumericFieldValue number) return Tensor.from(number.getNumber().doubleValue());
        if (value == null) return Tensor.from(0);
        throw unknown("attribute(" + attribute.name() + ")");
    }

    private static UnsupportedOperationException unknown(String feature) {
        return new UnsupportedOperationException("this test server has no rank feature " + feature);
    }
}
