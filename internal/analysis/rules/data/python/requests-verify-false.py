import httpx
import requests


def rates(url):
    # ruleid: python.security.requests-verify-false
    return requests.get(url, verify=False, timeout=5).json()


def post(url, body):
    session = requests.Session()
    # ruleid: python.security.requests-verify-false
    return session.post(url, json=body, verify=False, timeout=5)


def client():
    # ruleid: python.security.requests-verify-false
    return httpx.Client(verify=False)


def private(url, bundle):
    # ok: python.security.requests-verify-false
    return requests.get(url, verify=bundle, timeout=5)


def checked(url):
    # ok: python.security.requests-verify-false
    return requests.get(url, verify=True, timeout=5)


def form(order):
    # ok: python.security.requests-verify-false
    return order.save(verify=False)
