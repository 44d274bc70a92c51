function price(text) {
  const value = Number(text);
  // ruleid: javascript.reliability.compare-with-nan
  if (value === NaN) {
    return 0;
  }
  return value;
}

function known(value) {
  // ruleid: javascript.reliability.compare-with-nan
  return !(value == NaN);
}

function right(value) {
  // ok: javascript.reliability.compare-with-nan
  return Number.isNaN(value) ? 0 : value;
}

function text(value) {
  // ok: javascript.reliability.compare-with-nan
  return value === "NaN";
}
