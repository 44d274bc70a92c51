const https = require("https");
const { Pool } = require("pg");

// ruleid: javascript.security.reject-unauthorized
const agent = new https.Agent({ keepAlive: true, rejectUnauthorized: false });

const pool = new Pool({
  connectionString: process.env.DATABASE_URL,
  // ruleid: javascript.security.reject-unauthorized
  ssl: { rejectUnauthorized: false },
});

// ok: javascript.security.reject-unauthorized
const strict = new https.Agent({ rejectUnauthorized: true });

// ok: javascript.security.reject-unauthorized
const chosen = new https.Agent({ rejectUnauthorized: process.env.STRICT !== "0" });

module.exports = { agent, pool, strict, chosen };
