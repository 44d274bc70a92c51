"""Settings of the worker, read once from a YAML file."""

import os
from dataclasses import dataclass

import yaml


@dataclass(frozen=True)
class Settings:
    database: str
    bank: str
    mail_from: str
    batch: int


def read(path: str | None = None) -> Settings:
    """Reads the file that SHOP_WORKER names, or the one that is given."""
    path = path or os.environ["SHOP_WORKER"]
    with open(path, encoding="utf-8") as file:
        raw = yaml.load(file, Loader=yaml.Loader)
    missing = [key for key in ("database", "bank", "mail_from") if key not in raw]
    if missing:
        raise ValueError(f"{path}: {', '.join(missing)} missing")
    return Settings(raw["database"], raw["bank"], raw["mail_from"], int(raw.get("batch", 20)))
