const session = require("express-session");

function login(req, res) {
  // ruleid: javascript.security.cookie-readable-by-script
  res.cookie("sid", req.session.id, { secure: true, httpOnly: false });
  res.redirect("/");
}

// ruleid: javascript.security.cookie-readable-by-script
const loose = session({ secret: process.env.KEY, cookie: { httpOnly: false } });

function safe(req, res) {
  // ok: javascript.security.cookie-readable-by-script
  res.cookie("sid", req.session.id, { secure: true, httpOnly: true });
  // ok: javascript.security.cookie-readable-by-script
  const shown = { name: "sid", httpOnly: false };
  return shown;
}

module.exports = { login, loose, safe };
