"""A private PostgreSQL: a database and a role per service, passwords by SCRAM, default durability."""

import asyncio
import signal
from collections.abc import Sequence

import asyncpg

from batalkan.servers.data_folder import DataFolder
from batalkan.servers.packages import need
from batalkan.servers.server import Server
from batalkan.subprocesses import ChildFailed, Reaper
from runtime.storage.database import connect

MEMORY_IN_USE = "pre-existing shared memory block"
"""PostgreSQL's error at start while a session of the killed server has not ended."""
TRIES = 20
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "300",
    "random_page_cost": "1.1",  # as in deploy/postgres
}


class Postgres(Server):
    name, scheme, admin = "postgres", "postgresql", "postgres"

    def __init__(self, data_folder: DataFolder, services: Sequence[str], reaper: Reaper) -> None:
        super().__init__(data_folder, services, reaper)
        program = need("postgres").resolve()  # initdb is in the same folder
        self._initdb = program.with_name("initdb")
        settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
        self.child = self._child("PostgreSQL", program, "-D", "data", f"--port={self.port}", *settings)

    async def start(self) -> None:
        """Starts it; ready when every service can connect to its database."""
        if not (self._folder / "data").exists():
            await self._make_cluster()
        for tries_left in reversed(range(TRIES)):
            self.child.spawn()
            try:
                await self.child.until(self._answers, timeout=60)
                break
            except ChildFailed as failed:
                if not tries_left or MEMORY_IN_USE not in str(failed):
                    raise
                await asyncio.sleep(0.2)
        await self._make_databases()

    async def stop(self) -> None:
        await self.child.stop(20, signal.SIGINT)  # PostgreSQL's "fast" shutdown: ends sessions, then stops

    def _path(self, service: str) -> str:
        return service

    async def _make_cluster(self) -> None:
        """Created under another name and renamed at the end: an existing cluster is complete."""
        password = self._write("password", self._secret(self.admin))
        options = ["--username=postgres", "--encoding=UTF8", "--no-locale", "--auth=scram-sha-256", "--no-instructions"]
        initdb = self._child("initdb", self._initdb, "-D", "new", f"--pwfile={password}", *options)
        initdb.spawn()
        if await initdb.wait(60) != 0:
            raise ChildFailed(f"PostgreSQL could not make its data folder:\n{initdb.tail()}")
        password.unlink()
        (self._folder / "new").rename(self._folder / "data")

    async def _answers(self) -> bool:
        try:
            connection = await connect(self.admin_url, timeout=2)
        except (asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError):
            return False
        await connection.close()
        return True

    async def _make_databases(self) -> None:
        admin = await connect(self.admin_url)

        async def run(template: str, *names: str) -> None:
            """PostgreSQL quotes the names (%I) and the literals (%L)."""
            arguments = ", ".join(f"${n}::text" for n in range(1, len(names) + 1))
            await admin.execute(await admin.fetchval(f"select format('{template}', {arguments})", *names))

        try:
            present = {row["datname"] for row in await admin.fetch("select datname from pg_database")}
            for service in self._services:
                if service in present:
                    continue
                await run("drop role if exists %I", service)
                await run("create role %I login password %L", service, self._secret(service))
                await run("create database %I owner %I", service, service)
                await run("revoke all on database %I from public", service)
            await admin.execute("revoke all on database postgres, template1 from public")
        finally:
            await admin.close()
