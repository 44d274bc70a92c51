def has_gift(lines):
    # ruleid: python.performance.any-of-list
    return any([line.gift for line in lines])


def in_stock(lines, stock):
    # ruleid: python.performance.any-of-list
    if all([stock[line.sku] >= line.count for line in lines]):
        return True
    return False


def open_gift(lines):
    # ruleid: python.performance.any-of-filtered-list
    return any([line.gift for line in lines if line.open])


def sold_out(stock):
    # ruleid: python.performance.any-of-filtered-list
    return all([count == 0 for sku, count in stock.items() if sku])


def lazy(lines):
    # ok: python.performance.any-of-list, python.performance.any-of-filtered-list
    return any(line.gift for line in lines if line.open)


def listed(a, b):
    # ok: python.performance.any-of-list, python.performance.any-of-filtered-list
    return any([a, b])


def total(lines):
    # ok: python.performance.any-of-list, python.performance.any-of-filtered-list
    return sum([line.amount for line in lines])
