const vm = require("vm");

function discount(req, res) {
  // ruleid: javascript.security.eval-of-request
  res.json({ off: eval(req.query.formula) });
}

function report(req, res) {
  const formula = req.body.formula;
  const code = "return " + formula;
  // ruleid: javascript.security.eval-of-request
  res.json(new Function("order", code)(req.order));
}

function fixed(req, res) {
  // ok: javascript.security.eval-of-request
  res.json({ off: eval("1 + 1") });
}

function number(req, res) {
  const percent = Number(req.query.percent);
  // ok: javascript.security.eval-of-request
  res.json({ off: vm.runInNewContext(`total * ${percent}`, { total: 100 }) });
}
