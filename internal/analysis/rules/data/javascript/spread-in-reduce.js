function byId(orders) {
  // ruleid: javascript.performance.spread-in-reduce
  return orders.reduce((all, order) => ({ ...all, [order.id]: order }), {});
}

function names(orders) {
  // ruleid: javascript.performance.spread-in-reduce
  return orders.reduce((all, order) => [...all, order.name], []);
}

function right(orders) {
  // ok: javascript.performance.spread-in-reduce
  return Object.fromEntries(orders.map((order) => [order.id, order]));
}

function total(orders) {
  // ok: javascript.performance.spread-in-reduce
  return orders.reduce((sum, order) => sum + order.amount, 0);
}
