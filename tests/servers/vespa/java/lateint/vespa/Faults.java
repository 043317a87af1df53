package lateint.vespa;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** The orders that are still to be carried out, and how often what was asked. One set per process. */
public final class Faults {

    private static final List<Fault> orders = new ArrayList<>();
    private static final Map<String, Integer> calls = new TreeMap<>();

    private static int cleared = 0;

    private Faults() {
    }

    static synchronized void order(Fault fault) {
        orders.add(fault);
    }

    static synchronized void clear() {
        orders.clear();
        calls.clear();
        cleared++;
        Faults.class.notifyAll();
    }

    /** Waits so long, or until all orders are taken back: what never ends in a test must end with it. */
    static synchronized void pause(long milliseconds) {
        int before = cleared;
        long end = System.nanoTime() + milliseconds * 1_000_000;
        try {
            for (long left; cleared == before && (left = end - System.nanoTime()) > 0; )
                Faults.class.wait(left / 1_000_000 + 1);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    static synchronized int left() {
        return orders.size();
    }

    static synchronized Map<String, Integer> calls() {
        return new TreeMap<>(calls);
    }

    static Fault take(Fault.Place place) {
        return take(place, null, null);
    }

    /** The order that hits this request, or null; the first one given wins. */
    static synchronized Fault take(Fault.Place place, String method, String path) {
        for (Fault fault : orders) {
            if (!fault.matches(place, method, path)) continue;
            if (fault.skip > 0) {
                fault.skip--;
                continue;
            }
            if (fault.times > 0 && --fault.times == 0) orders.remove(fault);
            return fault;
        }
        return null;
    }

    /** Counts a request under its method and the first two parts of its path: "POST /search", "GET /document/v1". */
    static synchronized void count(String method, String path) {
        String[] parts = path.split("/");
        StringBuilder name = new StringBuilder(method).append(' ');
        for (int i = 1; i < Math.min(3, parts.length); i++) name.append('/').append(parts[i]);
        calls.merge(name.toString(), 1, Integer::sum);
    }
}
