package lateint.vespa;

import com.yahoo.vespa.model.VespaModel;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;

/**
 * Deployments of the one application, by the rules of Vespa's config server.
 *
 * A session remembers which one was active when it was created, and cannot become active itself if another one has since;
 * but where none was active there is nothing to remember, and of two first deployments the later one wins. The id of a
 * session is the generation of the configuration it brings.
 */
final class Sessions {

    private static final class Session {
        final long id;
        final Path folder;
        final long activeAtCreation;
        AppPackage prepared;
        boolean wasActive;

        Session(long id, Path folder, long activeAtCreation) {
            this.id = id;
            this.folder = folder;
            this.activeAtCreation = activeAtCreation;
        }
    }

    private final Path folder;
    private final Container container;
    private final Map<Long, Session> sessions = new ConcurrentHashMap<>();
    private long last = 1;
    private Session active;

    Sessions(Path folder, Container container) {
        this.folder = folder;
        this.container = container;
    }

    /** Takes up what a former process left active. */
    void open() throws IOException, AppPackage.Invalid {
        Files.createDirectories(folder);
        try (var all = Files.list(folder)) {
            last = all.map(path -> path.getFileName().toString()).filter(name -> name.matches("\\d+"))
                      .mapToLong(Long::parseLong).max().orElse(last);
        }
        if (!Files.exists(marker())) return;
        long id = Long.parseLong(Files.readString(marker()));
        active = new Session(id, folder.resolve(String.valueOf(id)), 0);
        active.prepared = AppPackage.load(active.folder, null);
        sessions.put(id, active);
        container.follow(active.prepared, id);
    }

    long create(InputStream zip) throws IOException {
        Session session = next();
        Folders.unzip(zip, session.folder);
        sessions.put(session.id, session);
        return session.id;
    }

    private synchronized Session next() {
        long id = ++last;
        return new Session(id, folder.resolve(String.valueOf(id)), active == null ? 0 : active.id);
    }

    AppPackage prepare(long id) throws IOException, Refusal {
        Session session = session(id);
        if (session == active()) throw Refusal.badRequest("Session is active: " + id);
        Fault fault = Faults.take(Fault.Place.PREPARE);
        if (fault != null) fault.sleep();
        try {
            session.prepared = AppPackage.load(session.folder, activeModel());
            return session.prepared;
        } catch (AppPackage.Invalid e) {
            sessions.remove(id);
            Folders.delete(session.folder);
            throw Refusal.invalidPackage(e.getMessage());
        }
    }

    synchronized void activate(long id, boolean force) throws IOException, Refusal {
        Session session = session(id);
        if (session == active) return;
        if (session.prepared == null && !session.wasActive) throw Refusal.badRequest("Session not prepared: " + id);
        if (active != null) {
            if (session.activeAtCreation != 0 && active.id > session.activeAtCreation && !force)
                throw Refusal.conflict("app:default.default.default This session " + id + " was prepared when session "
                        + session.activeAtCreation + " was active, but session " + active.id
                        + " has since become active: refusing to activate this session, please redeploy");
            if (id < active.id)
                throw Refusal.conflict("Cannot activate session " + id + ", because it is older than current active session ("
                        + active.id + "), please try deploying again from start");
        }
        Path written = folder.resolve("active.new");
        Files.writeString(written, String.valueOf(id));
        Files.move(written, marker(), StandardCopyOption.ATOMIC_MOVE);
        if (active != null) {
            active.wasActive = true;
            active.prepared = null;                                 // models are large, and many tests deploy
        }
        active = session;
        container.follow(session.prepared, id);
    }

    /** Deletes the application, if there is one, and the documents. */
    synchronized boolean delete() throws IOException, InterruptedException, ExecutionException {
        boolean existed = active != null;
        Files.deleteIfExists(marker());
        active = null;
        container.close();
        Store.instance.clear();
        return existed;
    }

    /** The generation of what is active. */
    long generation() throws Refusal {
        return requireActive().id;
    }

    AppPackage activePackage() throws Refusal {
        return requireActive().prepared;
    }

    Path folder(long id) throws Refusal {
        return session(id).folder;
    }

    boolean hasActive() {
        return active() != null;
    }

    private synchronized Session active() {
        return active;
    }

    private synchronized VespaModel activeModel() {
        return active == null ? null : active.prepared.model();
    }

    private Session requireActive() throws Refusal {
        Session session = active();
        if (session == null) throw Refusal.notFound("Unknown application id 'default.default.default'");
        return session;
    }

    private Session session(long id) throws Refusal {
        Session session = sessions.get(id);
        if (session == null) throw Refusal.notFound("Local session " + id + " for 'default' was not found");
        return session;
    }

    private Path marker() {
        return folder.resolve("active");
    }
}
