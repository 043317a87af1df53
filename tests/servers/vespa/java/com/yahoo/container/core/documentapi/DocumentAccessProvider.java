package com.yahoo.container.core.documentapi;

import com.yahoo.component.annotation.Inject;
import com.yahoo.container.di.componentgraph.Provider;
import com.yahoo.document.config.DocumentmanagerConfig;
import com.yahoo.documentapi.DocumentAccess;
import com.yahoo.jdisc.http.server.jetty.JettyHttpServer;
import com.yahoo.messagebus.MessagebusConfig;
import lateint.vespa.Loopback;
import lateint.vespa.StoreAccess;

/**
 * Stands in for Vespa's class of this name, which config-model names in every container; it is found first on the class path.
 *
 * Being asked for before the HTTP server starts, it also binds that to the loopback.
 */
public final class DocumentAccessProvider implements Provider<VespaDocumentAccess> {

    private final VespaDocumentAccess access;

    @Inject
    public DocumentAccessProvider(DocumentmanagerConfig documents, MessagebusConfig messagebus, JettyHttpServer http) {
        Loopback.bind(http);
        StoreAccess store = new StoreAccess(documents);
        access = new VespaDocumentAccess(documents, System.getProperty("config.id"), messagebus) {
            @Override public DocumentAccess delegate() {
                return store;
            }
        };
    }

    @Override public VespaDocumentAccess get() {
        return access;
    }

    @Override public void deconstruct() {
    }
}
