"""What tasks that run again and again ask before the next round."""

from __future__ import annotations

import asyncio


def is_cancelled() -> bool:
    """Tell whether this task has been cancelled, also where a driver took that for a failure of its own and went on."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
