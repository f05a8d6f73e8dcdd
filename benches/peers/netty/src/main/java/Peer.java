import com.corundumstudio.socketio.Configuration;
import com.corundumstudio.socketio.SocketIOServer;

/**
 * netty-socketio with the contract of the load generator: "echo" answers its ack with its own argument, "bcast" goes again to
 * every client of the main namespace, "join" joins a room and answers as "echo" does, "room" emits "bcast" to a room. Listens
 * on loopback, at PORT (default 3000).
 */
public final class Peer {
    public static void main(String[] arguments) throws InterruptedException {
        String port = System.getenv().getOrDefault("PORT", "3000");
        Configuration configuration = new Configuration();
        configuration.setHostname("127.0.0.1");
        configuration.setPort(Integer.parseInt(port));
        configuration.setUseLinuxNativeEpoll(true);
        configuration.getSocketConfig().setReuseAddress(true);
        configuration.getSocketConfig().setAcceptBackLog(4096);
        configuration.getSocketConfig().setTcpNoDelay(true);
        SocketIOServer server = new SocketIOServer(configuration);
        server.addEventListener("echo", String.class, (client, text, ack) -> ack.sendAckData(text));
        server.addEventListener("bcast", String.class,
            (client, text, ack) -> server.getBroadcastOperations().sendEvent("bcast", text));
        server.addEventListener("join", String.class, (client, room, ack) -> {
            client.joinRoom(room);
            ack.sendAckData(room);
        });
        server.addMultiTypeEventListener("room",
            (client, data, ack) -> server.getRoomOperations(data.<String>get(0)).sendEvent("bcast", data.<String>get(1)),
            String.class, String.class);
        server.start();
        Thread.currentThread().join();
    }

    private Peer() {
    }
}
