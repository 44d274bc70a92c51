# ruleid: comparison
listen(80)
LOW = 0x50
# ruleid: comparison
listen(LOW)
# ruleid: comparison
listen(8080)
# ok: comparison
listen(9000)
# ok: comparison
listen(port)


async def tick():
    # ruleid: inside
    sleep(1)
    # ok: inside
    sleep(0)
    with allowed():
        # ok: inside
        sleep(2)


def tock():
    # ok: inside
    sleep(1)


# ruleid: parts
open(name, "w")
# ok: parts
open(name, "r")
# ok: parts
open(name, mode)
# ok: parts
open(a.b, "w")

# ruleid: text
teh = 1
# ok: text
other = "teh"

cmd = build(1)
# ruleid: symbolic
run(cmd)
# ok: symbolic
run(name)

# ok: kinds
outer(inner())
# ruleid: kinds
inner(outer())
