"""Processes of claimpipe that start at once, for tests.

A process of `python -m pipeline.…` pays one to five seconds for its imports before it does anything, and tests start some
hundred. Here a parent that has imported everything (one a test session, started when it is first needed) forks a child for
each: a process of its own, with its own id, session, environment, folder, standard streams, signals and exit code. Nothing
of the test's own process is in it, neither its patches nor its open files. It ends at the latest with the test's process,
even where that is killed: no payer in a box is left behind by an interrupted run.

`Popen` and `run` are used like those of `subprocess`. The child is adopted by the test's process, which therefore waits for
it as for any child; that is a means of Linux, and elsewhere, or for what cannot be forked, the real command is run. Not the
same as a real start are the import of the modules (what is missing there a warm parent would not show) and what is read
from the environment while importing.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import io
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any, NoReturn

__all__ = ["DEVNULL", "PIPE", "Popen", "end_with_parent", "run"]

ROOT = Path(__file__).resolve().parent.parent

#: what can be asked for → what a process of it has imported sooner or later. The first ones are imported at once
_MODULES = {
    "pipeline.payer_simulator.serve": (),
    "pipeline.cli": ("pipeline.night", "pipeline.reports.page", "pipeline.reports.workbook", "pipeline.reports.terminal",
                     "great_expectations", "paramiko", "pipeline.store.migrate"),
}  # fmt: skip
#: read while importing: a process with one of these has to be a real one
_READ_AT_IMPORT = ("CLAIMPIPE_FAIL_", "PYTHON")
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


# --- in the test's process --------------------------------------------------------------------------------------------


class Popen(subprocess.Popen):
    """`subprocess.Popen`, whose child is forked from the warm parent where the command is `PYTHON -m` one of its modules.

    `file_limit` (bytes) is the size that no file of the child may exceed. Neither preexec_fn nor pass_fds are for it.
    """

    def __init__(self, command: Sequence[Any], *, file_limit: int = 0, **named: Any) -> None:
        self._file_limit = file_limit
        super().__init__(command, **named)

    def _execute_child(self, args: Any, *others: Any) -> None:
        (
            _executable, _preexec, _close, _pass, cwd, env, _info, _flags, _shell, p2cread, p2cwrite, c2pread, c2pwrite,
            errread, errwrite, _restore, _gid, _gids, _uid, _umask, new_session, _group,
        ) = others  # fmt: skip
        environment = dict(os.environ if env is None else env)
        if not _can_be_forked(args, environment):
            assert not self._file_limit, "only a forked process has a limit"
            super()._execute_child(args, *others)
            return
        wanted = {
            "module": args[2], "arguments": [str(one) for one in args[3:]], "environment": environment,
            "folder": str(cwd or os.getcwd()), "session": bool(new_session), "file_limit": self._file_limit,
            "owner": os.getpid(),
        }  # fmt: skip
        null = os.open(os.devnull, os.O_RDWR)
        try:
            streams = (p2cread, 0), (c2pwrite, 1), (errwrite, 2)
            given = [one if one != -1 else own if _is_open(own) else null for one, own in streams]
            self.pid = _parent().fork(wanted, given)
            self._child_created = True
        finally:
            os.close(null)
            self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)


def run(command: Sequence[Any], **named: Any) -> subprocess.CompletedProcess[str]:
    """Run it to its end and take its output, as text."""
    with Popen(command, stdout=PIPE, stderr=PIPE, text=True, **named) as process:
        out, err = process.communicate()
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def end_with_parent(parent: int) -> None:
    """This process, a child of `parent` or about to be adopted by it, is killed when that one ends, however it ends."""
    if sys.platform != "linux":
        return
    patience = time.monotonic() + 10
    while os.getppid() != parent and time.monotonic() < patience:
        time.sleep(0.0002)
    _control(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before it was watched
        os._exit(1)


def _control(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl refused option {option}")


def _can_be_forked(args: Any, environment: dict[str, str]) -> bool:
    return (
        sys.platform == "linux"
        and isinstance(args, list)
        and args[:2] == [sys.executable, "-m"]
        and args[2] in _MODULES
        and all(os.environ.get(k) == v for k, v in environment.items() if k.startswith(_READ_AT_IMPORT))
        and not any(k.startswith("CLAIMPIPE_FAIL_") for k in environment)
    )


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


class _Parent:
    """The warm parent, seen from the test's process."""

    def __init__(self) -> None:
        # a child whose own parent has left comes to us
        _control(_PR_SET_CHILD_SUBREAPER, 1)
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        clean = {k: v for k, v in os.environ.items() if not k.startswith("CLAIMPIPE_")}
        paths = os.pathsep.join([str(ROOT), *filter(None, [clean.get("PYTHONPATH")])])
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())], pass_fds=[theirs.fileno()], cwd=ROOT,
                stdin=DEVNULL, stdout=DEVNULL, env=clean | {"PYTHONPATH": paths},
            )  # fmt: skip
        atexit.register(self.close)

    def fork(self, wanted: dict[str, Any], streams: list[int]) -> int:
        """The process id of a new child."""
        with self._lock:
            socket.send_fds(self._line, [json.dumps(wanted).encode()], streams)
            answer = self._line.recv(64)
        if not answer:
            raise OSError("The warm parent of the tests' processes has ended; its words stand on standard error.")
        return int(answer)

    def close(self) -> None:
        self._line.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)


