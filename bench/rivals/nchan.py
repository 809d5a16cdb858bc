"""nchan: nginx with one worker on the server's core, fed by the native publisher on the load's core.

nchan makes no messages, so ``publisher`` posts them to /pub/<topic> and a client names its topics in its path
(``load --no-subscribe``). The worker parses a request for each message, as it would in service. Its process
is the one whose CPU time counts; the publisher's own is in its statistics (``publisher_cpu_s``).

Saturation: two ticks are under way; when all messages of one are answered, which nchan does when it has
handed them to its subscribers, the next one goes. nchan keeps the last messages of a channel for those of
its subscribers that lag behind (_KEPT, where its default is 10); what one misses beyond them, the load
sees as a jump of seq.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.rivals.server import allow_many_clients
from bench.system.gateway import free_port
from bench.system.native import LOAD_CORE, SERVER_CORE, BenchError, Native, pinned

_START_S = 10.0
_KEPT = 1_000
_CONFIG = """
daemon off;
user root root;
worker_processes 1;
pid {folder}/pid;
error_log stderr crit;
load_module {module};
events {{ worker_connections 20000; }}
worker_rlimit_nofile 20000;
http {{
  access_log off;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  nchan_shared_memory_size 512M;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location ~ ^/pub/(.+)$ {{
      nchan_publisher http;
      nchan_channel_id $1;
      nchan_message_buffer_length {kept};
      nchan_message_timeout 60s;
    }}
    location ~ ^/sub/(.+)$ {{
      nchan_subscriber websocket;
      nchan_channel_id $1;
      nchan_channel_id_split_delimiter ",";
      nchan_subscriber_first_message newest;
    }}
  }}
}}
"""


class Nchan:
    """nginx and its publisher; a context manager like the other servers.

    Args:
        name: the rival's.
        version: the rival's.
        root: where nginx and nchan were installed.
        arguments: the workload, for the publisher.
    """

    path = "/sub/"
    load_arguments: Sequence[object] = ("--path", "/sub/", "--no-subscribe")

    def __init__(self, name: str, version: str, root: Path, arguments: Sequence[object]) -> None:
        self.name = name
        self.version = version
        self.port = free_port()
        self.pid = 0
        self._arguments = arguments
        self._folder = tempfile.mkdtemp(prefix="nchan-")
        module = root / "usr/lib/nginx/modules/ngx_nchan_module.so"
        config = Path(self._folder) / "nginx.conf"
        config.write_text(_CONFIG.format(folder=self._folder, module=module, port=self.port, kept=_KEPT))
        command = [*_private_folder(), root / "usr/sbin/nginx", "-p", self._folder, "-c", config]
        allow_many_clients()
        with pinned(SERVER_CORE):
            self._nginx = subprocess.Popen(
                [str(part) for part in [*command, "-e", "stderr"]], stdin=subprocess.DEVNULL
            )

    def __enter__(self) -> Self:
        try:
            self.pid = self._worker()
            arguments = ["--server", self.port, *self._arguments]
            self._publisher = Native("publisher", arguments, core=LOAD_CORE)
            self._publisher.line(_START_S)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if hasattr(self, "_publisher"):
            self._publisher.end()
        self._nginx.terminate()
        try:
            self._nginx.wait(_START_S)
        except subprocess.TimeoutExpired:
            self._nginx.kill()
            self._nginx.wait()
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)  # a worker outlives a master that was killed
        shutil.rmtree(self._folder, ignore_errors=True)

    def tell(self, command: str) -> None:
        """Send the publisher one command line."""
        self._publisher.tell(command)

    def statistics(self) -> dict[str, Any]:
        """What the publisher counted so far."""
        return self._publisher.statistics()

    def _worker(self) -> int:
        """The process that does the work."""
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            if self._nginx.poll() is not None:
                raise BenchError(f"nginx ended with status {self._nginx.returncode}")
            for child in _children(self._nginx.pid):
                if _title(child).startswith(b"nginx: worker"):
                    return child
            time.sleep(0.02)
        raise BenchError(f"nginx had no worker after {_START_S:g} s")


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _title(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def _private_folder() -> list[str]:
    """What gives nginx a /var/lib/nginx of its own where there is none.

    nchan makes a location inside nginx that no configuration reaches, and nginx insists on the folder
    that was compiled in for it. A mount that this process alone sees leaves the machine as it is.
    """
    if Path("/var/lib/nginx").exists():
        return []
    rights = [] if os.geteuid() == 0 else ["--map-root-user"]
    script = 'mount -t tmpfs none /var/lib && mkdir /var/lib/nginx && exec "$@"'
    return ["unshare", "--mount", *rights, "sh", "-c", script, "sh"]
