"""A private RabbitMQ node: its own ports, epmd and folders, and one broker user per service with minimal permissions.

The users come from a definitions file that the node loads at every boot: a call of `rabbitmqctl` takes a second.
"""

import asyncio
import json
import os
from collections.abc import Sequence

from batalkan.permissions import VHOST, broker_users
from batalkan.servers.data_folder import DataFolder
from batalkan.servers.packages import need
from batalkan.servers.server import Server
from batalkan.subprocesses import ChildFailed, Reaper


class RabbitMQ(Server):
    name, scheme = "rabbitmq", "amqp"

    def __init__(self, data_folder: DataFolder, services: Sequence[str], reaper: Reaper) -> None:
        super().__init__(data_folder, services, reaper)
        self._epmd_port, self._dist_port = data_folder.port("epmd"), data_folder.port("rabbitmq-dist")
        # RabbitMQ would start an epmd that never ends; this one is a child of ours.
        self._epmd = self._child("epmd", "epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1")
        self.child = self._child("RabbitMQ", need("rabbitmq"))

    async def start(self) -> None:
        """Starts it; ready when it answers on its port, which it opens last, after users and queues exist."""
        self._write("enabled_plugins", "[rabbitmq_consistent_hash_exchange].")
        self._write("rabbitmq.conf", self._configuration())
        passwords = {name: self._secret(name) for name in (self.admin, *self._services)}
        self._write("definitions.json", json.dumps(broker_users(passwords, admin=self.admin)))
        if not self._epmd.running:
            self._epmd.spawn()
        self.child.spawn()
        await self.child.until(self._answers, timeout=90)

    async def stop(self) -> None:
        await self.child.stop(30)
        await self._epmd.stop(5)

    async def control(self, *arguments: str) -> None:
        """Runs `rabbitmqctl`, which takes a second or two. Raises ChildFailed."""
        process = self._child("rabbitmqctl", need("rabbitmq").with_name("rabbitmqctl"), *arguments)
        process.spawn()
        if await process.wait(60) != 0:
            raise ChildFailed(f"rabbitmqctl {' '.join(arguments)} failed:\n{process.tail()}")

    def _path(self, service: str) -> str:
        return VHOST

    def _environment(self) -> dict[str, str]:
        folder = self._folder
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),  # the Erlang cookie is created there
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_CRASH_DUMP": str(folder / "erl_crash.dump"),
            "RABBITMQ_NODENAME": "batalkan@localhost",
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",  # do not read the distribution's settings
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RUNNING_UNDER_SYSTEMD": "true",  # the start script execs the node
        }

    def _configuration(self) -> str:
        settings = {
            "listeners.tcp.1": f"127.0.0.1:{self.port}",
            "load_definitions": self._folder / "definitions.json",
            "max_message_size": 1_048_576,
            "vm_memory_high_watermark.absolute": "1GiB",
            "raft.wal_max_size_bytes": 67_108_864,  # the default, 512 MiB, is also held in memory
            "loopback_users.guest": "true",
            "log.console.level": "info",
        }
        return "".join(f"{name} = {value}\n" for name, value in settings.items())

    async def _answers(self) -> bool:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(b"AMQP\x00\x00\x09\x01")
            greeting = await asyncio.wait_for(reader.readexactly(1), 2)
            return greeting == b"\x01"  # a method frame: Connection.Start
        finally:
            writer.close()
