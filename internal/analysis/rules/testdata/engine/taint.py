def straight():
    a = source()
    b = f"{a}" + "x"
    # ruleid: taint
    sink(b)
    # ok: taint
    sink(clean(b))
    # ok: taint
    clean(sink(a))
    a = b = "fixed"
    # ok: taint
    sink(a, "x")


def branches(flag):
    a = source()
    if flag:
        a = clean(a)
    # ruleid: taint
    sink(a)
    if flag:
        a = clean(a)
    else:
        a = 1
    # ok: taint
    sink(a)


def leaves(flag):
    a = 1
    if flag:
        a = source()
        return a
    # ok: taint
    sink(a)


def loops(rows):
    last = None
    for row in rows:
        # ruleid: taint
        sink(last)
        last = source(row)
    for x in source():
        # ruleid: taint
        sink(x)


def members(o):
    o.a = source()
    # ruleid: taint
    sink(o.a)
    # ok: taint
    sink(o.b)
    d = {}
    d["k"] = source()
    # ruleid: taint
    sink(d["k"])
    # ok: taint
    sink(d["l"])
    d[o.b] = source()
    # ruleid: taint
    sink(d)


def calls():
    a = source().strip()
    # ruleid: taint
    sink(wrap(a))
    # ruleid: taint
    a.sink(sink(x=a))
    # ok: taint
    sink(a == 1)
    # ruleid: taint
    only(a, 1)
    # ok: taint
    only(1, a)


def tried():
    a = 1
    try:
        a = source()
        a = clean(a)
    except ValueError as e:
        # ok: taint
        sink(e)
    finally:
        pass
    # ok: taint
    sink(a)


def comprehended():
    # ruleid: taint
    sink([x for x in source()])
    with source() as f:
        # ruleid: taint
        sink(f)


def nested():
    a = source()

    def inner():
        # ruleid: taint
        sink(a)

    # ok: taint
    sink(lambda: a)
    return inner


def other():
    # ok: taint
    sink(a)


def propagated():
    box = Box()
    box.fill(source())
    # ruleid: taint
    sink(box)
