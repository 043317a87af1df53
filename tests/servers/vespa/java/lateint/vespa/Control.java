package lateint.vespa;

import com.fasterxml.jackson.databind.MapperFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.net.httpserver.HttpExchange;

import java.io.IOException;
import java.nio.charset.StandardCharsets;

/**
 * Orders of tests, one JSON object each: POST and DELETE /faults, GET /report, DELETE /documents, DELETE /application,
 * POST /evaluator.
 */
final class Control {

    private static final ObjectMapper JSON = JsonMapper.builder().enable(MapperFeature.ACCEPT_CASE_INSENSITIVE_ENUMS)
            .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE).build();

    private final Sessions sessions;

    Control(Sessions sessions) {
        this.sessions = sessions;
    }

    void handle(HttpExchange exchange) throws IOException {
        ObjectNode body = JSON.createObjectNode();
        int status = 200;
        try {
            String order = exchange.getRequestMethod() + " " + exchange.getRequestURI().getPath();
            carryOut(order, exchange.getRequestBody().readAllBytes(), body);
        } catch (Exception e) {
            status = 400;
            body.put("message", e.toString());
        }
        Http.send(exchange, new Http.Answer(status, "application/json", body.toString().getBytes(StandardCharsets.UTF_8)));
    }

    private void carryOut(String order, byte[] given, ObjectNode body) throws Exception {
        switch (order) {
            case "POST /faults" -> Faults.order(JSON.readValue(given, Fault.class));
            case "DELETE /faults" -> Faults.clear();
            case "DELETE /documents" -> Store.instance.clear();
            case "DELETE /application" -> sessions.delete();
            case "POST /evaluator" -> Ranking.shortcut = JSON.readTree(given).get("shortcut").asBoolean();
            case "GET /report" -> {
                body.put("faults", Faults.left());
                Faults.calls().forEach(body.putObject("calls")::put);
            }
            default -> throw new IllegalArgumentException("no order '" + order + "'");
        }
    }
}
