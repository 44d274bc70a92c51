import logging
import warnings

log = logging.getLogger(__name__)


def late(order):
    # ruleid: python.quality.logging-warn
    log.warn("order %s is late", order.id)


def root(order):
    # ruleid: python.quality.logging-warn
    logging.warn("order %s is late", order.id)


def right(order):
    # ok: python.quality.logging-warn
    log.warning("order %s is late", order.id)


def other(order):
    # ok: python.quality.logging-warn
    warnings.warn("use ship() instead of send()", DeprecationWarning)
