package lateint.vespa;

import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * What was acknowledged, in a file: a process that is killed has it again when it starts.
 *
 * A record is the length of a document, the twelve bytes of its global id, the document; no document: it was removed. It is
 * given to the system by one write, and not synced: this outlives a kill, not a power cut.
 */
final class Journal {

    private static final int ID = 12;

    private final Path file;
    private FileChannel channel;

    Journal(Path file) {
        this.file = file;
        open(StandardOpenOption.APPEND);
    }

    private void open(StandardOpenOption how) {
        try {
            channel = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE, how);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    synchronized void append(byte[] globalId, byte[] document) {
        ByteBuffer record = ByteBuffer.allocate(Integer.BYTES + ID + document.length);
        record.putInt(document.length).put(globalId, 0, ID).put(document).flip();
        try {
            while (record.hasRemaining()) channel.write(record);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    synchronized void clear() {
        try {
            channel.close();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        open(StandardOpenOption.TRUNCATE_EXISTING);
    }

    /** The documents, by the hexadecimal form of their global ids; a record that a kill broke off is not one. */
    synchronized Map<String, byte[]> read() {
        Map<String, byte[]> documents = new LinkedHashMap<>();
        try (DataInputStream in = new DataInputStream(new BufferedInputStream(Files.newInputStream(file)))) {
            while (true) {
                byte[] document = new byte[in.readInt()], globalId = new byte[ID];
                in.readFully(globalId);
                in.readFully(document);
                String key = HexFormat.of().formatHex(globalId);
                if (document.length == 0) documents.remove(key);
                else documents.put(key, document);
            }
        } catch (EOFException end) {
            return documents;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
