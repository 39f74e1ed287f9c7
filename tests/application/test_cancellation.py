"""What runs again and again ends when it is cancelled, also where a driver takes that for a failure of its own."""

from __future__ import annotations

import asyncio

import pytest

from prismicx.application.leases import while_renewing
from prismicx.application.refreshing import Refresher, UnobservedRefresh
from prismicx.domain.errors import ConnectionLostError

Patch = pytest.MonkeyPatch


class Driver:
    """Does something that never ends and that, cancelled for the first time, says that its connection is lost."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()

    async def __call__(self) -> None:
        if self.reached.is_set():
            return
        self.reached.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionLostError("the operation was cancelled") from None


async def refreshed_and_stopped(*, within: float) -> None:
    driver, nobody = Driver(), asyncio.Event()

    async def listen(wake: object) -> None:
        await nobody.wait()

    refresher = Refresher(driver, listen, interval=0.001, patience=60, observer=UnobservedRefresh())
    refresher.start()
    await driver.reached.wait()
    async with asyncio.timeout(within):
        await refresher.stop()


async def worked_while_renewing(*, within: float) -> str:
    driver = Driver()

    async def work() -> str:
        await driver.reached.wait()
        return "done"

    async with asyncio.timeout(within):
        return await while_renewing(work(), renew=driver, every=0.001)


async def test_a_refresher_stops_in_the_middle_of_a_refresh() -> None:
    await refreshed_and_stopped(within=20)


async def test_work_ends_in_the_middle_of_a_renewal() -> None:
    assert await worked_while_renewing(within=20) == "done"


async def test_a_refresher_that_believes_the_driver_does_not_stop(monkeypatch: Patch) -> None:
    monkeypatch.setattr("prismicx.application.refreshing.is_cancelled", lambda: False)

    with pytest.raises(TimeoutError):
        await refreshed_and_stopped(within=0.1)


async def test_a_renewal_that_believes_the_driver_does_not_end(monkeypatch: Patch) -> None:
    monkeypatch.setattr("prismicx.application.leases.is_cancelled", lambda: False)

    with pytest.raises(TimeoutError):
        await worked_while_renewing(within=0.1)
