def paid(order):
    # ruleid: python.reliability.is-literal
    return order.state is "paid"


def empty(basket):
    # ruleid: python.reliability.is-literal
    if len(basket) is 0:
        return True
    return False


def missing(order):
    # ok: python.reliability.is-literal
    return order is None


def sure(flag):
    # ok: python.reliability.is-literal
    return flag is True


MODE = 2


def binary(mode):
    # ok: python.reliability.is-literal
    return mode is MODE


def same(a, b):
    # ok: python.reliability.is-literal
    return a is b
