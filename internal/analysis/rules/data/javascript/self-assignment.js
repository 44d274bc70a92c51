function move(order, next) {
  // ruleid: javascript.reliability.self-assignment
  order.state = order.state;
  return next;
}

class Cart {
  constructor(owner) {
    // ruleid: javascript.reliability.self-assignment
    this.owner = this.owner;
    // ok: javascript.reliability.self-assignment
    this.name = owner.name;
  }
}

function copy(order, next) {
  // ok: javascript.reliability.self-assignment
  order.state = next.state;
}

function reload(image) {
  // ok: javascript.reliability.self-assignment
  image.src = image.src;
}