_started: dict[int, _Parent] = {}  # by process: a forked test process has none of its own
_starting = threading.Lock()


def _parent() -> _Parent:
    with _starting:
        if os.getpid() not in _started:
            _started[os.getpid()] = _Parent()
        return _started[os.getpid()]


# --- in the warm parent -----------------------------------------------------------------------------------------------


def _serve(line: socket.socket) -> None:
    """Fork for each request until nobody asks any more. One thread only: what is forked is whole."""
    first = next(iter(_MODULES))
    importlib.import_module(first)
    while True:
        request, streams, _, _ = socket.recv_fds(line, 1 << 20, 3)
        if not request:
            return
        wanted = json.loads(request)
        for module in (wanted["module"], *_MODULES[wanted["module"]]):
            importlib.import_module(module)
        gc.freeze()  # no child looks through what it was given
        told, tell = os.pipe()
        between = os.fork()
        if between == 0:
            child = os.fork()
            if child:
                os.write(tell, str(child).encode())
                os._exit(0)  # with its parent gone the child belongs to the test's process
            os.close(told)
            os.close(tell)
            line.close()
            _become(wanted, streams)
        os.close(tell)
        for one in streams:
            os.close(one)
        os.waitpid(between, 0)
        line.send(os.read(told, 64))
        os.close(told)


def _become(wanted: dict[str, Any], streams: list[int]) -> NoReturn:
    """Be the process that was asked for, to its end."""
    end_with_parent(wanted["owner"])
    if wanted["session"]:
        os.setsid()
    if wanted["file_limit"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (wanted["file_limit"], resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    os.chdir(wanted["folder"])
    os.environ.clear()
    os.environ.update(wanted["environment"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, one in enumerate(streams):
        os.dup2(one, number)
    for one in streams:
        if one > 2:
            os.close(one)
    sys.stdin = sys.__stdin__ = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), "utf-8")
    sys.stdout = sys.__stdout__ = _words(1, "strict", by_line=os.isatty(1))
    sys.stderr = sys.__stderr__ = _words(2, "backslashreplace", by_line=True)
    module = sys.modules[wanted["module"]]
    sys.argv = [str(module.__file__), *wanted["arguments"]]
    code: Any = 1
    try:
        code = module.main()
    except SystemExit as stop:
        code = stop.code
    except BaseException:
        traceback.print_exc()
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    # as the interpreter ends, without taking apart everything that was imported
    with contextlib.suppress(BaseException):
        threading._shutdown()
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            code = code or 120
    os._exit((code or 0) & 0xFF)


def _words(number: int, errors: str, *, by_line: bool) -> io.TextIOWrapper:
    raw = io.BufferedWriter(io.FileIO(number, "w", closefd=False))
    return io.TextIOWrapper(raw, "utf-8", errors, line_buffering=by_line)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
