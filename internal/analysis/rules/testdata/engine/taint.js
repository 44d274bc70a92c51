const { a, b: c } = source();
// ruleid: taint
sink(a, 1);
// ruleid: taint
sink(`x ${c}`);
// ok: taint
sink(source === c);

function cases(k) {
  let v = source();
  switch (k) {
    case 1:
      v = clean(v);
      break;
    default:
      v = 2;
  }
  // ok: taint
  sink(v);
  // ok: taint
  only(source() ? 1 : 2);
  // ruleid: taint
  only(k ? source() : 2);
}

get('/x', (q) => {
  const w = source(q);
  // ruleid: taint
  then(() => sink(w));
});
