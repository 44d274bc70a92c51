const OPEN_STATE = "open";

async function byName(db, name) {
  // ruleid: javascript.security.sql-built-with-template
  const { rows } = await db.query(`SELECT id FROM customers WHERE name = '${name}'`);
  return rows;
}

function search(db, word, done) {
  const sql = `
    SELECT id FROM products
    WHERE title LIKE '%${word}%'`;
  // ruleid: javascript.security.sql-built-with-template
  db.all(sql, done);
}

function pay(db, id) {
  // ruleid: javascript.security.sql-built-with-template
  return db.run("UPDATE orders SET paid = 1 WHERE id = " + id);
}

function bound(db, name) {
  // ok: javascript.security.sql-built-with-template
  return db.query("SELECT id FROM customers WHERE name = $1", [name]);
}

function table(db, schema, id) {
  // ok: javascript.security.sql-built-with-template
  return db.query(`SELECT id FROM ${schema}.orders WHERE id = $1`, [id]);
}

function constant(db) {
  // ok: javascript.security.sql-built-with-template
  return db.query(`SELECT id FROM orders WHERE state = '${OPEN_STATE}'`);
}

function tagged(sql, name) {
  // ok: javascript.security.sql-built-with-template
  return sql`SELECT id FROM customers WHERE name = ${name}`;
}
