# ruleid: quality.complex-function
def shelf(part):
    if part == "bolt":
        return 0
    if part == "nut":
        return 1
    if part == "screw":
        return 2
    if part == "nail":
        return 3
    if part == "hinge":
        return 4
    if part == "lock":
        return 5
    if part == "key":
        return 6
    if part == "latch":
        return 7
    if part == "knob":
        return 8
    if part == "hook":
        return 9
    if part == "chain":
        return 10
    if part == "rope":
        return 11
    if part == "wire":
        return 12
    if part == "clamp":
        return 13
    if part == "gauge":
        return 14
    return -1


# ok: quality.complex-function
def short_shelf(part):
    if part == "bolt":
        return 0
    if part == "nut":
        return 1
    if part == "screw":
        return 2
    if part == "nail":
        return 3
    if part == "hinge":
        return 4
    if part == "lock":
        return 5
    if part == "key":
        return 6
    if part == "latch":
        return 7
    if part == "knob":
        return 8
    if part == "hook":
        return 9
    if part == "chain":
        return 10
    if part == "rope":
        return 11
    if part == "wire":
        return 12
    if part == "clamp":
        return 13
    return -1


class Store:
    # ruleid: quality.complex-function
    def open(self, day, hour, staff):
        if day in ("sat", "sun") and not staff or hour < 8 or hour > 20:
            return False
        for person in staff:
            while person.busy and hour:
                hour -= 1 if person.fast or person.new else 2
            try:
                person.call()
            except OSError:
                continue
            except ValueError:
                return any(p for p in staff if p.free and p.near)
        return bool(staff) and (hour > 9 or day == "fri")
