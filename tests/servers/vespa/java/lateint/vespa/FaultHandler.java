package lateint.vespa;

import org.eclipse.jetty.http.HttpHeader;
import org.eclipse.jetty.io.Content;
import org.eclipse.jetty.server.Handler;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.server.Response;
import org.eclipse.jetty.util.BufferUtil;
import org.eclipse.jetty.util.Callback;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/** Carries out the orders for HTTP requests before Vespa's own handler sees them, or on its answer. */
final class FaultHandler extends Handler.Wrapper {

    FaultHandler(Handler wrapped) {
        super(wrapped);
    }

    @Override
    public boolean handle(Request request, Response response, Callback callback) throws Exception {
        String path = request.getHttpURI().getPath();
        Faults.count(request.getMethod(), path);
        Fault fault = Faults.take(Fault.Place.HTTP, request.getMethod(), path);
        if (fault == null) return super.handle(request, response, callback);
        fault.sleep();
        if (fault.status != 0) {
            Content.Source.consumeAll(request);                     // or Jetty closes the connection after the answer
            response.setStatus(fault.status);
            response.getHeaders().put(HttpHeader.CONTENT_TYPE, "application/json");
            fault.headers.forEach(response.getHeaders()::put);
            response.write(true, ByteBuffer.wrap(fault.body.getBytes(StandardCharsets.UTF_8)), callback);
            return true;
        }
        if (fault.cut == Fault.Cut.BEFORE) {
            close(request, callback);
            return true;
        }
        return super.handle(request, fault.cut == null ? response : new CutResponse(request, response, fault), callback);
    }

    private static void close(Request request, Callback callback) {
        request.getConnectionMetaData().getConnection().getEndPoint().close();
        callback.failed(new IOException("cut, as ordered"));
    }

    /** Lets only so many bytes of the body pass. */
    private static final class CutResponse extends Response.Wrapper {

        private final Fault fault;
        private int left;

        CutResponse(Request request, Response wrapped, Fault fault) {
            super(request, wrapped);
            this.fault = fault;
            this.left = fault.cut == Fault.Cut.AFTER ? 0 : fault.bytes;
        }

        @Override
        public void write(boolean last, ByteBuffer content, Callback callback) {
            ByteBuffer all = content == null ? BufferUtil.EMPTY_BUFFER : content;
            if (left < 0) {                                         // SHORT, and already ended
                all.position(all.limit());
                callback.succeeded();
            } else if (fault.cut == Fault.Cut.AFTER) {
                close(getRequest(), callback);
            } else if (all.remaining() <= left && !last) {
                if (fault.cut == Fault.Cut.SHORT) getHeaders().remove(HttpHeader.CONTENT_LENGTH);
                left -= all.remaining();
                super.write(false, all, callback);
            } else {
                ByteBuffer head = all.slice(all.position(), Math.min(left, all.remaining()));
                all.position(all.limit());
                left = -1;
                if (fault.cut == Fault.Cut.SHORT) {
                    getHeaders().remove(HttpHeader.CONTENT_LENGTH);
                    super.write(true, head, callback);
                } else {
                    super.write(false, head, Callback.from(() -> close(getRequest(), callback), callback::failed));
                }
            }
        }
    }
}
