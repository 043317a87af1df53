package lateint.vespa;

import com.yahoo.application.Application;
import com.yahoo.application.Networking;

import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * Vespa's container, which follows the active application some time after it was activated.
 *
 * Where Vespa changes a running container, this one is closed and another one started: meanwhile its port is closed.
 */
final class Container {

    /** Generation of a container that does not run. */
    static final long NONE = -1;

    private final Path folder;
    private final ExecutorService follower = Executors.newSingleThreadExecutor(task -> {
        Thread thread = new Thread(task, "container");
        thread.setDaemon(true);
        return thread;
    });
    private Application running;
    private volatile long generation = NONE;

    Container(Path folder) {
        this.folder = folder;
    }

    long generation() {
        return generation;
    }

    Future<?> follow(AppPackage application, long wanted) {
        return follower.submit(() -> {
            Fault fault = Faults.take(Fault.Place.CONVERGE);
            if (fault != null) fault.sleep();
            try {
                change(application, wanted);
            } catch (Exception | Error e) {                         // stays at NONE: it never converges, the log says why
                e.printStackTrace();
            }
        });
    }

    /** Returns when it no longer runs. */
    void close() throws InterruptedException, ExecutionException {
        follower.submit(() -> {
            stop();
            return null;
        }).get();
    }

    private void change(AppPackage application, long wanted) throws IOException {
        stop();
        ContainerPackage.write(application, wanted, folder);
        Schema.deploy(application.model());
        running = Application.fromApplicationPackage(folder, Networking.enable);
        generation = wanted;
    }

    private void stop() throws IOException {
        generation = NONE;
        if (running != null) running.close();
        running = null;
        for (Thread thread : Thread.getAllStackTraces().keySet())   // it waits for ever, and keeps all of the container
            if (thread.getName().equals("configured-application-port-watcher")) thread.interrupt();
        Folders.delete(folder);
    }
}
