package lateint.vespa;

import com.fasterxml.jackson.annotation.JsonAutoDetect;

import java.util.List;
import java.util.Map;

/** One order: what goes wrong with the next requests. Set over the control port, in snake_case. */
@JsonAutoDetect(fieldVisibility = JsonAutoDetect.Visibility.ANY)
public final class Fault {

    /** Where it applies. */
    enum Place {
        /** Any request to the config server. */
        CONFIG,
        /** Any request to the container, before Vespa's code sees it. */
        HTTP,
        /** A put, update, remove or get, where the content node would answer. */
        DOCUMENT,
        /** A visit. */
        VISIT,
        /** A search, at one content node. */
        SEARCH,
        /** The second half of a search, where hits get their fields. */
        FILL,
        /** A deployment, between the creation of its session and its activation. */
        PREPARE,
        /** The container's change to an activated application. */
        CONVERGE
    }

    /** How a connection is cut. */
    enum Cut {
        /** Nothing is applied. */
        BEFORE,
        /** The request is applied; instead of an answer the connection is closed. */
        AFTER,
        /** The connection is closed after so many bytes of the answer's body. */
        INSIDE,
        /** The answer is ended in good order after so many bytes of its body, as a proxy may do. */
        SHORT
    }

    Place at = Place.HTTP;
    /** So many matching requests pass first. */
    int skip = 0;
    /** So many are hit then; -1: until cleared. */
    int times = 1;
    long delayMs = 0;

    /** CONFIG, HTTP: only requests of this method. */
    String method = null;
    /** CONFIG, HTTP: only requests whose path begins so. */
    String path = "/";
    /** CONFIG, HTTP: this status instead of Vespa's answer. */
    int status = 0;
    Map<String, String> headers = Map.of();
    String body = "{\"message\":\"ordered by a test\"}";
    /** CONFIG (only BEFORE and AFTER), HTTP. */
    Cut cut = null;
    int bytes = 0;

    /** DOCUMENT, VISIT: OVERLOAD, INSUFFICIENT_STORAGE, TIMEOUT, ERROR, REJECTED, IGNORED … of Vespa's Response.Outcome. */
    String outcome = null;
    String message = "ordered by a test";
    /** VISIT: after so many documents. */
    int documents = 0;

    /** SEARCH: share of the documents that is looked at. */
    double share = 1.0;
    /** SEARCH: any of timeout, match-phase, ann, non-ideal-state. */
    List<String> degraded = List.of();
    /** SEARCH, FILL: the node answers with this error. */
    String error = null;
    /** FILL: so many hits get no fields. */
    int missing = 0;

    boolean matches(Place place, String requestMethod, String requestPath) {
        if (at != place) return false;
        boolean http = place == Place.CONFIG || place == Place.HTTP;
        return !http || ((method == null || method.equals(requestMethod)) && requestPath.startsWith(path));
    }

    void sleep() {
        Faults.pause(delayMs);
    }
}
