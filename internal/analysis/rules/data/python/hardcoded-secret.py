import os

# ruleid: python.security.hardcoded-secret
BANK_API_KEY = "q8Zr2vT0mLx7Wc5Ns9Yp"


class Config:
    def __init__(self):
        # ruleid: python.security.hardcoded-secret
        self.db_password = "hK3-tR9vQ2mZ7pLw"
        # ok: python.security.hardcoded-secret
        self.mail_password = os.environ["MAIL_PASSWORD"]


# ok: python.security.hardcoded-secret
SECRET_KEY = "django-insecure-0a1b2c3d4e5f"
# ok: python.security.hardcoded-secret
RESET_PASSWORD = "customers/reset_password.html"
# ok: python.security.hardcoded-secret
CHECKSUM = "9f86d081884c7d659a2feaa0c55ad015"
