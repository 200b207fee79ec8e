"""Machines made of network namespaces: each has its own address, none hears another's loopback."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest


class Machines:
    """A network of this machine (number 1) and of `n` others, at 10.N.N.2 and on."""

    def __init__(self, n: int) -> None:
        self.name = f"bv{os.getpid() % 100_000}"
        self.network = f"10.{200 + os.getpid() % 50}.{os.getpid() // 50 % 250}"
        self.names = [f"{self.name}-{number}" for number in range(2, n + 2)]

    def address(self, number: int) -> str:
        return f"{self.network}.{number}"

    def set_up(self) -> None:
        ip("link", "add", self.name, "type", "bridge")
        ip("addr", "add", f"{self.address(1)}/24", "dev", self.name)
        ip("link", "set", self.name, "up")
        for number, name in enumerate(self.names, start=2):
            ip("netns", "add", name)
            ip("link", "add", f"{name}v", "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("link", "set", f"{name}v", "master", self.name)
            ip("link", "set", f"{name}v", "up")
            for command in (f"addr add {self.address(number)}/24 dev eth0", "link set eth0 up", "link set lo up"):
                ip("-n", name, *command.split())

    def take_down(self) -> None:
        for name in self.names:
            with suppress(subprocess.CalledProcessError):
                ip("netns", "del", name)
        with suppress(subprocess.CalledProcessError):
            ip("link", "del", self.name)

    def cut_off(self, number: int) -> None:
        """Unplug a machine."""
        ip("link", "set", f"{self.names[number - 2]}v", "down")

    def plug_in(self, number: int) -> None:
        ip("link", "set", f"{self.names[number - 2]}v", "up")

    @contextmanager
    def dask(self, number: int, *arguments: str, cwd: Path, environment: Mapping[str, str]) -> Iterator[None]:
        """One of Dask's commands on a machine, until the end."""
        command = [sys.executable, "-m", f"distributed.cli.dask_{arguments[0]}", *arguments[1:], "--no-dashboard"]
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BLOSC_NTHREADS"), "1")
        process = subprocess.Popen(
            ["ip", "netns", "exec", self.names[number - 2], *command],
            cwd=cwd,
            env={**os.environ, **threads, "PYTHONWARNINGS": "ignore", **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            process.wait()


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@contextmanager
def machines(n: int) -> Iterator[Machines]:
    """So many machines; skips the test where they cannot be made."""
    if shutil.which("ip") is None:
        pytest.skip("machines cannot be made here: there is no ip (iproute2)")
    made = Machines(n)
    with ExitStack() as stack:
        stack.callback(made.take_down)
        try:
            made.set_up()
        except subprocess.CalledProcessError as error:
            pytest.skip(f"machines cannot be made here: {error.stderr.strip()}")
        yield made
