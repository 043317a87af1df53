package lateint.vespa;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.net.httpserver.HttpExchange;
import com.yahoo.component.Vtag;
import com.yahoo.config.application.api.ApplicationFile;
import com.yahoo.path.Path;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Vespa's config server as far as a client sees it: deployments, their files, convergence.
 *
 * Paths, statuses, error codes and JSON follow the handlers of Vespa's configserver module, which needs ZooKeeper and is not
 * run here; what it asks of config-model is real.
 */
final class ConfigServer {

    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String TENANT = "/application/v2/tenant/default";
    private static final String INSTANCE = "/environment/prod/region/default/instance/default";
    private static final Pattern SESSION = Pattern.compile(TENANT + "/session/(\\d+)/(prepared|active|content/(.*))");
    private static final Pattern APPLICATION = Pattern.compile(
            TENANT + "/application/default(/environment/[^/]+/region/[^/]+/instance/default)?(?:/(.*))?");

    private final Sessions sessions;
    private final Container container;

    ConfigServer(Sessions sessions, Container container) {
        this.sessions = sessions;
        this.container = container;
    }

    void handle(HttpExchange exchange) throws IOException {
        String method = exchange.getRequestMethod(), path = exchange.getRequestURI().getPath();
        Faults.count(method, path);
        Fault fault = Faults.take(Fault.Place.CONFIG, method, path);
        if (fault != null) fault.sleep();
        boolean answered = fault != null && fault.status != 0;
        Http.Answer answer = null;
        if (answered) {
            fault.headers.forEach(exchange.getResponseHeaders()::set);
            answer = new Http.Answer(fault.status, "application/json", fault.body.getBytes(StandardCharsets.UTF_8));
        } else if (fault == null || fault.cut != Fault.Cut.BEFORE) {
            answer = answer(exchange);
        }
        if (fault == null || fault.cut == null) Http.send(exchange, answer);
        else exchange.close();
    }

    private Http.Answer answer(HttpExchange exchange) {
        try {
            return route(exchange);
        } catch (Refusal e) {
            return json(e.status, JSON.createObjectNode().put("error-code", e.code).put("message", e.getMessage()));
        } catch (Exception e) {
            e.printStackTrace();
            return json(500, JSON.createObjectNode().put("error-code", "INTERNAL_SERVER_ERROR").put("message", e.toString()));
        }
    }

    private Http.Answer route(HttpExchange exchange) throws Exception {
        URI uri = exchange.getRequestURI();
        String path = uri.getPath(), request = exchange.getRequestMethod() + " " + path;
        String base = "http://" + exchange.getRequestHeaders().getFirst("Host");
        Matcher session = SESSION.matcher(path), application = APPLICATION.matcher(path);
        if (request.equals("POST " + TENANT + "/prepareandactivate")) return json(200, deploy(exchange, base));
        if (request.equals("POST " + TENANT + "/session")) return json(200, create(exchange, base));
        if (request.equals("GET " + TENANT + "/application/")) return json(200, applications(base));
        if (session.matches()) return session(request, uri, base, session);
        if (application.matches()) return application(request, uri, base, application);
        if (path.startsWith("/application/v2/tenant/") && !path.startsWith(TENANT + "/"))
            throw Refusal.notFound("Tenant '" + path.split("/")[4] + "' was not found.");
        return switch (request) {
            case "GET /state/v1/health" -> json(200, health());
            case "GET /state/v1/version" ->
                json(200, JSON.createObjectNode().put("version", Vtag.currentVersion.toString()));
            case "GET /status.html" -> new Http.Answer(200, "text/plain", "OK".getBytes(StandardCharsets.UTF_8));
            default -> throw Refusal.notFound("Nothing at '" + path + "'");
        };
    }

    private Http.Answer session(String request, URI uri, String base, Matcher matched) throws Exception {
        long id = Long.parseLong(matched.group(1));
        if (matched.group(3) != null && request.startsWith("GET "))
            return content(sessions.folder(id), id, matched.group(3), uri, base + TENANT + "/session/" + id + "/content/");
        if (request.startsWith("PUT ") && matched.group(2).equals("prepared"))
            return json(200, prepared(id, sessions.prepare(id), base));
        if (request.startsWith("PUT ") && matched.group(2).equals("active")) {
            sessions.activate(id, has(uri, "force=true"));
            return json(200, activated(id, "activated", JSON.createObjectNode(), base));
        }
        throw Refusal.notFound("Nothing at '" + uri.getPath() + "'");
    }

    private Http.Answer application(String request, URI uri, String base, Matcher matched) throws Exception {
        String rest = matched.group(2) == null ? "" : matched.group(2);
        String url = base + uri.getPath();
        if (rest.isEmpty() && request.startsWith("DELETE ")) return json(200, deleted());
        if (!request.startsWith("GET ")) throw Refusal.notFound("Nothing at '" + uri.getPath() + "'");
        long wanted = sessions.generation(), current = container.generation();
        if (rest.isEmpty()) return json(200, described(wanted));
        if (rest.equals("serviceconverge"))
            return json(200, Convergence.all(JSON.createObjectNode(), url, sessions.activePackage(), wanted, current));
        if (rest.startsWith("serviceconverge/"))
            return json(200, Convergence.one(JSON.createObjectNode(), url, rest.substring(16), wanted, current));
        if (rest.startsWith("content/"))
            return content(sessions.folder(wanted), wanted, rest.substring(8), uri,
                           base + TENANT + "/application/default" + INSTANCE + "/content/");
        throw Refusal.notFound("Nothing at '" + uri.getPath() + "'");
    }

