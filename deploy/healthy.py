"""The health check of the containers: exits with 0 if this container's port answers GET of the path with 200.

It runs every few seconds in each container, so it uses a socket: importing an HTTP client takes four times as long.
"""

import os
import socket
import sys

with socket.create_connection(("127.0.0.1", int(os.environ["PORT"])), timeout=4) as connection:
    connection.sendall(f"GET {sys.argv[1]} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
    answer = b"".join(iter(lambda: connection.recv(4096), b""))
sys.exit(0 if answer.split(b" ")[1:2] == [b"200"] else f"{sys.argv[1]}: {answer.decode(errors='replace')}")
