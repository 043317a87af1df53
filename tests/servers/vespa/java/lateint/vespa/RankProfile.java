package lateint.vespa;

import ai.vespa.models.evaluation.Model;
import ai.vespa.models.evaluation.ModelsEvaluator;
import com.yahoo.filedistribution.fileacquirer.MockFileAcquirer;
import com.yahoo.searchlib.rankingexpression.RankingExpression;
import com.yahoo.searchlib.rankingexpression.parser.ParseException;
import com.yahoo.tensor.Tensor;
import com.yahoo.vespa.config.search.RankProfilesConfig;
import com.yahoo.vespa.config.search.core.OnnxModelsConfig;
import com.yahoo.vespa.config.search.core.RankingConstantsConfig;
import com.yahoo.vespa.config.search.core.RankingExpressionsConfig;
import com.yahoo.vespa.model.search.DocumentDatabase;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** One deployed rank profile, as Vespa derives it for a content node. */
final class RankProfile {

    /** Settings that drop hits or change which are ranked: keep-rank-count, rank-score-drop-limit, match-phase. */
    private static final List<String> NOT_DONE = List.of(
            "vespa.hitcollector.arraysize", "vespa.hitcollector.rankscoredroplimit",
            "vespa.hitcollector.secondphase.rankscoredroplimit", "vespa.matchphase.degradation.attribute");

    static final Pattern REFERENCE = Pattern.compile("rankingExpression\\((\\w+)\\)");
    private static final Pattern SCRIPT = Pattern.compile("rankingExpression\\((\\w+)\\)\\.rankingScript");

    final Schema schema;
    final Model model;
    final Map<String, String> properties = new HashMap<>();
    final List<String> matchFeatures = new ArrayList<>();
    private final Map<String, String> scripts = new HashMap<>();
    private final Map<String, String> renamed = new HashMap<>();

    static Map<String, RankProfile> all(DocumentDatabase database, Schema schema) {
        var profiles = new RankProfilesConfig.Builder();
        database.getConfig(profiles);
        var constants = new RankingConstantsConfig.Builder();
        database.getConfig(constants);
        var expressions = new RankingExpressionsConfig.Builder();
        database.getConfig(expressions);
        RankProfilesConfig config = profiles.build();
        ModelsEvaluator models = new ModelsEvaluator(config, constants.build(), expressions.build(),
                                                     new OnnxModelsConfig.Builder().build(),
                                                     MockFileAcquirer.returnFile(null));
        Map<String, RankProfile> all = new HashMap<>();
        for (var profile : config.rankprofile())
            all.put(profile.name(), new RankProfile(profile, models.requireModel(profile.name()), schema));
        return all;
    }

    private RankProfile(RankProfilesConfig.Rankprofile config, Model model, Schema schema) {
        this.model = model;
        this.schema = schema;
        String rename = null;
        for (var property : config.fef().property()) {
            properties.put(property.name(), property.value());
            if (property.name().equals("vespa.match.feature")) matchFeatures.add(property.value());
            if (property.name().equals("vespa.feature.rename")) {   // a list of old, new, old, new …
                if (rename == null) {
                    rename = property.value();
                } else {
                    renamed.put(rename, property.value());
                    rename = null;
                }
            }
            Matcher script = SCRIPT.matcher(property.name());
            if (script.matches()) scripts.put(script.group(1), canonical(property.value()));
        }
    }

    private static String canonical(String script) {
        try {
            return new RankingExpression(script).getRoot().toString();
        } catch (ParseException e) {
            throw new IllegalArgumentException(e);
        }
    }

    boolean hasSecondPhase() {
        return properties.containsKey("vespa.rank.secondphase");
    }

    /** How many hits of one node are ranked again, unless the query says otherwise. */
    int rerankCount(Map<String, String> query) {
        String name = "vespa.hitcollector.heapsize";
        return Integer.parseInt(query.getOrDefault(name, properties.getOrDefault(name, "100")));
    }

    List<String> matchFeatureNames() {
        return matchFeatures.stream().map(feature -> renamed.getOrDefault(feature, feature)).toList();
    }

    /** Canonical text of a function, empty if it has none. */
    String script(String function) {
        return scripts.getOrDefault(function, "");
    }

    /** The function at the end of functions that only name another one. */
    String resolved(String function) {
        for (Matcher next; (next = REFERENCE.matcher(script(function))).matches(); ) function = next.group(1);
        return function;
    }

    Ranking ranking(Map<String, Tensor> inputs, Map<String, String> query) {
        for (String setting : NOT_DONE)
            if (properties.containsKey(setting) || query.containsKey(setting))
                throw new UnsupportedOperationException("this test server does not know " + setting);
        return new Ranking(this, inputs, query);
    }
}
