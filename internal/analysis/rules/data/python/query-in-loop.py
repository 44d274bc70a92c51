def customers(cur, orders):
    names = []
    for order in orders:
        # ruleid: python.performance.query-in-loop
        cur.execute("SELECT name FROM customers WHERE id = %s", (order["customer"],))
        names.append(cur.fetchone()[0])
    return names


def stock(cur, skus):
    left = {}
    for sku in skus:
        # ruleid: python.performance.query-in-loop
        cur.execute("SELECT stock FROM products WHERE sku = ?", [sku])
        left[sku] = cur.fetchone()[0]
    return left


def once(cur, skus):
    # ok: python.performance.query-in-loop
    cur.execute("SELECT sku, stock FROM products WHERE sku = ANY(%s)", (skus,))
    return {sku: stock for sku, stock in cur.fetchall()}


def save(cur, orders):
    for order in orders:
        # ok: python.performance.query-in-loop
        cur.execute("UPDATE orders SET seen = true WHERE id = %s", (order["id"],))


def pages(cur, pages, shop):
    for page in pages:
        # ok: python.performance.query-in-loop
        cur.execute("SELECT count(*) FROM visits WHERE shop = %s", (shop,))
        page.visits = cur.fetchone()[0]
