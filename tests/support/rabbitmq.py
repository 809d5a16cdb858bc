"""A real RabbitMQ of the test run: this machine's, or Debian's unpacked; and a publisher that others wrote.

A server has its ports, its node, its user ``guest`` and its files for itself, and listens on this
machine alone. Its processes are told by the system when the test run dies, and die with it.
"""

from __future__ import annotations

import ctypes
import json
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pika
import pytest
from pika.exceptions import AMQPConnectionError, AMQPError

from support.certificates import HOST, Authority
from support.debian import MACHINE, PLACE, DebianProgram, debian_program
from support.programs import free_port
from support.running import environment
from support.waiting import until

EXCHANGE: Final = "peatio.events.ranger"
USER, PASSWORD = "guest", "guest"
PACKAGES: Final = ["rabbitmq-server"]

_START_S: Final = 60.0
_STOP_S: Final = 20.0
_TRIES: Final = 5
_SCRIPTS: Final = "usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"
_ERLANG: Final = "usr/lib/erlang"
_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None)


def rabbitmq_program(say: Callable[[str], None]) -> DebianProgram:
    """RabbitMQ's start script, fetched if need be; the test fails if it cannot be had.

    Args:
        say: is told what is fetched, which may take minutes.
    """
    places = (os.environ.get("PATH", ""), "/usr/sbin", str(PLACE / PACKAGES[0] / "usr/sbin"))
    if shutil.which(PACKAGES[0], path=os.pathsep.join(places)) is None:
        say("rabbitmq-server is not here: fetching Debian's, with Erlang 35 MB, into build/debian ...")
    found = debian_program(PACKAGES[0], PACKAGES)
    # What lies in the path is a wrapper that wants to be a certain user.
    scripts = sorted(found.root.glob(_SCRIPTS))
    return DebianProgram(scripts[-1], found.root) if scripts else found


