package lateint.vespa;

import com.yahoo.document.Document;
import com.yahoo.document.Field;
import com.yahoo.document.datatypes.Array;
import com.yahoo.document.datatypes.BoolFieldValue;
import com.yahoo.document.datatypes.FieldValue;
import com.yahoo.document.datatypes.NumericFieldValue;
import com.yahoo.document.datatypes.StringFieldValue;
import com.yahoo.vespa.config.search.AttributesConfig;
import com.yahoo.vespa.config.search.SummaryConfig;
import com.yahoo.vespa.model.VespaModel;
import com.yahoo.vespa.model.search.DocumentDatabase;
import com.yahoo.vespa.model.search.SearchCluster;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** What a content node is told of one schema, and the rules of its attributes. */
final class Schema {

    private static volatile Map<String, Schema> deployed = Map.of();

    private final Map<String, AttributesConfig.Attribute> attributes = new HashMap<>();
    private final Map<String, SummaryConfig.Classes> summaries = new HashMap<>();
    private final Map<String, RankProfile> profiles;

    private Schema(DocumentDatabase database) {
        var attributesConfig = new AttributesConfig.Builder();
        database.getConfig(attributesConfig);
        attributesConfig.build().attribute().forEach(attribute -> attributes.put(attribute.name(), attribute));
        var summaryConfig = new SummaryConfig.Builder();
        database.getConfig(summaryConfig);
        summaryConfig.build().classes().forEach(summary -> summaries.put(summary.name(), summary));
        profiles = RankProfile.all(database, this);
    }

    static void deploy(VespaModel model) {
        Map<String, Schema> schemas = new HashMap<>();
        for (SearchCluster cluster : model.getSearchClusters())
            for (DocumentDatabase database : cluster.getDocumentDbs())
                schemas.put(database.getSchemaName(), new Schema(database));
        deployed = schemas;
    }

    /** Of a document type; schemas and document types have the same name. */
    static Schema of(String documentType) {
        Schema schema = deployed.get(documentType);
        if (schema == null) throw new IllegalArgumentException("no schema '" + documentType + "' is deployed");
        return schema;
    }

    AttributesConfig.Attribute attribute(String name) {
        AttributesConfig.Attribute attribute = attributes.get(name);
        if (attribute == null)
            throw new UnsupportedOperationException(
                    "this test server looks only into attributes, and '" + name + "' is none (no text index, no bm25)");
        return attribute;
    }

    boolean isAttribute(String name) {
        return attributes.containsKey(name);
    }

    RankProfile profile(String name) {
        return profiles.get(name);
    }

    SummaryConfig.Classes summary(String name) {
        return summaries.get(name);
    }

    /**
     * Leaves in a document what a content node could read back from its attributes: nothing of values that an attribute
     * cannot tell from none (smallest integer, NaN, empty string or array), false for a bool that was not set.
     */
    void settle(Document document) {
        for (AttributesConfig.Attribute attribute : attributes.values()) {
            Field field = document.getField(attribute.name());
            if (field == null) continue;
            FieldValue value = document.getFieldValue(field);
            if (value == null && isSingleBool(attribute)) document.setFieldValue(field, new BoolFieldValue(false));
            if (value != null && isUndefined(value)) document.removeFieldValue(field);
        }
    }

    static boolean isSingleBool(AttributesConfig.Attribute attribute) {
        return attribute.datatype() == AttributesConfig.Attribute.Datatype.BOOL
               && attribute.collectiontype() == AttributesConfig.Attribute.Collectiontype.SINGLE;
    }

    private static boolean isUndefined(FieldValue value) {
        if (value instanceof Array<?> array) return array.isEmpty();
        if (value instanceof StringFieldValue text) return text.getString().isEmpty();
        if (!(value instanceof NumericFieldValue numeric)) return false;
        Number number = numeric.getNumber();
        if (number instanceof Float || number instanceof Double) return Double.isNaN(number.doubleValue());
        return number.longValue() == undefined(number);
    }

    private static long undefined(Number number) {
        if (number instanceof Long) return Long.MIN_VALUE;
        if (number instanceof Integer) return Integer.MIN_VALUE;
        return number instanceof Short ? Short.MIN_VALUE : Byte.MIN_VALUE;
    }

    /** The values of an attribute, none, one or those of an array. */
    static List<FieldValue> values(Document document, String attribute) {
        FieldValue value = document.getFieldValue(attribute);
        if (value == null) return List.of();
        return value instanceof Array<?> array ? new ArrayList<>(array) : List.of(value);
    }
}
