package lateint.vespa;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.yahoo.config.model.api.HostInfo;
import com.yahoo.config.model.api.PortInfo;
import com.yahoo.config.model.api.ServiceInfo;

import java.util.Set;

/**
 * Which generation the services of the active application have reached, in the config server's JSON.
 *
 * All services are this process; they have the generation of the container. Ports are those of the model, but for the
 * container's.
 */
final class Convergence {

    private static final Set<String> CHECKED = Set.of("container", "container-clustercontroller", "searchnode",
                                                      "storagenode", "distributor");

    private Convergence() {
    }

    static ObjectNode all(ObjectNode body, String url, AppPackage application, long wanted, long current) {
        ArrayNode services = body.putArray("services");
        for (HostInfo host : application.model().getHosts())
            for (ServiceInfo service : host.getServices())
                if (CHECKED.contains(service.getServiceType()))
                    service.getPorts().stream().filter(port -> port.getTags().contains("state")).map(PortInfo::getPort)
                           .findFirst().ifPresent(port -> add(services.addObject(), url, service, port, current));
        return body.put("url", url).put("currentGeneration", current).put("wantedGeneration", wanted)
                   .put("converged", current >= wanted);
    }

    static ObjectNode one(ObjectNode body, String url, String hostAndPort, long wanted, long current) {
        return body.put("url", url).put("host", hostAndPort).put("wantedGeneration", wanted)
                   .put("converged", current >= wanted).put("currentGeneration", current);
    }

    private static void add(ObjectNode node, String url, ServiceInfo service, int statePort, long generation) {
        int port = service.getServiceType().equals("container") ? Integer.getInteger(Loopback.PORT) : statePort;
        service.getProperty("clustername").ifPresent(name -> node.put("clusterName", name));
        node.put("host", service.getHostName()).put("port", port).put("type", service.getServiceType())
            .put("url", url + "/" + service.getHostName() + ":" + port).put("currentGeneration", generation);
    }
}
