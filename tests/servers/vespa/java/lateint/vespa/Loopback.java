package lateint.vespa;

import com.yahoo.jdisc.http.server.jetty.JettyHttpServer;
import org.eclipse.jetty.server.Connector;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;

import java.lang.reflect.Field;

/** Binds the container's Jetty to 127.0.0.1, for which Vespa has no setting, and puts {@link FaultHandler} in front. */
public final class Loopback {

    static final String PORT = "lateint.port";

    private Loopback() {
    }

    /** To be called after Jetty was made and before it is started. */
    public static void bind(JettyHttpServer http) {
        try {
            Field field = JettyHttpServer.class.getDeclaredField("server");
            field.setAccessible(true);
            Server server = (Server) field.get(http);
            if (server.isStarted()) throw new IllegalStateException("Jetty was started before it could be bound");
            for (Connector connector : server.getConnectors()) {
                ((ServerConnector) connector).setHost("127.0.0.1");
                ((ServerConnector) connector).setPort(Integer.getInteger(PORT));
                // Clients keep connections, and each deployment closes them: Jetty would wait a second or two for that.
                ((ServerConnector) connector).setShutdownIdleTimeout(50);
            }
            server.setHandler(new FaultHandler(server.getHandler()));
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException("Vespa's JettyHttpServer changed", e);
        }
    }
}
