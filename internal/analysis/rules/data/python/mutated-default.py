# ruleid: python.reliability.mutated-default
def collect(item, basket=[]):
    basket.append(item)
    return basket


# ruleid: python.reliability.mutated-default
def price(sku, *, prices={}):
    if sku not in prices:
        prices.update({sku: look_up(sku)})
    return prices[sku]


# ok: python.reliability.mutated-default
def cached_price(sku, _cache={}):
    if sku not in _cache:
        _cache[sku] = look_up(sku)
    return _cache[sku]


# ruleid: python.reliability.mutated-default
def count(lines, found: dict = {}) -> dict:
    for line in lines:
        found[line.sku] = found.get(line.sku, 0) + line.count
    return found


# ok: python.reliability.mutated-default
def total(lines=[]):
    return sum(line.amount for line in lines)


# ok: python.reliability.mutated-default
def fresh(item, basket=None):
    if basket is None:
        basket = []
    basket.append(item)
    return basket


# ok: python.reliability.mutated-default
def copied(item, basket=[]):
    basket = list(basket)
    basket.append(item)
    return basket


class Line:
    # ok: python.reliability.mutated-default
    def __init__(self, sku, extra={}, **more):
        self.extra = extra = dict(extra)
        extra.update(more)
