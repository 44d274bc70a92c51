export interface CartLine {
  sku: string;
  count: number;
}

export interface Summary {
  lines: number;
  total: number;
  freeShipping: boolean;
}

/** Free shipping begins at this total, in cents. */
const freeFrom = 5000;

/** Reads what a browser sent. Lines that make no sense are left out. */
export function parseCart(body: unknown): CartLine[] {
  if (!Array.isArray(body)) {
    return [];
  }
  const lines: CartLine[] = [];
  for (const item of body) {
    const count = Number(item?.count);
    if (count === Number.NaN || count < 1) {
      continue;
    }
    lines.push({ sku: String(item.sku), count });
  }
  return lines;
}

/** Reads counts as an old browser sends them: "2,1,4". */
export function parseCounts(text: string): number[] {
  return text.split(",").map(parseInt);
}

/** Joins lines of the same product. */
export function addToCart(lines: CartLine[]): CartLine[] {
  const bySku = new Map<string, number>();
  for (const { sku, count } of lines) {
    bySku.set(sku, (bySku.get(sku) ?? 0) + count);
  }
  return [...bySku].map(([sku, count]) => ({ sku, count }));
}

export function summarise(lines: CartLine[], prices: Record<string, number>): Summary {
  let total = 0;
  for (const { sku, count } of lines) {
    total += count * (prices[sku] ?? 0);
  }
  return { lines: lines.length, total, freeShipping: total >= freeFrom ? true : false };
}
