def by_name(cur, name):
    # ruleid: python.security.sql-built-with-format
    cur.execute(f"SELECT id FROM customers WHERE name = '{name}'")
    return cur.fetchone()


def search(cur, word):
    query = "SELECT id FROM products WHERE title LIKE '%{}%'".format(word)
    # ruleid: python.security.sql-built-with-format
    cur.execute(query)
    return cur.fetchall()


def pay(cur, order_id):
    # ruleid: python.security.sql-built-with-format
    cur.execute("UPDATE orders SET paid = 1 WHERE id = %s" % order_id)


def bound(cur, name):
    # ok: python.security.sql-built-with-format
    cur.execute("SELECT id FROM customers WHERE name = %s", (name,))


def table(cur, table, order_id):
    # ok: python.security.sql-built-with-format
    cur.execute(f"SELECT id FROM {table} WHERE id = ?", (order_id,))
    # ok: python.security.sql-built-with-format
    cur.execute("SELECT id FROM %s WHERE id = %%s" % table, (order_id,))


def many(cur, ids):
    marks = ", ".join("?" for _ in ids)
    # ok: python.security.sql-built-with-format
    cur.execute(f"SELECT id FROM orders WHERE id IN ({marks})", ids)


def qualified(cur, table):
    # ok: python.security.sql-built-with-format
    cur.execute("DELETE FROM tags WHERE id={}.tag".format(table))


def quoted(cur, name):
    # ok: python.security.sql-built-with-format
    cur.execute("SELECT sql FROM sqlite_master WHERE name=%s" % quote_name(name))


class Schema:
    move = "UPDATE columns SET owner = %(owner)s"

    def run(self, cur, owner):
        # ok: python.security.sql-built-with-format
        cur.execute(self.move % {"owner": owner})


LIMIT_STATE = "open"


def constant(cur):
    # ok: python.security.sql-built-with-format
    cur.execute(f"SELECT id FROM orders WHERE state = '{LIMIT_STATE}'")


def log(out, name):
    # ok: python.security.sql-built-with-format
    out.write(f"SELECT id FROM customers WHERE name = '{name}'")
