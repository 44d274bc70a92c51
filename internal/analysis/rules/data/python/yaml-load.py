import yaml


def settings(path):
    with open(path) as f:
        # ruleid: python.security.yaml-load
        return yaml.load(f)


def order(text):
    # ruleid: python.security.yaml-load
    return yaml.load(text, Loader=yaml.Loader)


def plain(text):
    # ok: python.security.yaml-load
    return yaml.safe_load(text)


def fast(text):
    # ok: python.security.yaml-load
    return yaml.load(text, Loader=yaml.CSafeLoader)


def other(store, text):
    # ok: python.security.yaml-load
    return store.load(text)
