// ruleid: javascript.reliability.map-parseint
const ids = process.argv.slice(2).map(parseInt);

function quantities(text) {
  // ruleid: javascript.reliability.map-parseint
  return text.split(",").map(parseInt);
}

function right(text) {
  // ok: javascript.reliability.map-parseint
  return text.split(",").map((part) => parseInt(part, 10));
}

function numbers(text) {
  // ok: javascript.reliability.map-parseint
  return text.split(",").map(Number);
}

module.exports = { ids, quantities, right, numbers };
