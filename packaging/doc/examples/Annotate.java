import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Annotates a note from Java 16 or later with nothing but the JDK, as a channel of an integration engine would:
 * {@code java Annotate.java SOCKET NOTE}. Prints the answer as JSON, for the engine's own JSON library. Offsets count UTF-16
 * code units, so {@code text.substring(begin, end)} is the entity.
 */
public final class Annotate {
    /** Above the daemon's default_deadline_ms (60 s), so that its 408 comes before this. */
    private static final int TIMEOUT_SECONDS = 90;

    public static void main(String[] arguments) throws IOException {
        String text = Files.readString(Path.of(arguments[1]), StandardCharsets.UTF_8);
        String body = "{\"text\": " + quote(text) + ", \"offset_unit\": \"utf16_code_unit\"}";
        System.out.write(post(Path.of(arguments[0]), "/v1/annotate", body));
        System.out.println();
    }

    /** Sends one request on a connection of its own and gives the body of the answer. */
    static byte[] post(Path socket, String route, String json) throws IOException {
        byte[] body = json.getBytes(StandardCharsets.UTF_8);
        String head = "POST " + route + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                + "Content-Length: " + body.length + "\r\nConnection: close\r\n\r\n";
        ByteArrayOutputStream received = new ByteArrayOutputStream();
        try (SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX)) {
            // A channel of a Unix socket has no time-out of its own: closing it ends what waits.
            Runnable close = () -> {
                try {
                    channel.close();
                } catch (IOException ignored) {
                    // It is of no use any more.
                }
            };
            CompletableFuture.runAsync(close, CompletableFuture.delayedExecutor(TIMEOUT_SECONDS, TimeUnit.SECONDS));
            channel.connect(UnixDomainSocketAddress.of(socket));
            for (byte[] part : new byte[][] {head.getBytes(StandardCharsets.US_ASCII), body}) {
                ByteBuffer buffer = ByteBuffer.wrap(part);
                while (buffer.hasRemaining()) {
                    channel.write(buffer);
                }
            }
            ByteBuffer buffer = ByteBuffer.allocate(1 << 16);
            while (channel.read(buffer) >= 0) {
                received.write(buffer.array(), 0, buffer.position());
                buffer.clear();
            }
        } catch (ClosedChannelException late) {
            throw new IOException("no answer within " + TIMEOUT_SECONDS + " s", late);
        }
        String answer = received.toString(StandardCharsets.ISO_8859_1);
        int end = answer.indexOf("\r\n\r\n");
        if (end < 0) {
            throw new IOException("the daemon closed the connection; try again");
        }
        String status = answer.substring(9, 12);
        byte[] content = answer.substring(end + 4).getBytes(StandardCharsets.ISO_8859_1);
        Matcher length = Pattern.compile("(?im)^content-length: *(\\d+)").matcher(answer.substring(0, end));
        if (!length.find() || Long.parseLong(length.group(1)) != content.length) {
            throw new IOException("the daemon went away within its answer; try again");
        }
        if (!status.equals("200")) {
            // 429 and 503 are worth another try after Retry-After seconds.
            throw new IOException(status + " " + new String(content, StandardCharsets.UTF_8));
        }
        return content;
    }

    /** A JSON string. */
    static String quote(String text) {
        StringBuilder json = new StringBuilder("\"");
        for (char unit : text.toCharArray()) {
            if (unit == '"' || unit == '\\') {
                json.append('\\').append(unit);
            } else if (unit < 0x20 || Character.isSurrogate(unit)) {
                json.append(String.format("\\u%04x", (int) unit));
            } else {
                json.append(unit);
            }
        }
        return json.append('"').toString();
    }
}
