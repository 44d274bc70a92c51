class Carrier:
    def book(self, order):
        # ruleid: python.reliability.raise-not-implemented
        raise NotImplemented

    def cancel(self, order):
        # ruleid: python.reliability.raise-not-implemented
        raise NotImplemented("carriers cannot cancel")

    def track(self, order):
        # ok: python.reliability.raise-not-implemented
        raise NotImplementedError

    def __eq__(self, other):
        # ok: python.reliability.raise-not-implemented
        return NotImplemented
