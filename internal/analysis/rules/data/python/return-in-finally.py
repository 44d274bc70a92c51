def load(path):
    file = open(path, encoding="utf-8")
    # ruleid: python.reliability.return-in-finally
    try:
        text = file.read()
    finally:
        file.close()
        return text


def save(db, order):
    done = False
    # ruleid: python.reliability.return-in-finally
    try:
        db.save(order)
        done = True
    except KeyError:
        done = False
    finally:
        return done


def right(path):
    file = open(path, encoding="utf-8")
    # ok: python.reliability.return-in-finally
    try:
        return file.read()
    finally:
        file.close()


def after(db, order):
    # ok: python.reliability.return-in-finally
    try:
        db.save(order)
    finally:
        db.close()
    return order
