function showOrder(list, order) {
  // ruleid: javascript.security.inner-html
  list.innerHTML = `<li>${order.note}</li>`;
}

function append(list, customer) {
  // ruleid: javascript.security.inner-html
  list.insertAdjacentHTML("beforeend", "<li>" + customer.name);
}

function fixed(list) {
  // ok: javascript.security.inner-html
  list.innerHTML = "<li>empty</li>";
}

function escaped(list, order) {
  // ok: javascript.security.inner-html
  list.innerHTML = `<li>${escapeHtml(order.note)}</li>`;
}

function clear(list) {
  // ok: javascript.security.inner-html
  list.innerHTML = "";
}
