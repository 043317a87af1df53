package lateint.vespa;

import com.yahoo.config.application.api.ApplicationPackage;
import com.yahoo.config.model.NullConfigModelRegistry;
import com.yahoo.config.model.api.ConfigChangeAction;
import com.yahoo.config.model.api.ValidationParameters;
import com.yahoo.config.model.application.provider.FilesApplicationPackage;
import com.yahoo.config.model.deploy.DeployState;
import com.yahoo.config.model.deploy.TestProperties;
import com.yahoo.config.provision.Zone;
import com.yahoo.vespa.model.VespaModel;
import com.yahoo.vespa.model.application.validation.Validation;
import com.yahoo.yolean.Exceptions;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.logging.Level;

/** An application package in a folder, built into a model and validated by Vespa's own config-model. */
record AppPackage(Path folder, VespaModel model, List<ConfigChangeAction> changes, List<LogLine> log) {

    record LogLine(long time, String level, String message) {
    }

    /** Vespa's message, joined over the causes. */
    static final class Invalid extends Exception {
        Invalid(String message) {
            super(message);
        }
    }

    /** With the model that is active now, the change from it is validated too, and asked what it takes to carry it out. */
    static AppPackage load(Path folder, VespaModel active) throws Invalid {
        List<LogLine> log = new ArrayList<>();
        try {
            ApplicationPackage application = files(folder).preprocess(Zone.defaultZone(), (level, message) -> { });
            application.validateXML();
            DeployState.Builder builder = new DeployState.Builder()
                    .applicationPackage(application)
                    .properties(new TestProperties().setFirstTimeDeployment(active == null))
                    .deployLogger((level, message) -> {
                        if (level.intValue() >= Level.INFO.intValue())
                            log.add(new LogLine(System.currentTimeMillis(), level.getName(), message));
                    });
            if (active != null) builder.previousModel(active);
            DeployState state = builder.build();
            VespaModel model = new VespaModel(new NullConfigModelRegistry(), state);
            List<ConfigChangeAction> changes = new Validation().validate(model, new ValidationParameters(), state);
            return new AppPackage(folder, model, changes, log);
        } catch (VirtualMachineError e) {
            throw e;
        } catch (Exception | Error e) {                             // Vespa throws an Error for some bad schemas
            throw new Invalid("Invalid application package: " + Exceptions.toMessageString(e));
        }
    }

    static FilesApplicationPackage files(Path folder) {
        return FilesApplicationPackage.fromDir(folder.toFile(), true, Map.of());
    }
}
