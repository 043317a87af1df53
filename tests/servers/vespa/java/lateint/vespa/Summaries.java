package lateint.vespa;

import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.DocsumReply;
import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.DocsumRequest;
import com.google.protobuf.ByteString;
import com.yahoo.document.Document;
import com.yahoo.document.datatypes.Array;
import com.yahoo.document.datatypes.BoolFieldValue;
import com.yahoo.document.datatypes.FieldValue;
import com.yahoo.document.datatypes.NumericFieldValue;
import com.yahoo.document.datatypes.TensorFieldValue;
import com.yahoo.slime.ArrayInserter;
import com.yahoo.slime.BinaryFormat;
import com.yahoo.slime.Cursor;
import com.yahoo.slime.Inserter;
import com.yahoo.slime.ObjectInserter;
import com.yahoo.slime.Slime;
import com.yahoo.tensor.serialization.TypedBinaryFormat;
import com.yahoo.vespa.config.search.SummaryConfig;

/** The second half of a query at one content node: the fields of the hits that go to the client. */
final class Summaries {

    private Summaries() {
    }

    static DocsumReply answer(DocsumRequest request) {
        Fault fault = Faults.take(Fault.Place.FILL);
        if (fault != null) {
            fault.sleep();
            if (fault.error != null) throw new IllegalStateException(fault.error);
        }
        int missing = fault == null ? 0 : fault.missing;
        SummaryConfig.Classes summary = Schema.of(request.getDocumentType()).summary(request.getSummaryClass());
        Slime slime = new Slime();
        Cursor docsums = slime.setObject().setArray("docsums");
        for (ByteString globalId : request.getGlobalIdsList()) {
            Cursor entry = docsums.addObject();
            Document document = Store.instance.get(globalId.toByteArray());
            if (document == null || missing-- > 0) continue;        // removed in between: the container sees to it
            Cursor docsum = entry.setObject("docsum");
            for (SummaryConfig.Classes.Fields field : summary.fields())
                if (request.getFieldsCount() == 0 || request.getFieldsList().contains(field.name()))
                    add(docsum, field, document);
        }
        return DocsumReply.newBuilder().setSlimeSummaries(ByteString.copyFrom(BinaryFormat.encode(slime))).build();
    }

    private static void add(Cursor docsum, SummaryConfig.Classes.Fields field, Document document) {
        if (field.command().equals("documentid")) {
            docsum.setString(field.name(), document.getId().toString());
            return;
        }
        FieldValue value = document.getFieldValue(field.source().isEmpty() ? field.name() : field.source());
        if (value != null) insert(new ObjectInserter(docsum, field.name()), value);
    }

    private static void insert(Inserter to, FieldValue value) {
        if (value instanceof TensorFieldValue tensor) {
            to.insertDATA(TypedBinaryFormat.encode(tensor.getTensor().orElseThrow()));
        } else if (value instanceof BoolFieldValue bool) {
            to.insertBOOL(bool.getBoolean());
        } else if (value instanceof NumericFieldValue numeric) {
            Number number = numeric.getNumber();
            if (number instanceof Float || number instanceof Double) to.insertDOUBLE(number.doubleValue());
            else to.insertLONG(number.longValue());
        } else if (value instanceof Array<?> array) {
            Cursor items = to.insertARRAY();
            array.forEach(item -> insert(new ArrayInserter(items), item));
        } else {
            to.insertSTRING(value.toString());
        }
    }
}
