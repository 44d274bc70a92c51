import asyncio
import time


async def poll(queue):
    while True:
        job = await queue.get()
        if job is None:
            # ruleid: python.performance.sleep-in-async
            time.sleep(1)


async def retry(call):
    for attempt in range(3):
        try:
            return await call()
        except ConnectionError:
            # ruleid: python.performance.sleep-in-async
            time.sleep(2**attempt)


async def polite(queue):
    # ok: python.performance.sleep-in-async
    await asyncio.sleep(1)


def blocking():
    # ok: python.performance.sleep-in-async
    time.sleep(1)


async def in_thread():
    def wait():
        # ok: python.performance.sleep-in-async
        time.sleep(1)

    await asyncio.to_thread(wait)
