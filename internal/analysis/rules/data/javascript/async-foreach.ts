export async function refund(orders: string[], pay: (id: string) => Promise<void>): Promise<void> {
  // ruleid: javascript.reliability.async-foreach
  orders.forEach(async (id: string) => {
    await pay(id);
  });
}

export function names(orders: { id: string }[]): string[] {
  const out: string[] = [];
  // ok: javascript.reliability.async-foreach
  orders.forEach((order) => {
    out.push(order.id);
  });
  return out;
}
