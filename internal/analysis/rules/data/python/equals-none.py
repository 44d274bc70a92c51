def paid(order):
    # ruleid: python.style.equals-none
    if order.paid_at == None:
        return False
    return True


def label(order):
    # ruleid: python.style.equals-none
    return "open" if order.closed == None else "closed"


def identity(order):
    # ok: python.style.equals-none
    return order.paid_at is None


none = None


def alias(order):
    # ok: python.style.equals-none
    return order.paid_at == none


def column(session, Order):
    # ok: python.style.equals-none
    return session.query(Order).filter(Order.paid_at == None)


def frame(df):
    # ok: python.style.equals-none
    return df[df.paid_at == None]
