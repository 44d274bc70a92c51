import os

from flask import Flask

app = Flask(__name__)
admin = Flask("admin")


@app.route("/")
def home():
    return "open"


class Job:
    def run(self, debug=False):
        return debug


if __name__ == "__main__":
    # ok: python.security.flask-debug
    app.run(debug=os.environ.get("SHOP_DEBUG") == "1")
    # ok: python.security.flask-debug
    Job().run(debug=True)
    # ruleid: python.security.flask-debug
    app.run(host="127.0.0.1", debug=True)
    # ruleid: python.security.flask-debug
    admin.run(debug=True, port=9000)
