import hashlib


def stored(password):
    # ruleid: python.security.weak-password-hash
    return hashlib.md5(password.encode()).hexdigest()


def salted(user, salt):
    # ruleid: python.security.weak-password-hash
    return hashlib.sha256(salt + user.password.encode("utf-8")).hexdigest()


def checksum(content):
    # ok: python.security.weak-password-hash
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def slow(password, salt):
    # ok: python.security.weak-password-hash
    return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1)
