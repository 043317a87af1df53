package lateint.vespa;

import java.io.IOException;
import java.net.URLConnection;
import java.nio.file.Files;
import java.nio.file.Path;

/** FOLDER CONTAINER_PORT CONFIG_PORT CONTROL_PORT: serves what is in the folder until standard input ends, or a signal. */
public final class Main {

    private Main() {
    }

    public static void main(String[] args) throws Exception {
        Path folder = Files.createDirectories(Path.of(args[0]).toAbsolutePath());
        System.setProperty("vespa.local", "true");                  // before the first model is built
        System.setProperty(Loopback.PORT, args[1]);
        URLConnection.setDefaultUseCaches("jar", false);            // else two models at once close each other's jars
        Store.instance.open(folder.resolve("documents"));
        Container container = new Container(folder.resolve("container"));
        Sessions sessions = new Sessions(folder.resolve("sessions"), container);
        sessions.open();
        Http.serve(Integer.parseInt(args[2]), new ConfigServer(sessions, container)::handle);
        Http.serve(Integer.parseInt(args[3]), new Control(sessions)::handle);
        awaitEndOfInput();
        Runtime.getRuntime().halt(0);                               // what was acknowledged is on disk
    }

    /** A parent that dies, however it does, closes our input. */
    private static void awaitEndOfInput() throws IOException {
        System.in.transferTo(java.io.OutputStream.nullOutputStream());
    }
}
