"""Keeps one server running for as long as the process that wanted it is there: `python keeper.py '{"command": …}'`.

The two are joined by the keeper's standard input. A byte on it says: stop the server, I clean up. Its end, without
that byte, says that the parent is gone (killed, even): stop the server and remove what it left. No signal handler, no
`prctl`: a pipe closes on every system. Imports the standard library only, because it runs as a script of its own.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
from typing import IO, Any

# What a server needs of our environment; PGOPTIONS, say, or a measuring tool's own variables are not for it.
_PASSED_ON = ("PATH", "HOME", "TMPDIR", "TZ", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


def keep(
    command: list[str], *, owner: list[int] | None, temporary: str, stop: int, grace: float, parent: IO[bytes]
) -> int:
    """Run the command until it ends or the parent says so; return its exit code.

    Args:
        command: the server and its arguments.
        owner: user and group id to run it as; `None` for those of this process.
        temporary: the directory to remove if the parent dies.
        stop: the signal that asks the server to end.
        grace: seconds between asking the server to end and killing it.
        parent: where the parent's word, or its end, arrives.
    """
    identity: dict[str, Any] = {"user": owner[0], "group": owner[1], "extra_groups": []} if owner else {}
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd="/", env=environment, **identity)
    word: list[bytes] = []

    def stop_when_told() -> None:
        word.append(parent.read(1))
        server.send_signal(stop)
        try:
            server.wait(grace)
        except subprocess.TimeoutExpired:
            server.kill()

    threading.Thread(target=stop_when_told, daemon=True).start()
    code = server.wait()
    if word == [b""]:
        shutil.rmtree(temporary, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(keep(**json.loads(sys.argv[1]), parent=sys.stdin.buffer) and 1)
