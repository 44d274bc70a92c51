async function customers(db, orders) {
  const out = [];
  for (const order of orders) {
    // ruleid: javascript.performance.query-in-loop
    const { rows } = await db.query("SELECT name FROM customers WHERE id = $1", [order.customer]);
    out.push(rows[0].name);
  }
  return out;
}

async function stock(db, skus) {
  const left = {};
  for (const sku of skus) {
    // ruleid: javascript.performance.query-in-loop
    left[sku] = await db.get("select stock from products where sku = ?", [sku]);
  }
  return left;
}

async function once(db, skus) {
  // ok: javascript.performance.query-in-loop
  const { rows } = await db.query("SELECT sku, stock FROM products WHERE sku = ANY($1)", [skus]);
  for (const row of rows) {
    row.low = row.stock < 5;
  }
  return rows;
}

async function save(db, orders) {
  for (const order of orders) {
    // ok: javascript.performance.query-in-loop
    await db.query("UPDATE orders SET seen = true WHERE id = $1", [order.id]);
  }
}
