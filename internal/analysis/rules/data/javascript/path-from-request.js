const fs = require("fs");
const path = require("path");

function download(req, res) {
  // ruleid: javascript.security.path-from-request
  res.sendFile(path.join("/srv/invoices", req.params.name));
}

function read(req, res) {
  const file = `uploads/${req.query.file}`;
  // ruleid: javascript.security.path-from-request
  fs.readFile(file, (error, data) => res.send(error ? "" : data));
}

function base(req, res) {
  const file = path.basename(req.query.file);
  // ok: javascript.security.path-from-request
  fs.readFile(path.join("uploads", file), (error, data) => res.send(error ? "" : data));
}

function inRoot(req, res) {
  // ok: javascript.security.path-from-request
  res.sendFile(req.params.name, { root: "/srv/invoices" });
}
