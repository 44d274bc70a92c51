function empty() {
  // ruleid: javascript.style.new-object
  const byId = new Object();
  return byId;
}

function send(post) {
  // ruleid: javascript.style.new-object
  post("/orders", new Object());
}

function literal() {
  // ok: javascript.style.new-object
  return {};
}

function wrapped(value) {
  // ok: javascript.style.new-object
  return new Object(value);
}
