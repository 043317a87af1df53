package lateint.vespa;

import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.SortField;
import com.yahoo.document.Document;
import com.yahoo.document.datatypes.BoolFieldValue;
import com.yahoo.document.datatypes.FieldValue;
import com.yahoo.document.datatypes.NumericFieldValue;
import com.yahoo.vespa.config.search.AttributesConfig;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.List;

/**
 * `order by`: bytes whose order is that of the documents, which the container merges by.
 *
 * Single numbers, and strings whose schema says `sorting { function: raw }`; the collation that is the default for strings
 * is ICU's, which is not here.
 */
final class SortKeys {

    private final Schema schema;
    private final List<SortField> fields;

    SortKeys(Schema schema, List<SortField> fields) {
        this.schema = schema;
        this.fields = fields;
    }

    byte[] of(Document document, double score) {
        ByteArrayOutputStream key = new ByteArrayOutputStream();
        for (SortField field : fields) {
            byte[] part = field.getField().equals("[rank]") ? ordered(score) : part(field.getField(), document);
            for (byte b : part) key.write(field.getAscending() ? b : ~b);
        }
        return key.toByteArray();
    }

    private byte[] part(String name, Document document) {
        if (!name.matches("\\w+")) throw refused(name);
        AttributesConfig.Attribute attribute = schema.attribute(name);
        boolean text = attribute.datatype() == AttributesConfig.Attribute.Datatype.STRING;
        if (attribute.collectiontype() != AttributesConfig.Attribute.Collectiontype.SINGLE
            || (text && attribute.sortfunction() != AttributesConfig.Attribute.Sortfunction.RAW))
            throw refused(name);
        FieldValue value = document.getFieldValue(name);
        if (text) return ((value == null ? "" : value.toString()) + '\0').getBytes(StandardCharsets.UTF_8);
        if (value instanceof BoolFieldValue bool) return ordered(bool.getBoolean() ? 1L : 0L);
        if (!(value instanceof NumericFieldValue numeric)) return new byte[Long.BYTES];     // unset: before all others
        Number number = numeric.getNumber();
        return number instanceof Float || number instanceof Double
               ? ordered(number.doubleValue()) : ordered(number.longValue());
    }

    private static UnsupportedOperationException refused(String name) {
        return new UnsupportedOperationException(
                "this test server sorts by single numbers, and by strings with `sorting { function: raw }`; not by " + name);
    }

    private static byte[] ordered(long value) {
        return ByteBuffer.allocate(Long.BYTES).putLong(value ^ Long.MIN_VALUE).array();
    }

    private static byte[] ordered(double value) {
        long bits = Double.doubleToLongBits(value);
        return ByteBuffer.allocate(Long.BYTES).putLong(bits < 0 ? ~bits : bits ^ Long.MIN_VALUE).array();
    }
}
