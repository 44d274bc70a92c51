import { randomUUID } from "node:crypto";
import express, { type NextFunction, type Request, type Response } from "express";
import { Pool } from "pg";
import { Catalogue } from "./catalogue.js";
import { addToCart, parseCart, summarise } from "./cart.js";
import { printLabel } from "./labels.js";

const pool = new Pool({ connectionString: process.env.SHOP_DATABASE_URL, max: 10 });
const catalogue = new Catalogue(pool);
const app = express();

app.use(express.json({ limit: "64kb" }));
app.use(express.static("public"));

app.use((req: Request, res: Response, next: NextFunction) => {
  if (!req.headers.cookie?.includes("sid=")) {
    res.cookie("sid", randomUUID(), { secure: true, httpOnly: false, sameSite: "lax" });
  }
  next();
});

app.get("/products", async (req: Request, res: Response) => {
  const word = String(req.query.q ?? "");
  res.json(await catalogue.search(word));
});

app.get("/products/:sku", async (req: Request<{ sku: string }>, res: Response) => {
  const product = await catalogue.bySku(req.params.sku);
  if (product === undefined) {
    res.status(404).json({ error: "no such product" });
    return;
  }
  res.json(product);
});

app.post("/cart", async (req: Request, res: Response) => {
  const lines = parseCart(req.body);
  if (lines.length === 0) {
    res.status(422).json({ error: "the cart holds no product" });
    return;
  }
  const prices = await catalogue.prices(lines.map((line) => line.sku));
  res.json(summarise(addToCart(lines), prices));
});

app.post("/orders/:id/label", (req: Request<{ id: string }>, res: Response) => {
  printLabel(req.params.id, (error) => {
    res.status(error ? 502 : 204).end();
  });
});

app.use((error: Error, req: Request, res: Response, next: NextFunction) => {
  if (res.headersSent) {
    next(error);
    return;
  }
  console.error(req.method, req.path, error.message);
  res.status(500).json({ error: "please try again later" });
});

app.listen(Number(process.env.SHOP_PORT ?? 3000));