def _die_with_us() -> None:
    """Runs in a process that is being started: its end comes with that of the thread that starts it."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class RabbitServer:
    """One server and the port mapper of its Erlang, each a process.

    It is started from the main thread: the system ends it with the thread that did.

    Args:
        program: see :func:`rabbitmq_program`.
        folder: for its files; it does not exist yet.
    """

    def __init__(self, program: DebianProgram, folder: Path) -> None:
        self._program = program
        self._processes: list[subprocess.Popen[bytes]] = []
        self.folder = folder
        folder.mkdir(parents=True)
        Authority(folder)
        (folder / "plugins").write_text("[].\n")
        self._cookie.write_text(secrets.token_hex(8))
        self._cookie.chmod(0o400)
        self._choose_ports()
        if program.root != MACHINE:
            self._write_erl()

    # Life

    def start(self) -> None:
        """Start it, and wait until it serves; on the same ports as before, if it ran before."""
        for _ in range(_TRIES):
            self.launch()
            deadline = time.monotonic() + _START_S
            while not self.is_ready and not self.has_ended and time.monotonic() < deadline:
                time.sleep(0.02)
            if self.is_ready:
                return
            self.kill()
            self._choose_ports()
        raise AssertionError(f"RabbitMQ does not start:\n{self.log[-4000:]}")

    async def restart(self) -> None:
        """Start it again on the ports that it had, while the test's own tasks go on."""
        self.launch()
        await until(lambda: self.is_ready or self.has_ended, "RabbitMQ serves", _START_S)
        assert self.is_ready, self.log[-4000:]

    async def stop(self) -> None:
        """Let it end in order, as an administrator does; connections are told."""
        self._processes[-1].terminate()
        await until(lambda: self.has_ended, "RabbitMQ has ended", _STOP_S)
        self.kill()

    def kill(self) -> None:
        """End it at once, and all that it started."""
        for process in reversed(self._processes):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._processes.clear()

    def launch(self) -> None:
        """Begin to start it."""
        (self.folder / "log").write_bytes(b"")
        (self.folder / "rabbitmq.conf").write_text("\n".join([*self._configuration(), ""]))
        self._processes = [self._spawn(self._erlang("epmd"), "-port", str(self._epmd_port))]
        self._processes.append(self._spawn(str(self._program.path)))

    @property
    def is_ready(self) -> bool:
        """Whether it serves."""
        return "Server startup complete" in self.log

    @property
    def has_ended(self) -> bool:
        """Whether it does not run any more."""
        return not self._processes or self._processes[-1].poll() is not None

    @property
    def log(self) -> str:
        """What it wrote."""
        return (self.folder / "log").read_text(errors="replace")

    @property
    def ca_file(self) -> Path:
        """The certificate of who vouches for its own."""
        return self.folder / "ca.pem"

    @property
    def pids(self) -> list[int]:
        """Its processes."""
        return [process.pid for process in self._processes]

    # Administration

    def evaluate(self, code: str) -> Any:
        """Run Erlang in the server; what the variable ``Answer`` is then, by way of JSON."""
        write = f"file:write_file({_text(str(self._answer))}, rabbit_json:encode(Answer)), ok."
        self._answer.unlink(missing_ok=True)
        done = subprocess.run(
            [self._erlang("erl_call"), "-sname", self._node, "-c", self._cookie.read_text(), "-r", "-e"],
            input=f"{code.rstrip().rstrip('.,')}, {write}\n".encode(),
            env=self._environment(),
            capture_output=True,
            check=False,
            timeout=_STOP_S,
        )
        assert self._answer.exists(), f"{done.stdout.decode()}{done.stderr.decode()} of: {code}"
        return json.loads(self._answer.read_bytes())

    def queues(self, exchange: str = EXCHANGE) -> dict[str, dict[str, Any]]:
        """The queues bound to an exchange: how many messages wait, how many consumers there are."""
        found: dict[str, dict[str, Any]] = self.evaluate(
            f"Name = rabbit_misc:r({_binary('/')}, exchange, {_binary(exchange)}),"
            "Bound = lists:usort([element(4, B) || B <- rabbit_binding:list_for_source(Name)]),"
            # One that goes while it is asked has no facts.
            "Facts = fun(Q) -> try rabbit_amqqueue:info(Q, [messages, consumers])"
            " of [{_, M}, {_, C}] -> [#{messages => M, consumers => C}] catch exit:_ -> [] end end,"
            "Answer = maps:from_list([{element(4, N), F}"
            " || N <- Bound, {ok, Q} <- [rabbit_amqqueue:lookup(N)], F <- Facts(Q)])"
        )
        return found

    def consumers(self, exchange: str = EXCHANGE) -> int:
        """How many consumers there are on the queues of an exchange."""
        return sum(queue["consumers"] for queue in self.queues(exchange).values())

    def delete_queue(self, name: str) -> None:
        """Delete a queue, whoever has it for himself: the server cancels its consumers."""
        self.evaluate(
            f"{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r({_binary('/')}, queue, {_binary(name)})),"
            'rabbit_amqqueue:delete(Q, false, false, <<"test">>), Answer = true'
        )

    def forget_consumers(self, name: str) -> None:
        """Let a queue lose its consumers and tell nobody, as a fault in the server would."""
        self.evaluate(
            f"{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r({_binary('/')}, queue, {_binary(name)})),"
            "Forget = fun(Whole) -> [erase(Key) || {{ch, _} = Key, _} <- get()],"
            " State = setelement(7, element(4, Whole), rabbit_queue_consumers:new()),"
            " setelement(4, Whole, State) end,"
            "sys:replace_state(amqqueue:get_pid(Q), Forget), Answer = true"
        )

    def close_connections(self, reason: str = "enough") -> int:
        """End every connection, as an administrator does; how many there were."""
        closed: int = self.evaluate(
            "Pids = rabbit_networking:connections(),"
            f"[rabbit_networking:close_connection(P, {_text(reason)}) || P <- Pids], Answer = length(Pids)"
        )
        return closed

    # Parts

    @property
    def _node(self) -> str:
        return f"rabbit{self.port}@localhost"

    @property
    def _answer(self) -> Path:
        return self.folder / f"answer-{os.getpid()}"

    def _choose_ports(self) -> None:
        ports: set[int] = set()
        while len(ports) < 4:
            ports.add(free_port())
        self.port, self.tls_port, self._epmd_port, self._distribution_port = ports

    @property
    def _cookie(self) -> Path:
        return self.folder / ".erlang.cookie"

    def _configuration(self) -> list[str]:
        return [
            f"listeners.tcp.1 = {HOST}:{self.port}",
            f"listeners.ssl.1 = {HOST}:{self.tls_port}",
            f"ssl_options.certfile = {self.folder / 'cert.pem'}",
            f"ssl_options.keyfile = {self.folder / 'key.pem'}",
            "ssl_options.verify = verify_none",
            "disk_free_limit.absolute = 1MB",
            "log.console = true",
            "log.console.level = info",
            "log.file = false",
        ]

    def _environment(self) -> dict[str, str]:
        own = self.folder / "bin"
        here = {
            "HOME": str(self.folder),
            "ERL_EPMD_ADDRESS": HOST,
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_LOG_BASE": str(self.folder),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_NODENAME": self._node,
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1",
            "detached": "true",  # the script becomes Erlang itself, so that a signal reaches it
        }
        here["PATH"] = os.pathsep.join((str(own), os.environ.get("PATH", "")))
        return environment(self._program.environment | here)

    def _erlang(self, name: str) -> str:
        """A program that comes with Erlang."""
        folders = [str(self._program.root / _ERLANG / "bin"), os.environ.get("PATH", "")]
        found = shutil.which(name, path=os.pathsep.join(folders))
        if found is None:
            pytest.fail(f"{name}, which belongs to Erlang, is not here (Debian: apt-get install erlang-base)")
        return found

    def _write_erl(self) -> None:
        """Write what starts Erlang where it was unpacked: its own script knows one place only."""
        root = self._program.root / _ERLANG
        (runtime,) = root.glob("erts-*")
        lines = ["#!/bin/sh", f"export ROOTDIR='{root}' BINDIR='{runtime}/bin' EMU=beam PROGNAME=erl"]
        script = self.folder / "bin" / "erl"
        script.parent.mkdir(exist_ok=True)
        script.write_text("\n".join([*lines, 'exec "$BINDIR/erlexec" "$@"', ""]))
        script.chmod(0o755)

    def _spawn(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_us,  # noqa: PLW1509 - one system call, and no lock
            )


