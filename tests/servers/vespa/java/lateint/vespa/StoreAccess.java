package lateint.vespa;

import com.yahoo.document.Document;
import com.yahoo.document.DocumentId;
import com.yahoo.document.DocumentPut;
import com.yahoo.document.DocumentRemove;
import com.yahoo.document.DocumentUpdate;
import com.yahoo.document.config.DocumentmanagerConfig;
import com.yahoo.document.select.parser.ParseException;
import com.yahoo.documentapi.AsyncParameters;
import com.yahoo.documentapi.AsyncSession;
import com.yahoo.documentapi.DocumentAccess;
import com.yahoo.documentapi.DocumentAccessParams;
import com.yahoo.documentapi.DocumentOperationParameters;
import com.yahoo.documentapi.DocumentResponse;
import com.yahoo.documentapi.RemoveResponse;
import com.yahoo.documentapi.Response;
import com.yahoo.documentapi.Result;
import com.yahoo.documentapi.SubscriptionParameters;
import com.yahoo.documentapi.SubscriptionSession;
import com.yahoo.documentapi.SyncParameters;
import com.yahoo.documentapi.SyncSession;
import com.yahoo.documentapi.UpdateResponse;
import com.yahoo.documentapi.VisitorDestinationParameters;
import com.yahoo.documentapi.VisitorDestinationSession;
import com.yahoo.documentapi.VisitorParameters;
import com.yahoo.documentapi.VisitorSession;

import java.util.function.Supplier;

/** Vespa's document API over the {@link Store}: what /document/v1 talks to instead of the message bus. */
public final class StoreAccess extends DocumentAccess {

    private final Store store = Store.instance;

    public StoreAccess(DocumentmanagerConfig config) {
        super(new DocumentAccessParams().setDocumentmanagerConfig(config));
        store.useTypes(getDocumentTypeManager());
    }

    @Override public AsyncSession createAsyncSession(AsyncParameters parameters) {
        return new Session();
    }

    @Override public VisitorSession createVisitorSession(VisitorParameters parameters) throws ParseException {
        return new Visit(store, parameters);
    }

    @Override public SyncSession createSyncSession(SyncParameters parameters) {
        throw new UnsupportedOperationException();
    }

    @Override public VisitorDestinationSession createVisitorDestinationSession(VisitorDestinationParameters parameters) {
        throw new UnsupportedOperationException();
    }

    @Override public SubscriptionSession createSubscription(SubscriptionParameters parameters) {
        throw new UnsupportedOperationException();
    }

    @Override public SubscriptionSession openSubscription(SubscriptionParameters parameters) {
        throw new UnsupportedOperationException();
    }

    /** Answers in the calling thread. */
    private final class Session implements AsyncSession {

        private static final DocumentOperationParameters NONE = DocumentOperationParameters.parameters();

        @Override public Result put(Document document) {
            return put(new DocumentPut(document), NONE);
        }

        @Override public Result get(DocumentId id) {
            return get(id, NONE);
        }

        @Override public Result remove(DocumentId id) {
            return remove(new DocumentRemove(id), NONE);
        }

        @Override public Result update(DocumentUpdate update) {
            return update(update, NONE);
        }

        @Override public Result put(DocumentPut put, DocumentOperationParameters parameters) {
            return answer(parameters, () -> switch (store.put(put)) {
                case CONDITION_FAILED -> conditionFailed();
                default -> new DocumentResponse(0, put.getDocument());
            });
        }

        @Override public Result update(DocumentUpdate update, DocumentOperationParameters parameters) {
            return answer(parameters, () -> switch (store.update(update)) {
                case CONDITION_FAILED -> conditionFailed();
                case NOT_FOUND -> new UpdateResponse(0, false);
                case OK -> new UpdateResponse(0, true);
            });
        }

        @Override public Result remove(DocumentRemove remove, DocumentOperationParameters parameters) {
            return answer(parameters, () -> switch (store.remove(remove)) {
                case CONDITION_FAILED -> conditionFailed();
                case NOT_FOUND -> new RemoveResponse(0, false);
                case OK -> new RemoveResponse(0, true);
            });
        }

        @Override public Result get(DocumentId id, DocumentOperationParameters parameters) {
            return answer(parameters, () -> {
                Document found = store.get(id);
                String fieldSet = parameters.fieldSet().orElse("[document]");
                return new DocumentResponse(0, found == null ? null : store.project(found, fieldSet));
            });
        }

        private Response conditionFailed() {
            return new Response(0, "Condition did not match document", Response.Outcome.CONDITION_FAILED);
        }

        private Result answer(DocumentOperationParameters parameters, Supplier<Response> operation) {
            parameters.responseHandler().orElseThrow().handleResponse(response(operation));
            return new Result(0);
        }

        private Response response(Supplier<Response> operation) {
            Fault fault = Faults.take(Fault.Place.DOCUMENT);
            if (fault != null) {
                fault.sleep();
                if (fault.outcome != null)
                    return new Response(0, fault.message, Response.Outcome.valueOf(fault.outcome));
            }
            try {
                return operation.get();
            } catch (RuntimeException e) {
                return new Response(0, e.toString(), Response.Outcome.ERROR);
            }
        }

        @Override public double getCurrentWindowSize() {
            return 1000;
        }

        @Override public Response getNext() {
            return null;
        }

        @Override public Response getNext(int timeoutMilliseconds) {
            return null;
        }

        @Override public void destroy() {
        }
    }
}
