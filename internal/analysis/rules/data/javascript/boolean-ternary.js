function big(order) {
  // ruleid: javascript.style.boolean-ternary
  return order.total > 100 ? true : false;
}

function view(order) {
  // ruleid: javascript.style.boolean-ternary
  return { id: order.id, paid: order.paidAt ? true : false };
}

function label(order) {
  // ok: javascript.style.boolean-ternary
  return order.paidAt ? "paid" : "open";
}

function either(order, fallback) {
  // ok: javascript.style.boolean-ternary
  return order.paidAt ? true : fallback;
}
