import requests


def rate(url):
    # ruleid: python.reliability.request-without-timeout
    return requests.get(url).json()["rate"]


def notify(url, order):
    # ruleid: python.reliability.request-without-timeout
    answer = requests.post(url, json={"order": order.id}, headers={"X-Shop": "1"})
    answer.raise_for_status()


def bounded(url):
    # ok: python.reliability.request-without-timeout
    return requests.get(url, timeout=5)


def options(url, **options):
    # ok: python.reliability.request-without-timeout
    return requests.get(url, **options)


def cached(cache, url):
    # ok: python.reliability.request-without-timeout
    return cache.get(url)
