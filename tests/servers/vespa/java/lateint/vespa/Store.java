package lateint.vespa;

import com.yahoo.document.BucketId;
import com.yahoo.document.BucketIdFactory;
import com.yahoo.document.Document;
import com.yahoo.document.DocumentId;
import com.yahoo.document.DocumentPut;
import com.yahoo.document.DocumentRemove;
import com.yahoo.document.DocumentTypeManager;
import com.yahoo.document.DocumentUpdate;
import com.yahoo.document.Field;
import com.yahoo.document.TensorDataType;
import com.yahoo.document.TestAndSetCondition;
import com.yahoo.document.datatypes.TensorFieldValue;
import com.yahoo.document.fieldset.FieldSetRepo;
import com.yahoo.document.select.DocumentSelector;
import com.yahoo.document.select.Result;
import com.yahoo.document.select.parser.ParseException;
import com.yahoo.document.serialization.DocumentDeserializerFactory;
import com.yahoo.document.serialization.DocumentSerializer;
import com.yahoo.document.serialization.DocumentSerializerFactory;
import com.yahoo.io.GrowableByteBuffer;
import com.yahoo.tensor.Tensor;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Function;

/**
 * The documents of all content nodes. Every write passes through Vespa's binary document format, as it does on its way to a
 * content node: there tensor cells get the field's cell type, which truncates float to bfloat16.
 */
public final class Store {

    /** One per process: documents outlive deployments. */
    public static final Store instance = new Store();

    enum Write { OK, NOT_FOUND, CONDITION_FAILED }

    private final BucketIdFactory buckets = new BucketIdFactory();
    private final Map<String, Document> documents = new ConcurrentHashMap<>();
    private Journal journal;
    /** What a former process left, until there are types to read it with. */
    private Map<String, byte[]> left = Map.of();
    private volatile DocumentTypeManager types;

    private Store() {
    }

    void open(Path file) {
        journal = new Journal(file);
        left = journal.read();
    }

    /** Another application: its types read all documents again. Those it has no type for are gone, as their schema is. */
    synchronized void useTypes(DocumentTypeManager newTypes) {
        types = newTypes;
        Map<String, byte[]> all = new TreeMap<>(left);
        documents.forEach((key, document) -> all.put(key, bytes(document)));
        left = Map.of();
        documents.clear();
        all.forEach((key, bytes) -> {
            try {
                documents.put(key, read(bytes));
            } catch (RuntimeException e) {
                journal.append(HexFormat.of().parseHex(key), new byte[0]);
            }
        });
    }

    synchronized void clear() {
        documents.clear();
        left = Map.of();
        journal.clear();
    }

    Collection<Document> all() {
        return documents.values();
    }

    Document get(DocumentId id) {
        return get(id.getGlobalId());
    }

    Document get(byte[] globalId) {
        return documents.get(HexFormat.of().formatHex(globalId));
    }

    synchronized Write put(DocumentPut put) {
        Document old = get(put.getId());
        if (!holds(put.getCondition(), old, put.getCreateIfNonExistent())) return Write.CONDITION_FAILED;
        keep(put.getDocument());
        return Write.OK;
    }

    synchronized Write update(DocumentUpdate update) {
        Document old = get(update.getId());
        boolean create = update.getCreateIfNonExistent();
        if (!holds(update.getCondition(), old, create)) return Write.CONDITION_FAILED;
        if (old == null && !create) return Write.NOT_FOUND;
        Document next = old == null
                ? new Document(types.getDocumentType(update.getId().getDocType()), update.getId()) : old.clone();
        update.applyTo(next);
        keep(next);
        return Write.OK;
    }

    synchronized Write remove(DocumentRemove remove) {
        Document old = get(remove.getId());
        if (!holds(remove.getCondition(), old, false)) return Write.CONDITION_FAILED;
        if (old == null) return Write.NOT_FOUND;
        documents.remove(HexFormat.of().formatHex(old.getId().getGlobalId()));
        journal.append(old.getId().getGlobalId(), new byte[0]);
        return Write.OK;
    }

    /** A copy with only the fields of a field set such as "page:[document]" or "page:doc_id,lang". */
    Document project(Document document, String fieldSet) {
        Document copy = new Document(document.getDataType(), document.getId());
        FieldSetRepo repo = new FieldSetRepo();
        repo.copyFields(document, copy, repo.parse(types, fieldSet));
        return copy;
    }

    /** Documents by superbucket of so many bits, for visiting; inside a bucket in a fixed order. */
    Map<BucketId, List<Document>> byBucket(int bits) {
        Map<BucketId, List<Document>> map = new TreeMap<>(Comparator.comparingLong(BucketId::getId));
        new TreeMap<>(documents).values().forEach(document -> {
            BucketId bucket = new BucketId(bits, buckets.getBucketId(document.getId()).getId());
            map.computeIfAbsent(bucket, __ -> new ArrayList<>()).add(document);
        });
        return map;
    }

    static Function<Document, Boolean> selector(String selection) throws ParseException {
        if (selection == null || selection.isEmpty()) return __ -> true;
        DocumentSelector selector = new DocumentSelector(selection);
        return document -> selector.accepts(new DocumentPut(document)) == Result.TRUE;
    }

    private static boolean holds(TestAndSetCondition condition, Document old, boolean create) {
        if (!condition.isPresent()) return true;
        if (old == null) return create;
        try {
            return selector(condition.getSelection()).apply(old);
        } catch (ParseException e) {
            throw new IllegalArgumentException(e);
        }
    }

    private void keep(Document document) {
        Document kept = read(bytes(document));
        byte[] id = kept.getId().getGlobalId();
        journal.append(id, bytes(kept));
        documents.put(HexFormat.of().formatHex(id), kept);
    }

    private static byte[] bytes(Document document) {
        GrowableByteBuffer buffer = new GrowableByteBuffer();
        DocumentSerializer serializer = DocumentSerializerFactory.createHead(buffer);
        document.serialize(serializer);
        buffer.flip();
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return bytes;
    }

    private Document read(byte[] bytes) {
        Document document = new Document(DocumentDeserializerFactory.createHead(types, GrowableByteBuffer.wrap(bytes)));
        for (Field field : document.getDataType().fieldSet())       // written before the field's type was changed
            if (field.getDataType() instanceof TensorDataType type
                && document.getFieldValue(field) instanceof TensorFieldValue value
                && !value.getTensor().map(Tensor::type).equals(Optional.of(type.getTensorType())))
                document.removeFieldValue(field);
        Schema.of(document.getDataType().getName()).settle(document);
        return document;
    }
}
