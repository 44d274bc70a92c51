import asyncio

import httpx
import requests


async def rate(url):
    # ruleid: python.performance.request-in-async
    return requests.get(url, timeout=5).json()["rate"]


async def notify(urls, order):
    for url in urls:
        # ruleid: python.performance.request-in-async
        answer = requests.post(url, json=order, timeout=5)
        answer.raise_for_status()


async def right(url):
    async with httpx.AsyncClient(timeout=5) as client:
        # ok: python.performance.request-in-async
        return (await client.get(url)).json()


async def in_thread(url):
    # ok: python.performance.request-in-async
    return await asyncio.to_thread(requests.get, url, timeout=5)


def plain(url):
    # ok: python.performance.request-in-async
    return requests.get(url, timeout=5)
