const fs = require("fs");

function routes(app) {
  // ok: javascript.performance.sync-file-in-handler
  const page = fs.readFileSync("index.html", "utf8");

  app.get("/", (req, res) => {
    res.send(page);
  });

  app.get("/terms", (req, res) => {
    // ruleid: javascript.performance.sync-file-in-handler
    res.send(fs.readFileSync("terms.html", "utf8"));
  });

  app.post("/notes", async (req, res) => {
    // ruleid: javascript.performance.sync-file-in-handler
    fs.appendFileSync("notes.txt", req.body.note);
    res.end();
  });

  app.get("/help", async (req, res) => {
    // ok: javascript.performance.sync-file-in-handler
    res.send(await fs.promises.readFile("help.html", "utf8"));
  });
}

module.exports = { routes };
