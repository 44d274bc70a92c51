import jwt


def customer(token):
    # ruleid: python.security.jwt-unverified
    return jwt.decode(token, options={"verify_signature": False})["customer"]


def old(token, key):
    # ruleid: python.security.jwt-unverified
    return jwt.decode(token, key, verify=False)


def right(token, key):
    # ok: python.security.jwt-unverified
    return jwt.decode(token, key, algorithms=["HS256"])


def late(token, key):
    # ok: python.security.jwt-unverified
    return jwt.decode(token, key, algorithms=["HS256"], options={"verify_exp": False})