    private ObjectNode deploy(HttpExchange exchange, String base) throws Exception {
        long id = sessions.create(zip(exchange));
        AppPackage prepared = sessions.prepare(id);
        sessions.activate(id, false);
        ObjectNode body = JSON.createObjectNode();
        log(body, prepared);
        activated(id, "prepared and activated", body, base);
        ChangeActions.write(body, prepared.changes());
        return body;
    }

    private ObjectNode create(HttpExchange exchange, String base) throws Exception {
        long id = sessions.create(zip(exchange));
        ObjectNode body = JSON.createObjectNode();
        body.putArray("log");
        String session = base + TENANT + "/session/" + id;
        return body.put("tenant", "default").put("session-id", String.valueOf(id)).put("prepared", session + "/prepared")
                   .put("content", session + "/content/").put("message", "Session " + id + " for tenant 'default' created.");
    }

    private ObjectNode prepared(long id, AppPackage prepared, String base) {
        ObjectNode body = JSON.createObjectNode();
        log(body, prepared);
        body.put("tenant", "default").put("session-id", String.valueOf(id))
            .put("activate", base + TENANT + "/session/" + id + "/active")
            .put("message", "Session " + id + " for tenant 'default' prepared.");
        ChangeActions.write(body, prepared.changes());
        return body;
    }

    private ObjectNode activated(long id, String how, ObjectNode body, String base) {
        return body.put("tenant", "default").put("session-id", String.valueOf(id))
                   .put("url", base + TENANT + "/application/default" + INSTANCE)
                   .put("message", "Session " + id + " for tenant 'default' " + how + ".");
    }

    private static void log(ObjectNode body, AppPackage prepared) {
        ArrayNode log = body.putArray("log");
        for (AppPackage.LogLine line : prepared.log())
            log.addObject().put("time", line.time()).put("level", line.level()).put("message", line.message())
               .put("applicationPackage", true);
    }

    private static InputStream zip(HttpExchange exchange) throws IOException, Refusal {
        String type = exchange.getRequestHeaders().getFirst("Content-Type");
        if (type == null) throw Refusal.badRequest("Request contains no Content-Type header");
        if (!type.split(";")[0].trim().equals("application/zip"))
            throw Refusal.badRequest("Request contains invalid Content-Type header (" + type
                                     + "), only '[application/zip]' is supported by this test server");
        return new ByteArrayInputStream(exchange.getRequestBody().readAllBytes());
    }

    private ArrayNode applications(String base) {
        ArrayNode list = JSON.createArrayNode();
        if (sessions.hasActive()) list.add(base + TENANT + "/application/default" + INSTANCE);
        return list;
    }

    private static ObjectNode described(long generation) {
        ObjectNode body = JSON.createObjectNode().put("generation", generation).put("applicationPackageFileReference", "");
        body.putArray("modelVersions").add(Vtag.currentVersion.toFullString());
        return body;
    }

    private ObjectNode deleted() throws Exception {
        if (!sessions.delete()) throw Refusal.notFound("Unable to delete default.default.default: Not found");
        return JSON.createObjectNode().put("message", "Application 'default.default.default' deleted");
    }

    private static ObjectNode health() {
        ObjectNode body = JSON.createObjectNode().put("time", System.currentTimeMillis());
        body.putObject("status").put("code", "up");
        body.putObject("metrics");
        return body;
    }

    /** A file as it is, a folder as the addresses of what is in it. */
    private static Http.Answer content(java.nio.file.Path folder, long id, String path, URI uri, String base)
            throws IOException, Refusal {
        if (has(uri, "return=status")) throw Refusal.badRequest("this test server does not tell the status of files");
        ApplicationFile file = AppPackage.files(folder).getFile(Path.fromString(path));
        if (!file.exists()) throw Refusal.notFound("Session " + id + " does not contain a file at " + path);
        if (!file.isDirectory()) {
            try (InputStream in = file.createInputStream()) {
                return new Http.Answer(200, "application/octet-stream", in.readAllBytes());
            }
        }
        List<ApplicationFile> files = file.listFiles(has(uri, "recursive=true"));
        ArrayNode list = JSON.createArrayNode();
        files.stream().sorted(Comparator.naturalOrder())
             .forEach(one -> list.add(base + one.getPath() + (one.isDirectory() ? "/" : "")));
        return json(200, list);
    }

    private static boolean has(URI uri, String parameter) {
        return uri.getQuery() != null && Arrays.asList(uri.getQuery().split("&")).contains(parameter);
    }

    private static Http.Answer json(int status, JsonNode body) {
        return new Http.Answer(status, "application/json", body.toString().getBytes(StandardCharsets.UTF_8));
    }
}
