"""A process that has everything imported, and forks a child for each deed: `python -m tests.crash.zygote`.

It reads one JSON object a line, `{"deed": "module:function", "arguments": {…}, "deadly": 3}`, and answers with one:
`{"killed": true, "passed": […], "error": ""}`. `passed` is known only of a child that was not killed.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import os
import signal
import sys
import traceback
from typing import Any

from tests.crash.points import Points


def main() -> None:
    for module in sys.argv[1:]:
        importlib.import_module(module)
    gc.freeze()
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        print(json.dumps(_forked(json.loads(line))), flush=True)


def _forked(asked: dict[str, Any]) -> dict[str, Any]:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _carry_out(asked, writing)
    os.close(writing)
    with os.fdopen(reading) as answer:
        said = answer.read()
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    told: dict[str, Any] = json.loads(said) if said else {"passed": [], "error": "" if killed else "it said nothing"}
    return {"killed": killed, **told}


def _carry_out(asked: dict[str, Any], writing: int) -> None:
    module, _, name = asked["deed"].partition(":")
    points, error = Points(asked["deadly"]), ""
    try:
        asyncio.run(getattr(importlib.import_module(module), name)(points, **asked["arguments"]))
    except BaseException:  # noqa: BLE001  # whatever it is, the parent is told
        error = traceback.format_exc()
    with os.fdopen(writing, "w") as answer:
        json.dump({"passed": points.passed, "error": error}, answer)
    os._exit(0)


if __name__ == "__main__":
    main()
