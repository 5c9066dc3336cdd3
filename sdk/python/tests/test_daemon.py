"""Tests of the socket's client, without a daemon and with the standard library alone."""

import socket
import tempfile
import threading
import unittest
from contextlib import closing
from pathlib import Path

from mednerd_train.daemon import Client


class Connections(unittest.TestCase):
    def serving(self, each):
        """A server's socket that closes each connection after `each` answers."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = Path(folder.name) / "m.sock"
        server = socket.socket(socket.AF_UNIX)
        self.addCleanup(server.close)
        server.bind(str(path))
        server.listen()

        def serve():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    for _ in range(each):
                        if connection.recv(65536):
                            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

        threading.Thread(target=serve, daemon=True).start()
        return path

    def test_a_connection_that_was_closed_while_idle_is_opened_again(self):
        with closing(Client(self.serving(1))) as client:
            for _ in range(3):
                self.assertEqual(client.ask("GET", "/readyz"), {})

    def test_a_server_that_answers_nobody_is_told_and_leaves_the_client_usable(self):
        with closing(Client(self.serving(0))) as client:
            for _ in range(2):
                with self.assertRaises(ConnectionError):
                    client.ask("GET", "/readyz")


if __name__ == "__main__":
    unittest.main()
