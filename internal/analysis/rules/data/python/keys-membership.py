def sold(prices, sku):
    # ruleid: python.style.keys-membership
    return sku in prices.keys()


def total(prices, lines):
    # ruleid: python.style.keys-membership
    return sum(prices[line.sku] for line in lines if line.sku in prices.keys())


def plain(prices, sku):
    # ok: python.style.keys-membership
    return sku in prices


def values(prices, amount):
    # ok: python.style.keys-membership
    return amount in prices.values()


def loop(prices):
    # ok: python.style.keys-membership
    for sku in prices.keys():
        print(sku)
