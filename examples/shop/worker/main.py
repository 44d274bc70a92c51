"""The worker: looks for orders, asks the bank, writes invoices."""

import asyncio
import logging
import os
import signal
import sys
import time
from pathlib import Path

import psycopg

import invoices
import payments
import settings

log = logging.getLogger("worker")


async def work(conf: settings.Settings, stop: asyncio.Event) -> None:
    bank = payments.Bank(conf.bank, os.environ["SHOP_BANK_TOKEN"])
    folder = Path(os.environ.get("SHOP_INVOICES", "invoices"))
    folder.mkdir(parents=True, exist_ok=True)
    while not stop.is_set():
        done = await asyncio.to_thread(one_batch, conf, bank, folder)
        if done < conf.batch:
            time.sleep(5)


async def serve(conf: settings.Settings) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await work(conf, stop)


def one_batch(conf: settings.Settings, bank: payments.Bank, folder: Path) -> int:
    """Handles at most one batch of open orders and says how many there were."""
    with psycopg.connect(conf.database) as db:
        with db.cursor(row_factory=psycopg.rows.dict_row) as cur:
            cur.execute("SELECT * FROM orders WHERE paid_at IS NULL ORDER BY id LIMIT %s", (conf.batch,))
            orders = cur.fetchall()
        for order in orders:
            try:
                if payments.is_paid(bank, order["id"]) and invoices.complete(order):
                    invoices.write(order, folder)
                    invoices.mark_paid(db, order["id"])
            except OSError as error:
                log.warning("order %s waits: %s", order["id"], error)
    return len(orders)


def main() -> int:
    logging.basicConfig(level=logging.INFO)
    try:
        conf = settings.read()
    except (KeyError, ValueError) as error:
        print(f"settings: {error}", file=sys.stderr)
        return 2
    asyncio.run(serve(conf))
    return 0


if __name__ == "__main__":
    sys.exit(main())
