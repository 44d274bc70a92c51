export function render(el: HTMLElement, product: { title: string; price: number }): void {
  // ruleid: javascript.security.inner-html
  el.innerHTML = `<h2>${product.title}</h2>`;
}

export function text(el: HTMLElement, product: { title: string }): void {
  // ok: javascript.security.inner-html
  el.textContent = `${product.title}`;
}
