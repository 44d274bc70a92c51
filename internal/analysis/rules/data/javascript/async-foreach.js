async function ship(orders, carrier) {
  // ruleid: javascript.reliability.async-foreach
  orders.forEach(async (order) => {
    await carrier.book(order);
  });
  return "all booked";
}

async function mail(customers, send) {
  // ruleid: javascript.reliability.async-foreach
  customers.forEach(async function (customer) {
    await send(customer.mail);
  });
}

async function right(orders, carrier) {
  // ok: javascript.reliability.async-foreach
  await Promise.all(orders.map(async (order) => carrier.book(order)));
  for (const order of orders) {
    await carrier.confirm(order);
  }
}

function plain(orders) {
  // ok: javascript.reliability.async-foreach
  orders.forEach((order) => {
    order.seen = true;
  });
}
