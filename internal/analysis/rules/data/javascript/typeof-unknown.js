function count(value) {
  // ruleid: javascript.reliability.typeof-unknown
  if (typeof value === "array") {
    return value.length;
  }
  // ruleid: javascript.reliability.typeof-unknown
  if (typeof value != "String") {
    return 0;
  }
  return 1;
}

function right(value) {
  // ok: javascript.reliability.typeof-unknown
  return typeof value === "string";
}

function kinds(value, kind) {
  // ok: javascript.reliability.typeof-unknown
  return typeof value === kind;
}
