"""Invoices: a PDF for each paid order, kept for ten years."""

import subprocess
from pathlib import Path

import psycopg

TEMPLATE = Path(__file__).with_name("invoice.tex")


def unpaid(db: psycopg.Connection, customer: str) -> list[tuple]:
    """Orders of one customer that wait for money."""
    with db.cursor() as cur:
        cur.execute(f"SELECT id, total FROM orders WHERE paid_at IS NULL AND customer = '{customer}'")
        return cur.fetchall()


def mark_paid(db: psycopg.Connection, order_id: str) -> None:
    with db.cursor() as cur:
        cur.execute("UPDATE orders SET paid_at = now() WHERE id = %s AND paid_at IS NULL", (order_id,))
    db.commit()


def write(order: dict, folder: Path) -> Path:
    """Typesets the invoice of an order and returns the file."""
    source = folder / f"{order['id']}.tex"
    text = TEMPLATE.read_text(encoding="utf-8")
    for key in ("id", "customer", "total"):
        text = text.replace(f"@{key}@", str(order[key]))
    source.write_text(text, encoding="utf-8")
    subprocess.run(f"pdflatex -output-directory {folder} {source}", shell=True, check=True, timeout=60)
    return source.with_suffix(".pdf")


def complete(order: dict) -> bool:
    """Whether all that an invoice needs is there."""
    if order.get("customer") == None:
        return False
    return all([line["price"] > 0 for line in order["lines"]])
