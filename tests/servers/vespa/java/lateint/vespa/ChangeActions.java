package lateint.vespa;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.yahoo.config.model.api.ConfigChangeAction;
import com.yahoo.config.model.api.ConfigChangeRefeedAction;
import com.yahoo.config.model.api.ConfigChangeReindexAction;
import com.yahoo.config.model.api.ServiceInfo;

import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** What a change asks of the operator, in the config server's JSON: grouped by what is concerned. */
final class ChangeActions {

    private static final class Entry {
        final Set<String> messages = new LinkedHashSet<>();
        final Set<ServiceInfo> services = new LinkedHashSet<>();
    }

    private ChangeActions() {
    }

    static void write(ObjectNode root, List<ConfigChangeAction> actions) {
        ObjectNode changes = root.putObject("configChangeActions");
        for (ConfigChangeAction.Type type : ConfigChangeAction.Type.values()) {
            Map<Map<String, String>, Entry> entries = new LinkedHashMap<>();
            for (ConfigChangeAction action : actions) {
                if (action.getType() != type) continue;
                for (ServiceInfo service : action.getServices()) {
                    Entry entry = entries.computeIfAbsent(concerned(action, service), key -> new Entry());
                    entry.messages.add(action.getMessage());
                    entry.services.add(service);
                }
            }
            ArrayNode list = changes.putArray(type.toString());
            entries.forEach((concerned, entry) -> write(list.addObject(), concerned, entry));
        }
    }

    private static Map<String, String> concerned(ConfigChangeAction action, ServiceInfo service) {
        Map<String, String> concerned = new LinkedHashMap<>();
        if (action instanceof ConfigChangeRefeedAction refeed) {
            concerned.put("name", refeed.name());
            concerned.put("documentType", refeed.getDocumentType());
        } else if (action instanceof ConfigChangeReindexAction reindex) {
            concerned.put("name", reindex.name());
            concerned.put("documentType", reindex.getDocumentType());
        }
        concerned.put("clusterName", service.getProperty("clustername").orElse(""));
        if (action.getType() == ConfigChangeAction.Type.RESTART) {
            concerned.put("clusterType", service.getProperty("clustertype").orElse(""));
            concerned.put("serviceType", service.getServiceType());
        }
        return concerned;
    }

    private static void write(ObjectNode node, Map<String, String> concerned, Entry entry) {
        concerned.forEach(node::put);
        ArrayNode messages = node.putArray("messages");
        entry.messages.forEach(messages::add);
        ArrayNode services = node.putArray("services");
        for (ServiceInfo service : entry.services)
            services.addObject().put("serviceName", service.getServiceName()).put("serviceType", service.getServiceType())
                    .put("configId", service.getConfigId()).put("hostName", service.getHostName());
    }
}
