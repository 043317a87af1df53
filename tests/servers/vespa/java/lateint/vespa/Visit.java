package lateint.vespa;

import com.yahoo.document.BucketId;
import com.yahoo.document.BucketIdFactory;
import com.yahoo.document.Document;
import com.yahoo.document.DocumentPut;
import com.yahoo.document.select.parser.ParseException;
import com.yahoo.documentapi.AckToken;
import com.yahoo.documentapi.ProgressToken;
import com.yahoo.documentapi.VisitorControlHandler;
import com.yahoo.documentapi.VisitorControlHandler.CompletionCode;
import com.yahoo.documentapi.VisitorIterator;
import com.yahoo.documentapi.VisitorParameters;
import com.yahoo.documentapi.VisitorResponse;
import com.yahoo.documentapi.VisitorSession;
import com.yahoo.documentapi.messagebus.protocol.PutDocumentMessage;
import com.yahoo.messagebus.DynamicThrottlePolicy;
import com.yahoo.messagebus.Trace;
import com.yahoo.vdslib.VisitorStatistics;

import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/** A visit of superbuckets, several at once, by Vespa's own iterator and progress token: slices and continuations are real. */
final class Visit implements VisitorSession {

    /** Of a superbucket; a small cluster has 8 or 16. */
    private static final int BITS = 8;

    /** To how many buckets at once a stream's window may have grown, unless it is told a maximum. */
    private static final int WINDOW = 20;

    private final Store store;
    private final VisitorParameters parameters;
    private final VisitorControlHandler control;
    private final ProgressToken token;
    private final VisitorIterator iterator;
    private final Function<Document, Boolean> selector;
    private volatile boolean aborted = false;

    Visit(Store store, VisitorParameters parameters) throws ParseException {
        this.store = store;
        this.parameters = parameters;
        token = parameters.getResumeToken() == null ? new ProgressToken(BITS) : parameters.getResumeToken();
        selector = Store.selector(parameters.getDocumentSelection());
        iterator = VisitorIterator.createFromDocumentSelection(parameters.getDocumentSelection(), new BucketIdFactory(),
                                                               BITS, token, parameters.getSlices(), parameters.getSliceId());
        if (parameters.getThrottlePolicy() instanceof DynamicThrottlePolicy window) window.setMinWindowSize(WINDOW);
        control = parameters.getControlHandler();
        control.reset();
        control.setSession(this);
        parameters.getLocalDataHandler().reset();
        parameters.getLocalDataHandler().setSession(this);
        new Thread(this::run, "visit").start();
    }

    private void run() {
        try {
            visit(Faults.take(Fault.Place.VISIT));
        } catch (RuntimeException e) {
            control.onDone(CompletionCode.FAILURE, e.toString());
        }
    }

    private void visit(Fault fault) {
        VisitorStatistics statistics = new VisitorStatistics();
        Map<BucketId, List<Document>> buckets = store.byBucket(BITS);
        Map<BucketId, Iterator<Document>> begun = new LinkedHashMap<>();
        long end = System.nanoTime() + parameters.getSessionTimeoutMs() * 1_000_000;
        long sent = 0;
        while (true) {                                              // what is begun is ended, also of an aborted visit
            boolean full = aborted || parameters.getMaxTotalHits() >= 0 && sent >= parameters.getMaxTotalHits();
            while (!full && parameters.getThrottlePolicy().canSend(null, begun.size()) && iterator.hasNext()) {
                BucketId bucket = iterator.getNext().getSuperbucket();
                List<Document> documents = buckets.getOrDefault(bucket, List.of());
                begun.put(bucket, documents.iterator());
                if (fault != null && !documents.isEmpty()) fault.sleep();
                boolean late = parameters.getSessionTimeoutMs() >= 0 && System.nanoTime() > end;
                boolean failing = fault != null && fault.outcome != null && sent >= fault.documents;
                if (late || failing) {
                    for (BucketId unfinished : begun.keySet()) iterator.update(unfinished, ProgressToken.NULL_BUCKET);
                    if (late) control.onDone(CompletionCode.TIMEOUT, "Session timeout expired");
                    else control.onDone(CompletionCode.FAILURE, fault.message);
                    return;
                }
            }
            if (begun.isEmpty()) break;
            for (BucketId bucket : List.copyOf(begun.keySet())) {  // whole buckets, whatever the page size: as Vespa does
                Document document = next(begun.get(bucket));
                if (document != null) {
                    Document copy = store.project(document, parameters.getFieldSet());
                    parameters.getLocalDataHandler().onMessage(new PutDocumentMessage(new DocumentPut(copy)),
                                                               new AckToken(copy.getId()));
                    sent++;
                    continue;
                }
                begun.remove(bucket);
                iterator.update(bucket, ProgressToken.FINISHED_BUCKET);
                statistics.setBucketsVisited(statistics.getBucketsVisited() + 1);
                statistics.setDocumentsVisited(sent);
                statistics.setDocumentsReturned(sent);
                control.onVisitorStatistics(statistics);
                control.onProgress(token);
            }
        }
        control.onDone(aborted ? CompletionCode.ABORTED : CompletionCode.SUCCESS, "");
    }

    private Document next(Iterator<Document> documents) {
        while (documents.hasNext()) {
            Document document = documents.next();
            if (selector.apply(document)) return document;
        }
        return null;
    }

    @Override public boolean isDone() {
        return control.isDone();
    }

    @Override public ProgressToken getProgress() {
        return token;
    }

    @Override public Trace getTrace() {
        return new Trace();
    }

    @Override public boolean waitUntilDone(long timeoutMs) throws InterruptedException {
        return control.waitUntilDone(timeoutMs);
    }

    @Override public void ack(AckToken ack) {
    }

    @Override public void abort() {
        aborted = true;
    }

    @Override public VisitorResponse getNext() {
        return null;
    }

    @Override public VisitorResponse getNext(int timeoutMilliseconds) {
        return null;
    }

    @Override public void destroy() {
        aborted = true;
    }
}
