const cors = require("cors");

function open(app) {
  // ruleid: javascript.security.cors-any-origin
  app.use(cors({ origin: true, credentials: true }));
}

function reflected(app) {
  // ruleid: javascript.security.cors-any-origin
  app.use(cors({ credentials: true, maxAge: 600, origin: (origin, done) => done(null, true) }));
}

function listed(app) {
  // ok: javascript.security.cors-any-origin
  app.use(cors({ origin: "https://shop.example.com", credentials: true }));
}

function anonymous(app) {
  // ok: javascript.security.cors-any-origin
  app.use(cors({ origin: true }));
}
