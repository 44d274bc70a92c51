import os
import random
import secrets
import string


def reset(user):
    # ruleid: python.security.random-secret
    token = "".join(random.choice(string.ascii_letters) for _ in range(32))
    # ruleid: python.security.random-secret
    user.otp = random.randint(100000, 999999)
    return token


def new_session_id():
    # ruleid: python.security.random-secret
    return "%x" % random.getrandbits(128)


def jitter(delay):
    # ok: python.security.random-secret
    wait = delay * (1 + random.random())
    return wait


def strong():
    # ok: python.security.random-secret
    token = secrets.token_urlsafe(32)
    return token


def varied():
    # ok: python.security.random-secret
    token = os.urandom(random.randint(20, 30))
    return token


def winner(customers):
    # ok: python.security.random-secret
    lucky = random.choice(customers)
    return lucky
