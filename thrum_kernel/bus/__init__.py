"""One bus: JSON-RPC methods and topics, over the Unix socket, the WebSocket and inside the daemon."""
