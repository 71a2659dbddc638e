"""libvirt's event loop on asyncio, each time in a process of its own: a process has one for good."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

from tests.libvirtd import Libvirtd

ROOT = Path(__file__).parents[2]

HEAD = """
import asyncio, logging, os, sys, threading, time
from pathlib import Path
from vmdash.virt import eventloop
from vmdash.virt.connection import HostConnection
from vmdash.virt.events import subscribe
from vmdash.virt.uri import Endpoint
"""


def run(script: str, *arguments: str) -> str:
    """What the script prints; its errors, if it fails."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", HEAD + textwrap.dedent(script), *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def test_events_arrive_on_the_loop_while_threads_call(daemon: Libvirtd, tmp_path: Path) -> None:
    told = run(
        """
        async def main(uri, folder):
            loop = asyncio.get_running_loop()
            eventloop.use_asyncio(loop)
            seen = asyncio.Queue()
            def note(event):
                assert threading.current_thread() is threading.main_thread()
                seen.put_nowait(event)
            connection = await asyncio.to_thread(HostConnection.open, Endpoint.parse(uri), runtime_dir=folder)
            subscription = await asyncio.to_thread(subscribe, connection, note)
            guest = await asyncio.to_thread(connection.guest_named, "test")
            for _ in range(20):
                await asyncio.to_thread(guest.suspend)
                await asyncio.to_thread(guest.resume)
            for _ in range(40):
                event = await asyncio.wait_for(seen.get(), 5)
            print(event.kind)
            await asyncio.to_thread(subscription.close)
            await asyncio.to_thread(connection.close)
        asyncio.run(main(sys.argv[1], Path(sys.argv[2])), debug=True)
        """,
        daemon.endpoint.uri(),
        str(tmp_path),
    )
    assert told.strip() == "resumed"


def test_a_connection_that_is_closed_after_the_loop_ends_quietly(daemon: Libvirtd, tmp_path: Path) -> None:
    told = run(
        """
        async def main(uri, folder):
            eventloop.use_asyncio(asyncio.get_running_loop())
            return await asyncio.to_thread(HostConnection.open, Endpoint.parse(uri), runtime_dir=folder)
        connection = asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
        connection.close()
        print("closed")
        """,
        daemon.endpoint.uri(),
        str(tmp_path),
    )
    assert told.strip() == "closed"


def test_keepalive_works_on_a_loop_that_nothing_else_wakes(daemon: Libvirtd, tmp_path: Path) -> None:
    told = run(
        """
        async def main(uri, folder, daemon):
            loop = asyncio.get_running_loop()
            eventloop.use_asyncio(loop)
            closed = loop.create_future()
            connection = await asyncio.to_thread(
                HostConnection.open, Endpoint.parse(uri), runtime_dir=folder, keepalive=(1, 1)
            )
            connection.on_close(closed.set_result)
            os.kill(daemon, 19)
            try:
                print(await asyncio.wait_for(closed, 6))
            finally:
                os.kill(daemon, 18)
            await asyncio.to_thread(connection.close)
        asyncio.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])), debug=True)
        """,
        daemon.endpoint.uri(),
        str(tmp_path),
        str(daemon.pid),
    )
    assert told.strip() == "keepalive"


def test_a_loop_made_before_a_fork_is_refused_after_it() -> None:
    told = run(
        """
        eventloop.start_thread()
        eventloop.start_thread()
        assert eventloop.is_registered()
        if child := os.fork():
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        assert not eventloop.is_registered()
        try:
            eventloop.start_thread()
        except RuntimeError as error:
            print(error, flush=True)
            os._exit(0)
        """
    )
    assert "before the fork" in told


def test_a_process_forked_before_may_have_its_own(daemon: Libvirtd, tmp_path: Path) -> None:
    told = run(
        """
        if child := os.fork():
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        eventloop.start_thread()
        with HostConnection.open(Endpoint.parse(sys.argv[1]), runtime_dir=Path(sys.argv[2])) as connection:
            print(connection.guests()[0].name, flush=True)
        os._exit(0)
        """,
        daemon.endpoint.uri(),
        str(tmp_path),
    )
    assert told.strip() == "test"


def test_keepalive_without_a_loop_is_a_mistake_that_is_told(daemon: Libvirtd, tmp_path: Path) -> None:
    told = run(
        """
        try:
            HostConnection.open(Endpoint.parse(sys.argv[1]), runtime_dir=Path(sys.argv[2]))
        except RuntimeError as error:
            print(error)
        HostConnection.open(Endpoint.parse(sys.argv[1]), runtime_dir=Path(sys.argv[2]), keepalive=None).close()
        """,
        daemon.endpoint.uri(),
        str(tmp_path),
    )
    assert "eventloop" in told


def test_pages_need_no_libvirt() -> None:
    modules = ("errors", "states", "uri", "credentials", "identity", "probe", "rates", "xml.domain")
    imports = "\n".join(f"import vmdash.virt.{name}" for name in modules)
    script = f"import sys\n{imports}\nprint('libvirt' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"
