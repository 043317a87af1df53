package lateint.vespa;

import com.yahoo.cloud.config.ClusterListConfig;
import com.yahoo.text.Text;
import com.yahoo.vespa.config.content.AllClustersBucketSpacesConfig;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The copy of an application package that the stand-alone container runs.
 *
 * That container builds only its own part of the model, where the configs that tell /document/v1 of the content clusters are
 * empty: what the whole model says is written into its services.xml. So are the generation, which a config server would tell
 * it, and a dispatcher that does not warm up for five seconds.
 */
final class ContainerPackage {

    private ContainerPackage() {
    }

    static void write(AppPackage application, long generation, Path target) throws IOException {
        try (var all = Files.walk(application.folder())) {
            for (Path from : (Iterable<Path>) all::iterator) {
                Path relative = application.folder().relativize(from);
                if (relative.startsWith(".preprocessed")) continue;
                Path to = target.resolve(relative);
                if (Files.isDirectory(from)) Files.createDirectories(to);
                else Files.copy(from, to);
            }
        }
        Path services = target.resolve("services.xml");
        String end = "</container>";
        String text = Files.readString(services);
        if (!text.contains(end)) throw new IllegalArgumentException("services.xml has no container with content");
        int at = text.indexOf(end);
        Files.writeString(services, text.substring(0, at) + configs(application, generation) + text.substring(at));
    }

    private static String configs(AppPackage application, long generation) {
        var clusters = application.model().getConfig(ClusterListConfig.class, "");
        var spaces = application.model().getConfig(AllClustersBucketSpacesConfig.class, "");
        StringBuilder xml = new StringBuilder("<config name='cloud.config.cluster-list'><storage>");
        for (var storage : clusters.storage())
            xml.append(Text.format("<item><name>%s</name><configid>%s</configid></item>", storage.name(), storage.configid()));
        xml.append("</storage></config><config name='vespa.config.content.all-clusters-bucket-spaces'><cluster>");
        spaces.cluster().forEach((name, cluster) -> {
            xml.append(Text.format("<item key='%s'><documentType>", name));
            cluster.documentType().forEach((type, space) ->
                    xml.append(Text.format("<item key='%s'><bucketSpace>%s</bucketSpace></item>", type, space.bucketSpace())));
            xml.append("</documentType></item>");
        });
        xml.append("</cluster></config>");
        xml.append("<config name='vespa.config.search.dispatch'><warmuptime>0.01</warmuptime></config>");
        xml.append(Text.format("<config name='container.core.application-metadata'><generation>%d</generation></config>",
                               generation));
        return xml.toString();
    }
}
