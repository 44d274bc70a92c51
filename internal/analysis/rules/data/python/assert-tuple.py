def pay(order):
    # ruleid: python.reliability.assert-tuple
    assert (order.total > 0, "an order costs something")
    return order.total


def ship(order):
    # ruleid: python.reliability.assert-tuple
    assert (order.paid, f"order {order.id} is not paid")


def right(order):
    # ok: python.reliability.assert-tuple
    assert order.total > 0, "an order costs something"


def grouped(order):
    # ok: python.reliability.assert-tuple
    assert (order.total > 0 and order.paid)