def _binary(text: str) -> str:
    return f"<<{_text(text)}>>"


def _text(text: str) -> str:
    return json.dumps(text)


class NotReached(Exception):
    """Nobody answers there."""


class Publisher:
    """Who publishes as an exchange's other parts do; blocks, but only for as long as the server takes.

    Args:
        port: of the server.
        exchange: where to; declared as Peatio declares it.
        exchange_type: of the exchange, if it is to be another one.

    Raises:
        NotReached: there is no server.
    """

    def __init__(self, port: int, exchange: str = EXCHANGE, exchange_type: str = "topic") -> None:
        self._exchange = exchange
        credentials = pika.PlainCredentials(USER, PASSWORD)
        parameters = pika.ConnectionParameters(HOST, port, credentials=credentials, heartbeat=0)
        try:
            self._connection = pika.BlockingConnection(parameters)
        except AMQPConnectionError as error:
            raise NotReached(str(error)) from error
        self.channel = self._connection.channel()
        self.channel.exchange_declare(exchange, exchange_type, durable=False)

    def say(
        self, routing_key: str | bytes, body: bytes | str, headers: dict[str, object] | None = None
    ) -> None:
        """Publish one message."""
        properties = pika.BasicProperties(headers=headers)
        self.channel.basic_publish(self._exchange, routing_key, body, properties)

    def close(self) -> None:
        """Hang up, if the server has not."""
        with suppress(AMQPError):
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
