import type { CartLine, Summary } from "../cart.js";

interface Shown {
  title: string;
  count: number;
}

/** Shows the basket in the page's side bar. */
export function showBasket(list: HTMLElement, lines: Shown[]): void {
  list.replaceChildren();
  for (const line of lines) {
    list.insertAdjacentHTML("beforeend", `<li>${line.count} × ${line.title}</li>`);
  }
}

/** Asks the server what the basket costs. */
export async function price(lines: CartLine[]): Promise<Summary> {
  const answer = await fetch("/cart", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(lines),
  });
  if (!answer.ok) {
    throw new Error(`the cart could not be priced: ${answer.status}`);
  }
  return (await answer.json()) as Summary;
}

/** Puts products that a customer saved for later back into the basket. */
export async function restore(saved: string[], add: (sku: string) => Promise<void>): Promise<void> {
  saved.forEach(async (sku) => {
    await add(sku);
  });
  localStorage.removeItem("saved");
}
