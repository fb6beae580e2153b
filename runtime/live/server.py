"""How the HTTP server serves WebSockets."""

import logging
from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode
from websockets.http11 import Request

from runtime.live.sockets import ABORT
from runtime.live.websocket import MAX_FRAME

log = logging.getLogger(__name__)
log.setLevel(logging.WARNING)  # below that the server logs every address, with its ticket


class WebSockets(WebSocketsSansIOProtocol):
    """Lets the application abort a connection whose client reads nothing: closing would wait for unsent frames."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = log

    def handle_connect(self, event: Request) -> None:
        """Adds the extension. The application starts after this has returned."""
        super().handle_connect(event)
        if hasattr(self, "scope"):  # the handshake was well-formed
            cast(dict[str, Any], self.scope["extensions"])[ABORT] = self.transport.abort

    def send_receive_event_to_app(self) -> None:
        """Closes a connection with 1007 when a frame is not UTF-8. The library would also log a traceback, for a
        mistake of the client."""
        try:
            if self.curr_msg_data_type == "text":
                b"".join(self.frames).decode()
        except UnicodeDecodeError:
            self.frames = []
            if not self.close_sent:
                self.conn.fail(CloseCode.INVALID_DATA, "not UTF-8")
                self.handle_parser_exception()
            return
        super().send_receive_event_to_app()

    async def send(self, message: Any) -> None:
        """Marks a refused handshake as complete; the library does not, and logs an error."""
        await super().send(message)
        self.handshake_complete = self.handshake_complete or (self.initial_response is not None and self.close_sent)

    def keepalive_timeout(self) -> None:
        """Aborts a connection with unsent frames when a ping is not answered: the client will not read them."""
        super().keepalive_timeout()
        if self.transport.get_write_buffer_size():
            self.transport.abort()


WEBSOCKETS: dict[str, Any] = {
    "ws": WebSockets,
    "ws_max_size": MAX_FRAME,
    "ws_ping_interval": 20.0,
    "ws_ping_timeout": 20.0,
    "ws_per_message_deflate": False,
}
"""Settings for `uvicorn.Config`. Frames are small: compressing them would cost 32 KiB and more for each connection."""
