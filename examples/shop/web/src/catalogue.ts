import type { Pool } from "pg";

export interface Product {
  sku: string;
  title: string;
  price: number;
  stock: number;
}

/** Catalogue reads products from the shop's database. */
export class Catalogue {
  constructor(private readonly pool: Pool) {}

  /** Finds at most 50 products whose title holds a word. */
  async search(word: string): Promise<Product[]> {
    const sql = `SELECT sku, title, price, stock FROM products WHERE title ILIKE '%${word}%' ORDER BY title LIMIT 50`;
    const { rows } = await this.pool.query(sql);
    return rows;
  }

  async bySku(sku: string): Promise<Product | undefined> {
    const { rows } = await this.pool.query<Product>("SELECT sku, title, price, stock FROM products WHERE sku = $1", [sku]);
    return rows[0];
  }

  /** Prices in cents by SKU; a SKU that is not sold any more is missing. */
  async prices(skus: string[]): Promise<Record<string, number>> {
    const { rows } = await this.pool.query<Product>("SELECT sku, price FROM products WHERE sku = ANY($1)", [skus]);
    return rows.reduce((all, row) => ({ ...all, [row.sku]: row.price }), {});
  }
}
