def missing(prices, sku):
    # ruleid: python.style.not-in
    return not sku in prices


def skip(line):
    # ruleid: python.style.not-in
    if not "@" in line:
        return True
    return False


def right(prices, sku):
    # ok: python.style.not-in
    return sku not in prices


def both(prices, sku):
    # ok: python.style.not-in
    return not (sku in prices and prices[sku] > 0)


def other(order):
    # ok: python.style.not-in
    return not order.paid
