def notify(order, mail):
    # ruleid: python.reliability.bare-except
    try:
        mail.send(order.customer, "Thank you")
    except:
        pass


def parse(lines):
    for line in lines:
        # ruleid: python.reliability.bare-except
        try:
            yield int(line)
        except:
            continue


def clean(tx, order):
    # ok: python.reliability.bare-except
    try:
        tx.save(order)
    except:
        tx.rollback()
        raise


def named(line):
    # ok: python.reliability.bare-except
    try:
        return int(line)
    except ValueError:
        pass
