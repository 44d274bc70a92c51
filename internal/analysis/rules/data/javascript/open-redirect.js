function after(req, res) {
  // ruleid: javascript.security.open-redirect
  res.redirect(req.query.next);
}

function back(req, res) {
  const target = req.body.back || "/";
  // ruleid: javascript.security.open-redirect
  res.redirect(303, target);
}

function home(req, res) {
  // ok: javascript.security.open-redirect
  res.redirect("/home");
}

function search(req, res) {
  // ok: javascript.security.open-redirect
  res.redirect("/search?q=" + encodeURIComponent(req.query.q));
}

function order(req, res) {
  // ok: javascript.security.open-redirect
  res.redirect(`/orders/${req.params.id}`);
}

function checked(req, res, urls) {
  // ok: javascript.security.open-redirect
  res.redirect(urls.inside({ path: req.query.next }));
}
