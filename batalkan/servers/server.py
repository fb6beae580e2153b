"""What the three private servers have in common."""

from batalkan.subprocesses import Child


class Server:
    """A private server, whose process can be killed and frozen."""

    child: Child

    async def kill(self) -> None:
        """SIGKILL, like a power cut."""
        await self.child.kill()

    def pause(self) -> None:
        """Freezes the server: connections stay open, and nothing answers."""
        self.child.pause()

    def resume(self) -> None:
        """Ends the freeze."""
        self.child.resume()
